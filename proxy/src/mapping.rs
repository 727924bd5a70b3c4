//! What is published: values that cannot be wrong.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV6};
use std::str::FromStr;

/// A protocol that can be passed on by a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Streams, see tcp(7).
    Tcp,
    /// Datagrams, see udp(7).
    Udp,
}

/// Why a text names no protocol that can be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadProtocol {
    /// SCTP, which people publish: associations span several addresses, which a process in between
    /// would cut down to one.
    Sctp,
    /// Anything else.
    Unknown(String),
}

impl fmt::Display for BadProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sctp => f.write_str(
                "sctp cannot be proxied, since an association would lose all addresses but one: \
                 reach it at an address of the container's own family",
            ),
            Self::Unknown(text) => write!(f, "{text:?} is neither tcp nor udp"),
        }
    }
}

impl std::error::Error for BadProtocol {}

impl FromStr for Protocol {
    type Err = BadProtocol;

    fn from_str(text: &str) -> Result<Self, BadProtocol> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Err(BadProtocol::Sctp),
            other => Err(BadProtocol::Unknown(other.to_owned())),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port that is published: what arrives at one address is passed on to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mapping {
    /// How both sides speak.
    pub protocol: Protocol,
    /// Where the host listens.
    pub listen: SocketAddrV6,
    /// Where the container listens, as the host reaches it.
    pub target: SocketAddr,
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} to {}", self.listen, self.protocol, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sctp_is_refused_with_its_reason_and_others_by_name() {
        let refused = "sctp".parse::<Protocol>().unwrap_err().to_string();
        assert!(refused.starts_with("sctp cannot be proxied, since"), "{refused}");
        assert_eq!(
            "TCP".parse::<Protocol>().unwrap_err().to_string(),
            "\"TCP\" is neither tcp nor udp"
        );
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
    }
}
