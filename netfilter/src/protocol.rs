use std::fmt;
use std::str::FromStr;

/// A transport protocol whose ports can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// RFC 9293
    Tcp = 6,
    /// RFC 768
    Udp = 17,
    /// RFC 9260
    Sctp = 132,
}

/// A text that names no protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadProtocol;

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// `IPPROTO_*`
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl FromStr for Protocol {
    type Err = BadProtocol;

    /// Reads a name; runtimes write it in any case.
    fn from_str(text: &str) -> Result<Self, BadProtocol> {
        let same = |protocol: &Self| protocol.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(same).ok_or(BadProtocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for BadProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is none of tcp, udp and sctp")
    }
}

impl std::error::Error for BadProtocol {}
