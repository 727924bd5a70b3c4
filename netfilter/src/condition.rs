use std::fmt;

use types::{Cidr, Family};

/// What a packet must have beside the published port for a mapping to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub on: Match,
    /// Whether it must *not* be so.
    pub negated: bool,
}

/// A part of a packet and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Its source is in this network: `-s`, `ip saddr`.
    Source(Cidr),
    /// Its destination is in this network: `-d`, `ip daddr`.
    Destination(Cidr),
    /// It came by this link: `-i`, `iifname`. A `+` or `*` at the end stands for any rest.
    Iif(String),
    /// It leaves by this link: `-o`, `oifname`.
    Oif(String),
    /// Its transport protocol (`IPPROTO_*`): `-p`.
    Protocol(u8),
}

impl Condition {
    /// Whether it holds for all packets of `family`, or for none; `None` where that depends.
    pub(crate) fn always(&self, family: Family) -> Option<bool> {
        let (Match::Source(network) | Match::Destination(network)) = &self.on else { return None };
        let is_of_family = network.family() == family;
        let depends = is_of_family && !network.is_default();
        (!depends).then_some(is_of_family != self.negated)
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn from_words<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut word = words.next()?;
        let negated = word == "!";
        if negated {
            word = words.next()?;
        }
        let value = words.next()?;
        let on = match word {
            "-s" => Match::Source(value.parse().ok()?),
            "-d" => Match::Destination(value.parse().ok()?),
            "-i" => Match::Iif(value.to_owned()),
            "-o" => Match::Oif(value.to_owned()),
            "-p" => Match::Protocol(value.parse().ok()?),
            _ => return None,
        };
        Some(Self { on, negated })
    }
}

impl fmt::Display for Condition {
    /// As iptables(8) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("! ")?;
        }
        match &self.on {
            Match::Source(network) => write!(f, "-s {network}"),
            Match::Destination(network) => write!(f, "-d {network}"),
            Match::Iif(link) => write!(f, "-i {link}"),
            Match::Oif(link) => write!(f, "-o {link}"),
            Match::Protocol(number) => write!(f, "-p {number}"),
        }
    }
}
