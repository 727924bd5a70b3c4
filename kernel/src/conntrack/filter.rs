//! What is to be forgotten.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use types::{Cidr, Family, canonical};

use super::entry::{Entry, Tuple};

/// Which connections; every condition must hold. There is no filter without any.
///
/// IPv4-mapped IPv6 addresses are taken as IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub(super) protocol: Option<u8>,
    pub(super) ports: Option<(u16, u16)>,
    pub(super) source: Option<IpAddr>,
    pub(super) destinations: Vec<Cidr>,
    pub(super) reply_source: Option<IpAddr>,
    pub(super) reply_source_not: Option<IpAddr>,
    pub(super) anywhere: Option<IpAddr>,
    pub(super) family: Option<Family>,
}

impl Filter {
    /// Connections of `protocol` (`IPPROTO_UDP`, …) begun towards one of `ports`, as the client
    /// sees them: the host's ports of a published range.
    #[must_use]
    pub fn to_ports(protocol: u8, ports: RangeInclusive<u16>) -> Self {
        let ports = Some(ports.into_inner());
        Self { protocol: Some(protocol), ports, ..Self::anything() }
    }

    /// Connections with `address` in any position, before or after translation.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self { anywhere: Some(canonical(address)), ..Self::anything() }
    }

    /// Connections begun by `address`.
    #[must_use]
    pub fn from(address: IpAddr) -> Self {
        Self::anything().source(address)
    }

    /// Connections that `address` answers: the container to which a published port leads.
    #[must_use]
    pub fn answered_by(address: IpAddr) -> Self {
        Self::anything().reply_source(address)
    }

    fn anything() -> Self {
        Self {
            protocol: None,
            ports: None,
            source: None,
            destinations: Vec::new(),
            reply_source: None,
            reply_source_not: None,
            anywhere: None,
            family: None,
        }
    }

    /// Only those of `protocol` (`IPPROTO_*`).
    #[must_use]
    pub fn protocol(self, protocol: u8) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// Only those begun towards one of `ports`.
    #[must_use]
    pub fn ports(self, ports: RangeInclusive<u16>) -> Self {
        Self { ports: Some(ports.into_inner()), ..self }
    }

    /// Only those begun by `address`.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Self {
        Self { source: Some(canonical(address)), ..self }
    }

    /// Only those begun towards `network`, as the client sees it. A second call allows a second
    /// network: give all of the host's addresses to leave out what it merely forwards.
    #[must_use]
    pub fn destination(mut self, network: Cidr) -> Self {
        self.destinations.push(network);
        self
    }

    /// Only those that `address` answers, after translation.
    #[must_use]
    pub fn reply_source(self, address: IpAddr) -> Self {
        Self { reply_source: Some(canonical(address)), ..self }
    }

    /// Only those of `address`' family that somebody else answers: what was translated to another
    /// container, or to none.
    #[must_use]
    pub fn reply_source_not(self, address: IpAddr) -> Self {
        Self { reply_source_not: Some(canonical(address)), ..self }
    }

    /// Only those of one family.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        Self { family: Some(family), ..self }
    }

    pub(super) fn matches(&self, entry: &Entry<'_>) -> bool {
        let Entry { original, reply, .. } = entry;
        let is = |wanted: Option<IpAddr>, found| wanted.is_none_or(|wanted| wanted == found);
        let family = Family::of(original.source);
        self.protocol.is_none_or(|protocol| protocol == original.protocol)
            && self.family.is_none_or(|wanted| wanted == family)
            && self.ports.is_none_or(|range| holds(range, original))
            && is(self.source, original.source)
            && is(self.reply_source, reply.source)
            && self
                .reply_source_not
                .is_none_or(|not| not != reply.source && Family::of(not) == family)
            && self.anywhere.is_none_or(|address| {
                let Tuple { source, destination, .. } = original;
                [*source, *destination, reply.source, reply.destination].contains(&address)
            })
            && (self.destinations.is_empty()
                || self.destinations.iter().any(|network| network.contains(original.destination)))
    }

    /// The families in which something can match.
    pub(super) fn families(&self) -> impl Iterator<Item = Family> {
        let of = |address: Option<IpAddr>| address.map(Family::of);
        let one = self
            .family
            .or(of(self.source))
            .or(of(self.reply_source))
            .or(of(self.reply_source_not))
            .or(of(self.anywhere));
        [Family::V4, Family::V6].into_iter().filter(move |&family| {
            one.is_none_or(|one| one == family)
                && (self.destinations.is_empty()
                    || self.destinations.iter().any(|network| network.family() == family))
        })
    }
}

fn holds((first, last): (u16, u16), tuple: &Tuple) -> bool {
    tuple.destination_port.is_some_and(|port| (first..=last).contains(&port))
}
