//! Names that follow from the key of an attachment alone, so that DEL needs no record.

use types::{Attachment, IfName, stable_hash};

/// What marks a link as ours in its alias.
const MARK: &str = "cais:";

/// The kernel's `IFALIASZ` less its terminating NUL.
const ALIAS_MAX_BYTES: usize = 255;

/// Name of the host's end of the veth pair for `key`: `veth` and eight hexadecimal digits.
///
/// The prefix matters: NetworkManager and traffic counters of runtimes know `veth*`. `attempt`
/// counts from 0 and goes up where the name belongs to somebody else.
#[must_use]
pub fn host_ifname(key: &Attachment, attempt: u32) -> IfName {
    derived_ifname(&format!("{key}\0{attempt}"))
}

/// What the link for `key` is called in the container while its own name cannot be given yet.
#[must_use]
pub fn interim_ifname(key: &Attachment) -> IfName {
    derived_ifname(&format!("interim {key}"))
}

/// `veth` and eight hexadecimal digits that stand for `text`.
#[must_use]
pub fn derived_ifname(text: &str) -> IfName {
    let digest = stable_hash(text);
    let folded = (digest ^ (digest >> 32)) & 0xffff_ffff;
    format!("veth{folded:08x}").parse().expect("twelve letters and digits are an interface name")
}

/// The alias of the host's end: what says whose it is (`ip link` shows it).
#[must_use]
pub fn alias(key: &Attachment) -> String {
    let text = format!("{MARK}{key}");
    if text.len() <= ALIAS_MAX_BYTES {
        return text;
    }
    // Container ids have no limit of length; the digest stands for a long one.
    format!("{MARK}#{:016x}{:016x}", stable_hash(&text), stable_hash(&format!("{text}\0")))
}

/// The key in an alias; `None` when the link is not ours or its key was too long to be written.
#[must_use]
pub fn key_of_alias(alias: &str) -> Option<Attachment> {
    let mut parts = alias.strip_prefix(MARK)?.splitn(3, '/');
    Some(Attachment {
        network: parts.next()?.parse().ok()?,
        container: parts.next()?.parse().ok()?,
        ifname: parts.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str) -> Attachment {
        Attachment {
            network: "net".parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        }
    }

    #[test]
    fn names_never_change_between_versions() {
        assert_eq!(host_ifname(&key("c1"), 0).as_str(), "veth73355eaf");
        assert_ne!(host_ifname(&key("c1"), 1), host_ifname(&key("c1"), 0));
        assert_eq!(interim_ifname(&key("c1")).as_str(), "veth543207f0");
    }

    #[test]
    fn an_alias_gives_its_key_back_unless_the_key_is_too_long() {
        assert_eq!(key_of_alias(&alias(&key("c1"))), Some(key("c1")));
        let long = key(&"x".repeat(300));
        assert!(alias(&long).len() <= ALIAS_MAX_BYTES);
        assert_eq!(key_of_alias(&alias(&long)), None);
        assert_eq!(key_of_alias("somebody's uplink"), None);
    }
}
