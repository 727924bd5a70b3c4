use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::IpNetwork;

/// The two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bits of an address: 32 or 128.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Destination of a default route: `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub fn default_route(self) -> Cidr {
        match self {
            Self::V4 => Cidr { ip: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 },
            Self::V6 => Cidr { ip: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 },
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An address with the length of its network's prefix (RFC 4632), host bits kept: `10.1.2.3/16`.
///
/// IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`) become IPv4, as everywhere in CNI.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    ip: IpAddr,
    prefix: u8,
}

/// A text that is not an address in CIDR form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCidr(String);

impl fmt::Display for BadCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid CIDR address: {}", self.0)
    }
}

impl std::error::Error for BadCidr {}

impl Cidr {
    /// `ip` in a network with a prefix of `prefix` bits; `None` when that is more than the family has.
    #[must_use]
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= Family::of(ip).bits()).then_some(Self { ip, prefix })
    }

    /// The single address `ip`: `/32` or `/128`.
    #[must_use]
    pub fn host(ip: IpAddr) -> Self {
        Self { ip, prefix: Family::of(ip).bits() }
    }

    /// The address, host bits included.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// Length of the prefix in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Family of the address.
    #[must_use]
    pub fn family(self) -> Family {
        Family::of(self.ip)
    }

    /// The network itself: the same prefix with all host bits cleared.
    #[must_use]
    pub fn network(self) -> Self {
        Self { ip: self.inner().network(), prefix: self.prefix }
    }

    /// The last address of the network: for IPv4 below /31 the broadcast address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.inner().broadcast()
    }

    /// The IPv4 broadcast address, where there is one (prefix shorter than 31 bits).
    #[must_use]
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.last() {
            IpAddr::V4(ip) if self.prefix < 31 => Some(ip),
            _ => None,
        }
    }

    /// Whether `ip` lies in this network.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        self.inner().contains(ip)
    }

    /// Whether the two networks share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network().ip) || other.contains(self.network().ip)
    }

    /// Whether this is a default route's destination: prefix length 0.
    #[must_use]
    pub fn is_default(self) -> bool {
        self.prefix == 0
    }

    fn inner(self) -> IpNetwork {
        IpNetwork::new(self.ip, self.prefix).expect("prefix was checked when this value was made")
    }
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let bad = || BadCidr(text.to_owned());
        let (ip, prefix) = text.split_once('/').ok_or_else(bad)?;
        let raw: IpAddr = ip.parse().map_err(|_| bad())?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if prefix > Family::of(raw).bits() {
            return Err(bad());
        }
        let ip = canonical(raw);
        // ::ffff:10.0.0.1/120 is 10.0.0.1/24.
        let prefix = match (raw, ip) {
            (IpAddr::V6(_), IpAddr::V4(_)) => prefix.checked_sub(96).ok_or_else(bad)?,
            _ => prefix,
        };
        Ok(Self { ip, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `ip` with IPv4-mapped IPv6 turned into IPv4.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// An address without a prefix, IPv4-mapped IPv6 taken as IPv4; zones are refused.
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_plain_address_or_a_dotted_mask_is_no_cidr() {
        for text in [
            "10.0.0.1",
            "10.0.0.1/",
            "10.0.0.1/33",
            "10.0.0.0/255.0.0.0",
            "::1/129",
            "fe80::1%eth0/64",
            "10.0.0.1/+8",
            "10.0.0/8",
            "::ffff:1.2.3.4/90",
            "",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn host_bits_stay_and_text_is_canonical() {
        assert_eq!(cidr("10.1.2.3/16").to_string(), "10.1.2.3/16");
        assert_eq!(cidr("FD00:0::5/64").to_string(), "fd00::5/64");
        assert_eq!(cidr("::ffff:10.0.0.1/120").to_string(), "10.0.0.1/24");
        assert_eq!(cidr("10.1.2.3/16").network(), cidr("10.1.0.0/16"));
    }

    #[test]
    fn broadcast_exists_only_below_31_bits_of_ipv4() {
        assert_eq!(cidr("10.1.2.3/24").broadcast(), Some(Ipv4Addr::new(10, 1, 2, 255)));
        assert_eq!(cidr("10.1.2.2/31").broadcast(), None);
        assert_eq!(cidr("fd00::/64").broadcast(), None);
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.1.0.0/16")));
        assert!(cidr("10.1.0.0/16").overlaps(cidr("10.0.0.0/8")));
        assert!(!cidr("10.1.0.0/16").overlaps(cidr("10.2.0.0/16")));
        assert!(!cidr("::/0").overlaps(cidr("10.2.0.0/16")));
    }
}
