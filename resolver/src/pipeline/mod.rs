//! What becomes of one query: a pure function of the zone, the door it came in by and its bytes.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Instant;

use crate::arpa;
use crate::wire::{Extended, Query, Rcode, Reply, kind, only};
use crate::zone::{Found, Network, Reverse, View, Whom, Zone};

/// Where a query came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// At the gateway of a network: the source address says who asks.
    Network(Rc<str>),
    /// In a container's own namespace: nobody else can ask there.
    Container(Rc<str>),
}

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: whoever sent it is on no network of ours.
    Outside,
    /// A reply.
    Reply(Vec<u8>, Answered),
    /// Others are asked.
    Forward(Whom),
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// About a name or an address of ours.
    Owned,
    /// By rules that hold everywhere.
    Special,
    /// That others may not be asked.
    Refused,
}

/// What is answered beside names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For how many seconds an answer about a container may be kept.
    pub ttl: u32,
    /// Whether a name of one label that nobody here has is looked for outside.
    pub forward_single_labels: bool,
    /// Whether anything is.
    pub forward: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ttl: 5, forward_single_labels: true, forward: true }
    }
}

/// Who asks, as far as that is known.
enum Asker {
    /// A container.
    Known(Rc<RefCell<View>>),
    /// Somebody on a network, who learns of nothing but this network.
    Stranger(Rc<RefCell<Network>>),
}

/// Decides about the query of `source` that came in by `door`.
#[must_use]
pub fn answer(
    zone: &Zone,
    policy: &Policy,
    (door, source): (&Door, IpAddr),
    query: &Query<'_>,
    now: Instant,
) -> Outcome {
    let Some(asker) = asker(zone, door, source) else { return Outcome::Outside };
    match &asker {
        Asker::Known(view) => {
            let view = view.borrow();
            let case = Case { zone, policy, query, networks: view.networks(), now };
            let whom = if policy.forward { view.whom() } else { &Whom::Nobody };
            case.decide(view.merges(), whom)
        }
        Asker::Stranger(network) => {
            let networks = std::slice::from_ref(network);
            let case = Case { zone, policy, query, networks, now };
            case.decide(false, &Whom::Nobody)
        }
    }
}

fn asker(zone: &Zone, door: &Door, source: IpAddr) -> Option<Asker> {
    match door {
        Door::Container(id) => zone.view(id).map(Asker::Known),
        Door::Network(name) => {
            let network = zone.network(name)?;
            if let Some(view) = network.borrow().view_from(source) {
                return Some(Asker::Known(view));
            }
            let neighbour = network.borrow().contains(source) || is_link_local(source);
            neighbour.then(|| Asker::Stranger(Rc::clone(network)))
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

struct Case<'a> {
    zone: &'a Zone,
    policy: &'a Policy,
    query: &'a Query<'a>,
    networks: &'a [Rc<RefCell<Network>>],
    now: Instant,
}

impl Case<'_> {
    fn decide(&self, merge: bool, whom: &Whom) -> Outcome {
        let name = self.query.name();
        if let Some(outcome) = self.special(name) {
            return outcome;
        }
        if let Some(range) = arpa::range(name)
            && let Some(outcome) = self.reverse(range, whom)
        {
            return outcome;
        }
        let mut found = Found::default();
        if self.zone.find(self.networks, merge, name, &mut found) {
            return self.owned(&found);
        }
        if let Some(suffix) = self.zone.suffix_of(self.networks, name) {
            return self.nothing_below(&suffix, name);
        }
        if self.zone.is_below_a_network(name)
            || self.zone.is_reserved(self.networks, name, self.now)
        {
            return self.owned_rcode(Rcode::NxDomain);
        }
        if *whom == Whom::Nobody {
            return self.prohibited();
        }
        if !self.policy.forward_single_labels && !name.is_empty() && !name.contains('.') {
            return Outcome::Reply(only(self.query, Rcode::NxDomain), Answered::Special);
        }
        Outcome::Forward(whom.clone())
    }

    /// Names that mean the same everywhere (RFC 6761, RFC 7686).
    fn special(&self, name: &str) -> Option<Outcome> {
        let domain = name.rsplit_once('.').map_or(name, |(_, last)| last);
        if domain == "localhost" {
            let mut reply = Reply::new(self.query).authoritative();
            if matches!(self.query.kind, kind::A | kind::ANY) {
                reply.v4(Ipv4Addr::LOCALHOST, self.policy.ttl);
            }
            if matches!(self.query.kind, kind::AAAA | kind::ANY) {
                reply.v6(Ipv6Addr::LOCALHOST, self.policy.ttl);
            }
            return Some(Outcome::Reply(reply.finish(Rcode::NoError, None), Answered::Special));
        }
        if matches!(domain, "invalid" | "onion") {
            return Some(Outcome::Reply(only(self.query, Rcode::NxDomain), Answered::Special));
        }
        None
    }

    /// What an address is called; `None` when others may know.
    fn reverse(&self, range: types::Cidr, whom: &Whom) -> Option<Outcome> {
        let whole = range.prefix() == range.family().bits();
        let reverse = match whole {
            true => self.zone.reverse(self.networks, range.ip()),
            false if self.zone.covers(range) => Reverse::Nothing,
            false => Reverse::Foreign,
        };
        match reverse {
            Reverse::Called(name) => {
                let mut reply = Reply::new(self.query).authoritative();
                if matches!(self.query.kind, kind::PTR | kind::ANY) {
                    reply.ptr(&name, self.policy.ttl);
                }
                Some(Outcome::Reply(reply.finish(Rcode::NoError, None), Answered::Owned))
            }
            Reverse::Nothing => Some(self.owned_rcode(Rcode::NxDomain)),
            // Who has which private address is nobody's business outside (RFC 6303).
            Reverse::Foreign if arpa::is_private(range.ip()) && !may_know(whom) => {
                Some(Outcome::Reply(only(self.query, Rcode::NxDomain), Answered::Special))
            }
            Reverse::Foreign => None,
        }
    }

    /// A name that somebody has: its addresses, and nothing of any other type.
    fn owned(&self, found: &Found) -> Outcome {
        let mut reply = Reply::new(self.query).authoritative();
        if matches!(self.query.kind, kind::A | kind::ANY) {
            found.v4.iter().for_each(|address| reply.v4(*address, self.policy.ttl));
        }
        if matches!(self.query.kind, kind::AAAA | kind::ANY) {
            found.v6.iter().for_each(|address| reply.v6(*address, self.policy.ttl));
        }
        Outcome::Reply(reply.finish(Rcode::NoError, None), Answered::Owned)
    }

    /// A name below a suffix of ours, or the suffix itself, that nobody has.
    fn nothing_below(&self, suffix: &str, name: &str) -> Outcome {
        let mut reply = Reply::new(self.query).authoritative();
        reply.soa(suffix, self.policy.ttl);
        let rcode = if name == suffix { Rcode::NoError } else { Rcode::NxDomain };
        Outcome::Reply(reply.finish(rcode, None), Answered::Owned)
    }

    fn owned_rcode(&self, rcode: Rcode) -> Outcome {
        let reply = Reply::new(self.query).authoritative();
        Outcome::Reply(reply.finish(rcode, None), Answered::Owned)
    }

    fn prohibited(&self) -> Outcome {
        let reply = Reply::new(self.query);
        let bytes = reply.finish(Rcode::NxDomain, Some(Extended::Prohibited));
        Outcome::Reply(bytes, Answered::Refused)
    }
}

/// Whether whoever is asked is on a private address itself. Whom the host asks is not looked at: its
/// resolver has to keep RFC 6303, too.
fn may_know(whom: &Whom) -> bool {
    match whom {
        Whom::Nobody => false,
        Whom::Host => true,
        Whom::These(servers) => servers.iter().all(|server| arpa::is_private(server.0.ip())),
    }
}
