use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use types::{IfName, MacAddr};

/// What a host is called among the hosts of its networks: a UUID where a daemon made it, any short
/// name in a file. Lower case, so that a store's keys and file names are never two of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(String);

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHostId;

impl HostId {
    /// Longest one in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Ethernet address of this host's end of network `vni`: `02` and the first five bytes of
    /// SHA-256 of `id|vni`. So it is the same after a reboot, and needs no record to be known.
    #[must_use]
    pub fn vtep_mac(&self, vni: Vni) -> MacAddr {
        let digest = Sha256::digest(format!("{}|{}", self.0, vni.get()).as_bytes());
        let [a, b, c, d, e] = *digest.first_chunk().expect("SHA-256 has 32 bytes");
        MacAddr::from_bytes([0x02, a, b, c, d, e])
    }
}

impl FromStr for HostId {
    type Err = BadHostId;

    fn from_str(text: &str) -> Result<Self, BadHostId> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| plain(&b) || matches!(b, b'-' | b'.' | b'_');
        let fits = text.as_bytes().first().is_some_and(plain) && text.len() <= Self::MAX_BYTES;
        match fits && text.bytes().all(inner) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadHostId),
        }
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl fmt::Display for BadHostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a host's id has 1 to {} lower-case letters, digits, `-`, `.` or `_` and starts with \
             a letter or digit",
            HostId::MAX_BYTES
        )
    }
}

impl std::error::Error for BadHostId {}

/// Number of a network on the wire: 24 bits, not 0 (RFC 7348 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

/// A number outside 1..=16777215.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadVni(pub u32);

impl Vni {
    /// The greatest.
    pub const MAX: u32 = 0x00ff_ffff;

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The device whose packets travel over IPv4: `ov-` and six hexadecimal digits.
    #[must_use]
    pub fn device(self) -> IfName {
        self.link("ov")
    }

    /// The one whose packets travel over IPv6.
    #[must_use]
    pub fn device6(self) -> IfName {
        self.link("ov6")
    }

    /// The bridge that containers are on.
    #[must_use]
    pub fn bridge(self) -> IfName {
        self.link("ob")
    }

    fn link(self, kind: &str) -> IfName {
        let name = format!("{kind}-{:06x}", self.0);
        name.parse().expect("at most ten letters, digits and a dash name a link")
    }
}

impl TryFrom<u32> for Vni {
    type Error = BadVni;

    fn try_from(number: u32) -> Result<Self, BadVni> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(BadVni(number)) }
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for BadVni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VNI {} is outside 1..{}", self.0, Vni::MAX)
    }
}

impl std::error::Error for BadVni {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_address_follows_from_its_id_and_the_network() {
        let id: HostId = "a".parse().unwrap();
        let vni = Vni::try_from(4103).unwrap();
        // printf 'a|4103' | sha256sum
        assert_eq!(id.vtep_mac(vni).to_string(), "02:f8:96:cc:54:07");
        assert_ne!(id.vtep_mac(vni), id.vtep_mac(Vni::try_from(4104).unwrap()));
    }

    #[test]
    fn links_are_named_after_the_network() {
        let vni = Vni::try_from(4103).unwrap();
        let names = [vni.device(), vni.device6(), vni.bridge()];
        assert_eq!(names.map(|name| name.to_string()), ["ov-001007", "ov6-001007", "ob-001007"]);
        let _ = Vni::try_from(Vni::MAX).unwrap().device6();
    }

    #[test]
    fn what_names_no_host_or_network_is_refused() {
        for text in ["", "A", "-a", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(text.parse::<HostId>().is_err(), "{text:?}");
        }
        for number in [0, Vni::MAX + 1] {
            assert_eq!(Vni::try_from(number), Err(BadVni(number)));
        }
    }
}
