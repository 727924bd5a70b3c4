use std::fmt;
use std::net::IpAddr;

use types::{Cidr, Family};

use crate::span::{self, Span};

/// What a configuration says of one range; everything but the subnet may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSpec {
    /// The network that the addresses are part of; its prefix length goes into results.
    pub subnet: Cidr,
    /// First address to hand out; by default the one after the network's own.
    pub start: Option<IpAddr>,
    /// Last address to hand out; by default the subnet's last, for IPv4 the one before the
    /// broadcast address.
    pub end: Option<IpAddr>,
    /// The gateway, never handed out; by default the address after the network's own. It may lie
    /// outside the subnet.
    pub gateway: Option<IpAddr>,
}

/// Addresses of one subnet that may be handed out: `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    subnet: Cidr,
    span: Span,
    gateway: IpAddr,
}

/// Ranges of one family that serve as one pool; an attachment gets one address of each set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<Range>,
}

/// All sets of a network, at least one, none overlapping another.
///
/// The place of a set is its number: the `N` in `last_reserved_ip.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSets(Vec<RangeSet>);

/// Why a range, a set or the list of sets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The subnet has fewer than two host bits.
    #[error("network {0} is too small to allocate from")]
    TooSmall(Cidr),
    /// The subnet is an address inside a network.
    #[error(
        "network {given} has host bits set: for a prefix of {} bits the network address is {}",
        .given.prefix(), .given.network().ip()
    )]
    HostBits {
        /// The subnet as given.
        given: Cidr,
    },
    /// `rangeStart` lies elsewhere.
    #[error("rangeStart {start} is not in network {subnet}")]
    StartOutside {
        /// The first address as given.
        start: IpAddr,
        /// The subnet.
        subnet: Cidr,
    },
    /// `rangeEnd` lies elsewhere.
    #[error("rangeEnd {end} is not in network {subnet}")]
    EndOutside {
        /// The last address as given.
        end: IpAddr,
        /// The subnet.
        subnet: Cidr,
    },
    /// The range runs backwards.
    #[error("rangeStart {start} is after rangeEnd {end}")]
    StartAfterEnd {
        /// The first address.
        start: IpAddr,
        /// The last address.
        end: IpAddr,
    },
    /// A set without a range.
    #[error("empty range set")]
    Empty,
    /// IPv4 and IPv6 in one set.
    #[error("mixed address families: {0} and {1} belong into two sets")]
    Mixed(Cidr, Cidr),
    /// Two ranges of a set share an address.
    #[error("ranges {0} and {1} overlap")]
    Overlap(String, String),
    /// Two sets share an address.
    #[error("range set {0} overlaps with {1}")]
    SetsOverlap(usize, usize),
    /// No set at all.
    #[error("no IP ranges specified")]
    NoSets,
    /// What is wrong with the set of this number.
    #[error("invalid range set {0}: {1}")]
    InSet(usize, Box<RangeError>),
}

impl Range {
    /// The range that `spec` describes.
    ///
    /// # Errors
    /// The first five of [`RangeError`].
    pub fn new(spec: RangeSpec) -> Result<Self, RangeError> {
        let subnet = spec.subnet;
        if subnet.prefix() + 2 > subnet.family().bits() {
            return Err(RangeError::TooSmall(subnet));
        }
        if subnet != subnet.network() {
            return Err(RangeError::HostBits { given: subnet });
        }
        if let Some(start) = spec.start.filter(|ip| !subnet.contains(*ip)) {
            return Err(RangeError::StartOutside { start, subnet });
        }
        if let Some(end) = spec.end.filter(|ip| !subnet.contains(*ip)) {
            return Err(RangeError::EndOutside { end, subnet });
        }
        let after_network = span::address(subnet.family(), span::number(subnet.ip()) + 1);
        let start = spec.start.unwrap_or(after_network);
        let end = spec.end.unwrap_or_else(|| last_to_hand_out(subnet));
        if span::number(start) > span::number(end) {
            return Err(RangeError::StartAfterEnd { start, end });
        }
        let span = Span::new(start, end).expect("both lie in one subnet, in order");
        Ok(Self { subnet, span, gateway: spec.gateway.unwrap_or(after_network) })
    }

    /// The network that the addresses are part of.
    #[must_use]
    pub fn subnet(&self) -> Cidr {
        self.subnet
    }

    /// First address to hand out.
    #[must_use]
    pub fn start(&self) -> IpAddr {
        self.span.first()
    }

    /// Last address to hand out.
    #[must_use]
    pub fn end(&self) -> IpAddr {
        self.span.last()
    }

    /// The gateway, inside the range or not.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Whether `ip` lies between the first and the last address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.span.contains(ip)
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }
}

fn last_to_hand_out(subnet: Cidr) -> IpAddr {
    let last = subnet.last();
    match subnet.family() {
        Family::V4 => span::address(Family::V4, span::number(last) - 1),
        Family::V6 => last,
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start(), self.end())
    }
}

impl RangeSet {
    /// One pool of `ranges`.
    ///
    /// # Errors
    /// [`RangeError::Empty`], [`RangeError::Mixed`], [`RangeError::Overlap`].
    pub fn new(ranges: Vec<Range>) -> Result<Self, RangeError> {
        let Some(first) = ranges.first() else { return Err(RangeError::Empty) };
        let family = first.subnet.family();
        if let Some(other) = ranges.iter().find(|range| range.subnet.family() != family) {
            return Err(RangeError::Mixed(first.subnet, other.subnet));
        }
        for (i, a) in ranges.iter().enumerate() {
            if let Some(b) = ranges[..i].iter().find(|b| b.span.overlaps(a.span)) {
                return Err(RangeError::Overlap(b.to_string(), a.to_string()));
            }
        }
        Ok(Self { ranges })
    }

    /// The ranges in the order in which they are used.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The family of all its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        self.ranges[0].subnet.family()
    }

    /// The range that `ip` belongs to.
    #[must_use]
    pub fn range_of(&self, ip: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.contains(ip))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.ranges.iter().any(|a| other.ranges.iter().any(|b| a.span.overlaps(b.span)))
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{range}")?;
        }
        Ok(())
    }
}

impl RangeSets {
    /// The sets of a network as its configuration lists them.
    ///
    /// # Errors
    /// [`RangeError::NoSets`], [`RangeError::InSet`], [`RangeError::SetsOverlap`].
    pub fn new(specs: Vec<Vec<RangeSpec>>) -> Result<Self, RangeError> {
        if specs.is_empty() {
            return Err(RangeError::NoSets);
        }
        let mut sets = Vec::with_capacity(specs.len());
        for (number, set) in specs.into_iter().enumerate() {
            let ranges = set.into_iter().map(Range::new).collect::<Result<Vec<_>, _>>();
            let set = ranges
                .and_then(RangeSet::new)
                .map_err(|why| RangeError::InSet(number, Box::new(why)))?;
            sets.push(set);
        }
        for (i, a) in sets.iter().enumerate() {
            if let Some(j) = sets[..i].iter().position(|b| b.overlaps(a)) {
                return Err(RangeError::SetsOverlap(j, i));
            }
        }
        Ok(Self(sets))
    }

    /// The sets, in order of their numbers.
    #[must_use]
    pub fn sets(&self) -> &[RangeSet] {
        &self.0
    }

    /// How many sets are of `family`.
    #[must_use]
    pub fn of_family(&self, family: Family) -> usize {
        self.0.iter().filter(|set| set.family() == family).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        types::parse_ip(text).unwrap()
    }

    /// `subnet [start] [end] [gateway]`, `-` where a field is left out.
    fn spec(text: &str) -> RangeSpec {
        let mut words = text.split(' ').map(|word| (word != "-").then_some(word));
        let subnet = words.next().flatten().unwrap().parse().unwrap();
        let mut next = || words.next().flatten().map(ip);
        RangeSpec { subnet, start: next(), end: next(), gateway: next() }
    }

    fn why(sets: &[&[&str]]) -> String {
        let specs = sets.iter().map(|set| set.iter().map(|text| spec(text)).collect()).collect();
        RangeSets::new(specs).map_or_else(|e| e.to_string(), |_| "fine".to_owned())
    }

    #[test]
    fn every_rule_has_its_own_text() {
        let cases: &[(&[&[&str]], &str)] = &[
            (&[], "no IP ranges specified"),
            (&[&[]], "invalid range set 0: empty range set"),
            (
                &[&["10.1.2.0/31"]],
                "invalid range set 0: network 10.1.2.0/31 is too small to allocate from",
            ),
            (
                &[&["fd00::/127"]],
                "invalid range set 0: network fd00::/127 is too small to allocate from",
            ),
            (
                &[&["10.1.2.3/29"]],
                "invalid range set 0: network 10.1.2.3/29 has host bits set: for a prefix of 29 \
                 bits the network address is 10.1.2.0",
            ),
            (
                &[&["10.1.2.0/29 10.1.3.1"]],
                "invalid range set 0: rangeStart 10.1.3.1 is not in network 10.1.2.0/29",
            ),
            (
                &[&["10.1.2.0/29 fd00::1"]],
                "invalid range set 0: rangeStart fd00::1 is not in network 10.1.2.0/29",
            ),
            (
                &[&["10.1.2.0/29 - 10.1.9.2"]],
                "invalid range set 0: rangeEnd 10.1.9.2 is not in network 10.1.2.0/29",
            ),
            (
                &[&["10.1.2.0/29 10.1.2.5 10.1.2.2"]],
                "invalid range set 0: rangeStart 10.1.2.5 is after rangeEnd 10.1.2.2",
            ),
            (
                &[&["10.1.2.0/29"], &["10.2.0.0/24", "fd00::/64"]],
                "invalid range set 1: mixed address families: 10.2.0.0/24 and fd00::/64 belong \
                 into two sets",
            ),
            (
                &[&["10.1.2.0/29", "10.1.2.0/24"]],
                "invalid range set 0: ranges 10.1.2.1-10.1.2.6 and 10.1.2.1-10.1.2.254 overlap",
            ),
            (&[&["10.1.2.0/29"], &["fd00::/64"], &["10.1.2.0/24"]], "range set 0 overlaps with 2"),
        ];
        for (sets, text) in cases {
            assert_eq!(why(sets), *text, "{sets:?}");
        }
    }

    #[test]
    fn what_existing_configurations_rely_on_is_taken() {
        let fine: &[&[&[&str]]] = &[
            // Two ranges of one subnet that share no address.
            &[&["10.1.2.0/24 10.1.2.5 10.1.2.9", "10.1.2.0/24 10.1.2.10 10.1.2.19"]],
            // A gateway outside, even of the other family.
            &[&["10.1.2.0/29 - - 192.0.2.1"]],
            &[&["10.1.2.0/29 - - fd00::1"]],
            // Network and broadcast address when asked for.
            &[&["10.1.2.0/29 10.1.2.0 10.1.2.7"]],
            &[&["10.1.2.0/30"], &["fd00::/126"]],
            &[&["0.0.0.0/0"], &["::/0"]],
        ];
        for sets in fine {
            assert_eq!(why(sets), "fine", "{sets:?}");
        }
    }

    #[test]
    fn defaults_leave_out_the_broadcast_of_ipv4_only() {
        let range = |text| Range::new(spec(text)).unwrap();
        assert_eq!(range("10.1.2.0/24").to_string(), "10.1.2.1-10.1.2.254");
        assert_eq!(range("10.1.2.0/24").gateway(), ip("10.1.2.1"));
        assert_eq!(range("fd00::/120").to_string(), "fd00::1-fd00::ff");
        assert_eq!(range("::/0").to_string(), "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }
}
