use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use types::{Cidr, Family, parse_ip};

/// Consecutive addresses of one family, the first and the last included: `10.0.0.5-10.0.0.9`.
///
/// As text also a single address or a network: all of them are ways to exclude addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    family: Family,
    first: u128,
    last: u128,
}

/// A text that is neither an address nor a network nor two addresses in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address, no network and no range FIRST-LAST of addresses of one family")]
pub struct BadSpan(String);

impl Span {
    /// The addresses from `first` to `last`; `None` when they are of two families or in the wrong
    /// order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let family = Family::of(first);
        let (low, high) = (number(first), number(last));
        (family == Family::of(last) && low <= high).then_some(Self {
            family,
            first: low,
            last: high,
        })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        address(self.family, self.first)
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        address(self.family, self.last)
    }

    /// Family of the addresses.
    #[must_use]
    pub fn family(self) -> Family {
        self.family
    }

    /// Whether `ip` is one of the addresses.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && (self.first..=self.last).contains(&number(ip))
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// How many addresses there are; `::/0` has one more than fits and says the largest number.
    pub(crate) fn count(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// The part from `low` to `high`, both inside.
    pub(crate) fn part(self, low: u128, high: u128) -> Option<Self> {
        (low <= high).then_some(Self { family: self.family, first: low, last: high })
    }

    pub(crate) fn bounds(self) -> (u128, u128) {
        (self.first, self.last)
    }

    /// What is left of the span when `cuts` are taken out, in order.
    pub(crate) fn without(self, cuts: &[Self]) -> Vec<Self> {
        let mut left = Vec::new();
        let mut from = self.first;
        // There are a few at most; sorting them costs more code than looking again.
        let next_from = |from: u128| {
            let ahead = cuts.iter().filter(|cut| cut.overlaps(self) && cut.last >= from);
            ahead.min_by_key(|cut| cut.first)
        };
        while let Some(cut) = next_from(from) {
            left.extend(cut.first.checked_sub(1).and_then(|high| self.part(from, high)));
            match cut.last.checked_add(1) {
                Some(next) => from = next,
                None => return left,
            }
        }
        left.extend(self.part(from, self.last));
        left
    }
}

impl From<IpAddr> for Span {
    fn from(ip: IpAddr) -> Self {
        let number = number(ip);
        Self { family: Family::of(ip), first: number, last: number }
    }
}

impl From<Cidr> for Span {
    fn from(cidr: Cidr) -> Self {
        Self {
            family: cidr.family(),
            first: number(cidr.network().ip()),
            last: number(cidr.last()),
        }
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(text.to_owned());
        if let Some((first, last)) = text.split_once('-') {
            let ends = parse_ip(first.trim()).zip(parse_ip(last.trim()));
            return ends.and_then(|(first, last)| Self::new(first, last)).ok_or_else(bad);
        }
        match text.parse::<Cidr>() {
            Ok(cidr) => Ok(cidr.into()),
            Err(_) => parse_ip(text).map(Self::from).ok_or_else(bad),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first());
        }
        write!(f, "{}-{}", self.first(), self.last())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The address as a number; only numbers of one family compare.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address of `family` with this number, of which IPv4 uses the low 32 bits.
pub(crate) fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(number as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_networks_and_ranges_are_spans() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.7/29", "10.0.0.0-10.0.0.7"),
            ("10.0.0.5 - 10.0.0.9", "10.0.0.5-10.0.0.9"),
            ("fd00::/127", "fd00::-fd00::1"),
        ] {
            assert_eq!(span(text).to_string(), shown);
        }
        for text in ["", "x", "10.0.0.9-10.0.0.5", "10.0.0.1-fd00::1", "10.0.0.1-", "1-2"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn cutting_leaves_exactly_the_rest() {
        let whole = span("10.0.0.0/28");
        let cases: &[(&[&str], &str)] = &[
            (&[], "[10.0.0.0-10.0.0.15]"),
            (&["10.0.0.0/28"], "[]"),
            (&["0.0.0.0/0", "10.0.0.3"], "[]"),
            (&["10.0.0.0", "10.0.0.15"], "[10.0.0.1-10.0.0.14]"),
            (&["10.0.0.4/30", "10.0.0.6-10.0.0.9"], "[10.0.0.0-10.0.0.3, 10.0.0.10-10.0.0.15]"),
            (&["10.0.1.0/24", "fd00::/8"], "[10.0.0.0-10.0.0.15]"),
        ];
        for (cuts, rest) in cases {
            let cuts: Vec<_> = cuts.iter().map(|text| span(text)).collect();
            assert_eq!(format!("{:?}", whole.without(&cuts)), *rest, "{cuts:?}");
        }
        assert!(span("::/0").without(&[span("::/0")]).is_empty());
        assert_eq!(span("::/0").without(&[span("::-fffe::")]).len(), 1);
    }
}
