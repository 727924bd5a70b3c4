//! What a container takes of the host: an address, a port, a protocol.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use types::{Family, parse_ip};

/// One port that a container binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) protocol: Protocol,
    pub(crate) address: Address,
    /// From 1.
    pub(crate) port: u16,
}

/// Protocols with ports that runtimes know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// Where a port is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// All addresses of both families.
    Any,
    /// All addresses of one family.
    All(Family),
    /// One address.
    One(IpAddr),
}

/// What binding to `::` means: `net.ipv6.bindv6only`, see ipv6(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WildcardV6 {
    /// IPv4 as well; how the kernel starts.
    Both,
    /// IPv6 alone.
    Only,
}

impl Claim {
    /// Whether a second socket could not be bound beside the first.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        (self.protocol, self.port) == (other.protocol, other.port)
            && self.address.overlaps(other.address)
    }
}

impl Address {
    /// The host address of a mapping; `None` is none given.
    pub(crate) fn new(host: Option<IpAddr>, wildcard: WildcardV6) -> Self {
        match host {
            None => Self::Any,
            Some(IpAddr::V6(ip)) if ip.is_unspecified() && wildcard == WildcardV6::Both => {
                Self::Any
            }
            Some(ip) if ip.is_unspecified() => Self::All(Family::of(ip)),
            Some(ip) => Self::One(ip),
        }
    }

    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(two)) => one == two,
            (one, two) => {
                one.family().is_none() || two.family().is_none() || one.family() == two.family()
            }
        }
    }

    /// `None` is both.
    fn family(self) -> Option<Family> {
        match self {
            Self::Any => None,
            Self::All(family) => Some(family),
            Self::One(ip) => Some(Family::of(ip)),
        }
    }
}

/// As ss(8) writes it: `tcp *:80`, `udp 127.0.0.1:53`, `tcp [::]:443`.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.protocol)?;
        match self.address {
            Address::Any => write!(f, "*")?,
            Address::All(Family::V4) => write!(f, "0.0.0.0")?,
            Address::All(Family::V6) => write!(f, "[::]")?,
            Address::One(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Address::One(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
        }
        write!(f, ":{}", self.port)
    }
}

/// Not a claim as it is displayed.
#[derive(Debug)]
pub(crate) struct Unreadable;

impl FromStr for Claim {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (protocol, socket) = text.split_once(' ').ok_or(Unreadable)?;
        let (address, port) = socket.rsplit_once(':').ok_or(Unreadable)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(Unreadable)?;
        let address = match address {
            "*" => Address::Any,
            text => {
                let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                let ip = parse_ip(bare.unwrap_or(text)).ok_or(Unreadable)?;
                Address::new(Some(ip), WildcardV6::Only)
            }
        };
        Ok(Self { protocol: protocol.parse()?, address, port })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Unreadable;

    /// In any case: Kubernetes writes `TCP`.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| protocol.to_string().eq_ignore_ascii_case(text))
            .ok_or(Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(text: &str) -> Claim {
        text.parse().unwrap_or_else(|_| panic!("{text} is no claim"))
    }

    #[test]
    fn a_claim_comes_back_from_its_text() {
        for text in
            ["tcp *:80", "udp 0.0.0.0:53", "sctp [::]:1", "tcp 127.0.0.1:65535", "udp [fd00::1]:9"]
        {
            assert_eq!(claim(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_claim_is_not_read_as_one() {
        for text in
            ["", "tcp", "tcp *", "tcp *:0", "tcp *:65536", "icmp *:1", "tcp [fd00::1:9", "tcp x:9"]
        {
            assert!(text.parse::<Claim>().is_err(), "{text}");
        }
    }

    #[test]
    fn wildcards_take_every_address_of_their_family() {
        let overlapping = [
            ("tcp *:80", "tcp *:80"),
            ("tcp *:80", "tcp 10.0.0.1:80"),
            ("tcp *:80", "tcp [fd00::1]:80"),
            ("tcp *:80", "tcp [::]:80"),
            ("tcp 0.0.0.0:80", "tcp 10.0.0.1:80"),
            ("tcp [::]:80", "tcp [fd00::1]:80"),
            ("tcp 10.0.0.1:80", "tcp 10.0.0.1:80"),
        ];
        for (one, two) in overlapping {
            assert!(claim(one).overlaps(&claim(two)), "{one} and {two}");
            assert!(claim(two).overlaps(&claim(one)), "{two} and {one}");
        }
    }

    #[test]
    fn other_addresses_families_protocols_and_ports_are_free() {
        let apart = [
            ("tcp 10.0.0.1:80", "tcp 10.0.0.2:80"),
            ("tcp 0.0.0.0:80", "tcp [::]:80"),
            ("tcp 0.0.0.0:80", "tcp [fd00::1]:80"),
            ("tcp *:80", "udp *:80"),
            ("tcp *:80", "tcp *:81"),
        ];
        for (one, two) in apart {
            assert!(!claim(one).overlaps(&claim(two)), "{one} and {two}");
            assert!(!claim(two).overlaps(&claim(one)), "{two} and {one}");
        }
    }

    #[test]
    fn an_ipv6_wildcard_takes_ipv4_as_well_where_the_kernel_does_so() {
        let ip = "::".parse().ok();
        assert_eq!(Address::new(ip, WildcardV6::Both), Address::Any);
        assert_eq!(Address::new(ip, WildcardV6::Only), Address::All(Family::V6));
    }
}
