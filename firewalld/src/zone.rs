//! Zones, and what is bound to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use types::IfName;

/// The name of a zone, as in firewalld.zones(5). Whether there is such a zone, firewalld knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(String);

impl Zone {
    /// The name as firewalld has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why something cannot be the name of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// To firewalld the empty name means its default zone, which changes under our hands.
    #[error("the name of a firewalld zone is empty")]
    Empty,
    /// Not even a message can carry a NUL, and no zone has a name that a terminal obeys.
    #[error("the name of a firewalld zone has a control character")]
    Control,
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if text.is_empty() {
            return Err(ZoneError::Empty);
        }
        if text.contains(char::is_control) {
            return Err(ZoneError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be bound to a zone, and to one zone only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Packets from one address: `10.1.0.2/32` or `fd00::2/128`, which is what the reference's
    /// `firewall` plugin writes too. firewalld compares it as text.
    Source(IpAddr),
    /// Packets that come in by a link; weaker than a source.
    Interface(IfName),
}

impl Member {
    /// `Source` or `Interface`, as it is part of the names of firewalld's methods.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "Source",
            Self::Interface(_) => "Interface",
        }
    }

    /// As an argument of those methods.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Source(ip) => format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }),
            Self::Interface(name) => name.to_string(),
        }
    }
}

impl fmt::Display for Member {
    /// `source 10.1.0.2/32` or `interface cni0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Source(_) => "source",
            Self::Interface(_) => "interface",
        };
        write!(f, "{kind} {}", self.argument())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_firewalld_takes_them() {
        let source = |ip: &str| Member::Source(ip.parse().unwrap()).argument();
        assert_eq!(source("10.1.0.2"), "10.1.0.2/32");
        assert_eq!(source("fd00:0::2"), "fd00::2/128");
        let bridge = Member::Interface("cni0".parse().unwrap());
        assert_eq!(
            (bridge.argument(), bridge.to_string()),
            ("cni0".into(), "interface cni0".into())
        );
    }

    #[test]
    fn a_zone_has_a_name_that_can_be_printed() {
        assert_eq!("trusted".parse::<Zone>().unwrap().as_str(), "trusted");
        assert_eq!("".parse::<Zone>(), Err(ZoneError::Empty));
        assert_eq!("a\0".parse::<Zone>(), Err(ZoneError::Control));
    }
}
