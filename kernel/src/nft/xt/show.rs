//! A rule-specification in iptables(8)'s words, for people.

use std::fmt;
use std::net::IpAddr;

use super::{Destination, Match, Not, Spec, Target};

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        option(f, "-s", self.source.as_ref())?;
        option(f, "-d", self.destination.as_ref())?;
        option(f, "-i", self.iif.as_ref())?;
        option(f, "-o", self.oif.as_ref())?;
        option(f, "-p", self.protocol.as_ref())?;
        for one in &self.matches {
            write!(f, "{one} ")?;
        }
        write!(f, "-j {}", self.target)
    }
}

fn option<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    value: Option<&Not<T>>,
) -> fmt::Result {
    let Some(Not { inverted, value }) = value else { return Ok(()) };
    if *inverted {
        f.write_str("! ")?;
    }
    write!(f, "{word} {value} ")
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comment(text) => write!(f, "-m comment --comment {text:?}"),
            Self::ToLocal => f.write_str("-m addrtype --dst-type LOCAL"),
            Self::Known => f.write_str("-m conntrack --ctstate RELATED,ESTABLISHED"),
            Self::DestinationPorts(list) => {
                f.write_str("-m multiport --dports ")?;
                for (number, ports) in list.iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    write!(f, "{comma}{}", Ports(*ports))?;
                }
                Ok(())
            }
            Self::DestinationPort(first, last) => write!(f, "--dport {}", Ports((*first, *last))),
            Self::Mark(value, mask) => write!(f, "-m mark --mark {value:#x}/{mask:#x}"),
        }
    }
}

struct Ports((u16, u16));

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}:{last}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("ACCEPT"),
            Self::Drop => f.write_str("DROP"),
            Self::Return => f.write_str("RETURN"),
            Self::Jump(chain) => f.write_str(chain),
            Self::Mark(value, mask) => write!(f, "MARK --set-xmark {value:#x}/{mask:#x}"),
            Self::Masquerade => f.write_str("MASQUERADE"),
            Self::Dnat(to) => write!(f, "DNAT --to-destination {to}"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.first)?,
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.first)?,
        }
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        match self.base {
            Some(base) => write!(f, "/{base}"),
            None => Ok(()),
        }
    }
}
