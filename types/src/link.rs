use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address that a device can carry: unicast and not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

/// Why a text is not the address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadMac {
    /// Not six hexadecimal pairs separated by `:` or `-`.
    Form(String),
    /// A group address (lowest bit of the first byte set) or all zero; the kernel refuses both.
    NotUnicast(String),
}

impl fmt::Display for BadMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "address {text}: invalid MAC address"),
            Self::NotUnicast(text) => {
                write!(f, "address {text}: a device needs a unicast MAC address")
            }
        }
    }
}

impl std::error::Error for BadMac {}

impl MacAddr {
    /// The address from the six bytes that the kernel gave. Zero is what `lo` has.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The six bytes in network order.
    #[must_use]
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// A locally administered unicast address made of `seed` (IEEE 802, bit 1 of the first byte).
    #[must_use]
    pub fn local(seed: [u8; 6]) -> Self {
        let mut bytes = seed;
        bytes[0] = (bytes[0] | 0x02) & 0xfe;
        Self(bytes)
    }
}

impl FromStr for MacAddr {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let form = || BadMac::Form(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(form)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(form());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| form())?;
        }
        if parts.next().is_some() {
            return Err(form());
        }
        if bytes[0] & 1 != 0 || bytes == [0; 6] {
            return Err(BadMac::NotUnicast(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An IEEE 802.1Q VLAN id: 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

/// A number outside 1..=4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadVlanId(pub u32);

impl fmt::Display for BadVlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VLAN id {} is outside 1..4094", self.0)
    }
}

impl std::error::Error for BadVlanId {}

impl VlanId {
    /// The id that a VLAN-aware bridge gives every new port.
    pub const DEFAULT: Self = Self(1);

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for VlanId {
    type Error = BadVlanId;

    fn try_from(id: u32) -> Result<Self, BadVlanId> {
        match u16::try_from(id) {
            Ok(small @ 1..=4094) => Ok(Self(small)),
            _ => Err(BadVlanId(id)),
        }
    }
}

/// Largest packet of a link in bytes, link-layer header not counted: 68 to 65535.
///
/// The kernel's own least is 68 (RFC 791); IPv6 needs 1280 (RFC 8200).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(u32);

/// A number of bytes that no link takes as MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMtu(pub u32);

impl fmt::Display for BadMtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MTU {} is outside 68..65535 bytes", self.0)
    }
}

impl std::error::Error for BadMtu {}

impl Mtu {
    /// Bytes.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Mtu {
    type Error = BadMtu;

    fn try_from(bytes: u32) -> Result<Self, BadMtu> {
        if (68..=65535).contains(&bytes) { Ok(Self(bytes)) } else { Err(BadMtu(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_carries_only_unicast_addresses() {
        for text in [
            "",
            "1:2:3:4:5:6",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "c2:11:22:33:44",
            "c2:11:22:33:44:55:66",
            "c2:11:22:33:44:5g",
            "c2-11:22:33:44:55",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text:?}");
        }
        let mac: MacAddr = "C2-11-22-33-44-55".parse().unwrap();
        assert_eq!(mac.to_string(), "c2:11:22:33:44:55");
    }

    #[test]
    fn vlan_ids_and_mtus_have_their_ranges() {
        assert!(VlanId::try_from(0).is_err() && VlanId::try_from(4095).is_err());
        assert!(Mtu::try_from(67).is_err() && Mtu::try_from(65536).is_err());
        assert_eq!(Mtu::try_from(1500).map(Mtu::get), Ok(1500));
    }
}
