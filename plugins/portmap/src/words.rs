//! The words of `conditionsV4` and `conditionsV6`: those of iptables(8) or of nft(8) that our rules
//! can say.

use cni::Error;
use cni::json::{Object, Value};
use netfilter::{Condition, Match};
use types::{Cidr, Family, IfName};

/// The conditions at `key`; any word that is not known is an error that names it.
///
/// # Errors
/// Codes 6 and 7.
pub(crate) fn conditions(
    keys: &Object<'_>,
    key: &str,
    family: Family,
) -> Result<Vec<Condition>, Error> {
    let Some(value) = keys.get(key) else { return Ok(Vec::new()) };
    let texts: Vec<String> = keys.strings(key)?;
    let words: Vec<&str> = texts.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
    let mut reader = Reader { value, words: &words, family };
    let mut conditions = Vec::new();
    let iptables = words.first().is_some_and(|word| word.starts_with(['-', '!']));
    while !reader.words.is_empty() {
        conditions.push(if iptables { reader.iptables()? } else { reader.nft()? });
    }
    Ok(conditions)
}

struct Reader<'a> {
    value: Value<'a>,
    words: &'a [&'a str],
    family: Family,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// `[!] -s 10.0.0.0/8`
    fn iptables(&mut self) -> Result<Condition, Error> {
        let mut word = self.next().unwrap_or_default();
        let negated = word == "!";
        if negated {
            word = self.next().unwrap_or_default();
        }
        let on = match word {
            "-s" => Match::Source(self.network(word)?),
            "-d" => Match::Destination(self.network(word)?),
            "-i" => Match::Iif(self.link(word)?),
            "-o" => Match::Oif(self.link(word)?),
            "-p" => Match::Protocol(self.protocol(word)?),
            other => return Err(self.unknown(other, "-s, -d, -i, -o and -p, with ! before them")),
        };
        Ok(Condition { on, negated })
    }

    /// `ip saddr != 10.0.0.0/8`, `iifname "eth0"`
    fn nft(&mut self) -> Result<Condition, Error> {
        let family = match self.family {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        };
        let known = match self.family {
            Family::V4 => "ip saddr, ip daddr, iifname and oifname, with != after them",
            Family::V6 => "ip6 saddr, ip6 daddr, iifname and oifname, with != after them",
        };
        let word = self.next().unwrap_or_default();
        let what = match word {
            "iifname" | "oifname" => word,
            word if word == family => match self.next().unwrap_or_default() {
                end @ ("saddr" | "daddr") => end,
                other => return Err(self.unknown(other, known)),
            },
            other => return Err(self.unknown(other, known)),
        };
        let negated = self.words.first() == Some(&"!=");
        if negated || self.words.first() == Some(&"==") {
            self.next();
        }
        let on = match what {
            "saddr" => Match::Source(self.network(what)?),
            "daddr" => Match::Destination(self.network(what)?),
            "iifname" => Match::Iif(self.link(what)?),
            _ => Match::Oif(self.link(what)?),
        };
        Ok(Condition { on, negated })
    }

    fn network(&mut self, after: &str) -> Result<Cidr, Error> {
        let text = self.operand(after)?;
        let cidr = match text.contains('/') {
            true => text.parse::<Cidr>().ok(),
            false => types::parse_ip(text).map(Cidr::host),
        };
        let fits = |cidr: &Cidr| cidr.family() == self.family;
        cidr.filter(fits).map(Cidr::network).ok_or_else(|| {
            self.value.invalid(format!("\"{text}\" after {after} is no {} network", self.family))
        })
    }

    fn link(&mut self, after: &str) -> Result<String, Error> {
        let text = self.operand(after)?.trim_matches('"');
        let start = text.strip_suffix(['+', '*']).unwrap_or(text);
        match start.is_empty() || start.parse::<IfName>().is_ok() {
            true if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.value.invalid(format!("\"{text}\" after {after} is no name of a link"))),
        }
    }

    fn protocol(&mut self, after: &str) -> Result<u8, Error> {
        let text = self.operand(after)?;
        let named = [("tcp", 6), ("udp", 17), ("sctp", 132), ("icmp", 1), ("ipv6-icmp", 58)];
        let known = named.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        known
            .map(|(_, number)| number)
            .or_else(|| text.parse().ok())
            .ok_or_else(|| self.value.invalid(format!("\"{text}\" after {after} is no protocol")))
    }

    fn operand(&mut self, after: &str) -> Result<&'a str, Error> {
        self.next().ok_or_else(|| self.value.invalid(format!("a value is missing after {after}")))
    }

    fn unknown(&self, word: &str, known: &str) -> Error {
        self.value
            .invalid(format!("unknown word \"{word}\""))
            .with_hint(format!("known are {known}"))
    }
}
