//! One sysctl as it is asked for, and the switch of the kernel that it means.

use std::borrow::Cow;
use std::fmt;

use kernel::sysctl::Key;
use types::IfName;

/// Stands for the interface in the name of a sysctl.
const PLACEHOLDER: &str = "IFNAME";

/// A sysctl that is to have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// As it was written.
    pub(crate) name: String,
    /// As it is written to the kernel; not checked, since each sysctl takes something else.
    pub(crate) value: String,
    /// Parts below `net`, as sysctl(8) reads the name.
    parts: Vec<String>,
}

/// Why a text is no name of a network sysctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadName {
    NotBelowNet,
    Parts,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBelowNet => "it is not below net",
            Self::Parts => "one of its parts is empty, a dot or two, or holds a NUL",
        })
    }
}

impl Sysctl {
    pub(crate) fn parse(name: &str, value: String) -> Result<Self, BadName> {
        let parts = parts_of(name);
        match parts.split_first() {
            Some((first, rest)) if first == "net" && !rest.is_empty() => {
                let sound = Key::net(&rest.join("/")).is_some();
                let parts = rest.to_vec();
                if sound {
                    Ok(Self { name: name.to_owned(), value, parts })
                } else {
                    Err(BadName::Parts)
                }
            }
            _ => Err(BadName::NotBelowNet),
        }
    }

    /// Whether both mean one sysctl, however they are separated.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.parts == other.parts
    }

    /// The switch of the calling thread's namespace. The reference takes `.` and `/` for the same;
    /// a name that means nothing to sysctl(8) is read so. `None` when there is no such switch.
    pub(crate) fn key(&self, ifname: &IfName) -> Option<Key> {
        let reference = self.name.split(['.', '/']).skip(1).map(str::to_owned).collect();
        [&self.parts, &reference]
            .into_iter()
            .filter_map(|parts| Key::net(&in_place(parts, ifname).join("/")))
            .find(Key::exists)
    }
}

/// The first separator is the one that counts, and a `/` between dots is a dot within a part.
fn parts_of(name: &str) -> Vec<String> {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('.') => {
            name.split('.').map(|part| part.replace('/', ".")).collect()
        }
        _ => name.split('/').map(str::to_owned).collect(),
    }
}

/// Put in only after the name was taken apart: a name of an interface may have dots.
fn in_place<'a>(parts: &'a [String], ifname: &IfName) -> Vec<Cow<'a, str>> {
    let put = |part: &'a String| match part.contains(PLACEHOLDER) {
        true => Cow::Owned(part.replace(PLACEHOLDER, ifname.as_str())),
        false => Cow::Borrowed(part.as_str()),
    };
    parts.iter().map(put).collect()
}

/// Whether the kernel would take `one` and `other` for the same: blanks between several values do
/// not count, and numbers are compared as such.
pub(crate) fn is_same_value(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || number(a).is_some_and(|n| Some(n) == number(b)) => {}
            _ => return false,
        }
    }
}

/// As the kernel reads numbers: `0x` is hexadecimal, a leading `0` octal (`simple_strtoul`).
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| is_number)?;
    Some(sign * i128::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Result<String, BadName> {
        let ifname = "eth0.100".parse().unwrap();
        Sysctl::parse(name, String::new()).map(|s| in_place(&s.parts, &ifname).join("|"))
    }

    #[test]
    fn the_first_separator_counts_and_a_link_may_have_dots() {
        for (name, path) in [
            ("net.ipv4.conf.all.rp_filter", "ipv4|conf|all|rp_filter"),
            ("net/ipv4/conf/all/rp_filter", "ipv4|conf|all|rp_filter"),
            ("net.ipv4.conf.eth0/100.rp_filter", "ipv4|conf|eth0.100|rp_filter"),
            ("net/ipv4/conf/eth0.100/rp_filter", "ipv4|conf|eth0.100|rp_filter"),
            ("net.ipv6.neigh.IFNAME.mcast_solicit", "ipv6|neigh|eth0.100|mcast_solicit"),
            ("net/ipv4/conf/IFNAME/rp_filter", "ipv4|conf|eth0.100|rp_filter"),
            ("net.x.IFNAME.a-IFNAME", "x|eth0.100|a-eth0.100"),
        ] {
            assert_eq!(parts(name).as_deref(), Ok(path), "{name}");
        }
    }

    #[test]
    fn no_name_leads_out_of_net() {
        for name in ["", "net", "kernel.pid_max", "/net/ipv4/x", ".net.x", "network.x", "Net.x"] {
            assert_eq!(parts(name), Err(BadName::NotBelowNet), "{name:?}");
        }
        for name in [
            "net.",
            "net/",
            "net/../kernel/pid_max",
            "net/ipv4/../../kernel/x",
            "net/./x",
            "net..x",
            "net.ipv4.",
            "net/a\0b",
            "net.//.kernel.x",
            "net/ipv4//x",
        ] {
            assert_eq!(parts(name), Err(BadName::Parts), "{name:?}");
        }
    }

    #[test]
    fn values_are_compared_as_the_kernel_reads_them() {
        for (one, other) in [
            ("1", "1\n"),
            ("4096 131072 6291456", "4096\t131072\t6291456"),
            ("0x10", "16"),
            ("010", "8"),
            ("-1", "-1"),
            ("cubic", " cubic "),
            ("", ""),
        ] {
            assert!(is_same_value(one, other), "{one:?} and {other:?}");
        }
        for (one, other) in [
            ("1", "0"),
            ("1", "1 1"),
            ("", "0"),
            ("-1", "1"),
            ("cubic", "reno"),
            ("08", "8"),
            ("0x", "0"),
        ] {
            assert!(!is_same_value(one, other), "{one:?} and {other:?}");
        }
    }
}
