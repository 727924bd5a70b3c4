//! What all doors of the worker share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::SetOnce;

use super::others::Others;
use crate::limit::{Bounds, Held, Limits};
use crate::metrics::{Counters, Lost, Origin, Transport};
use crate::pipeline::{self, Answered, Door, Outcome, Policy};
use crate::upstream::{UpstreamSet, fit};
use crate::wire::{self, Query, Rcode, Unanswerable};
use crate::zone::Zone;

/// What all doors share.
pub(super) struct Shared {
    /// Set once all is known that was remembered. Until then an asker may be taken for a stranger, so
    /// that queries wait in their sockets.
    pub(super) begun: SetOnce<()>,
    pub(super) zone: RefCell<Zone>,
    pub(super) policy: RefCell<Policy>,
    pub(super) limits: Rc<Limits>,
    pub(super) others: Others,
    counters: RefCell<HashMap<Rc<str>, Rc<Counters>>>,
    pub(super) reloads: Cell<u64>,
}

/// Where a query came in, and what is counted there.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    pub(super) door: Door,
    pub(super) counters: Rc<Counters>,
}

/// A query that others are asked about.
#[derive(Debug)]
pub(super) struct Asking {
    set: Rc<UpstreamSet>,
    _held: Held,
}

/// What becomes of a query now.
#[derive(Debug)]
pub(super) enum Now {
    /// Nothing.
    Nothing,
    /// This is the reply.
    Reply(Vec<u8>),
    /// Others are asked first.
    Ask(Asking),
}

impl Shared {
    pub(super) fn new(policy: Policy, bounds: Bounds, others: Others) -> Self {
        Self {
            begun: SetOnce::new(),
            zone: RefCell::default(),
            policy: RefCell::new(policy),
            limits: Rc::new(Limits::new(bounds)),
            others,
            counters: RefCell::default(),
            reloads: Cell::default(),
        }
    }

    /// The counters of a network.
    pub(super) fn counters(&self, network: &str) -> Rc<Counters> {
        let mut all = self.counters.borrow_mut();
        if let Some(counters) = all.get(network) {
            return Rc::clone(counters);
        }
        let name: Rc<str> = network.into();
        let counters = Rc::new(Counters::of(Rc::clone(&name)));
        all.insert(name, Rc::clone(&counters));
        counters
    }

    /// Counters of all networks, and forgets those of `gone` ones.
    pub(super) fn all_counters(&self) -> Vec<Rc<Counters>> {
        self.counters.borrow().values().map(Rc::clone).collect()
    }

    /// Looks at a packet of `source`. A reply fits the transport.
    pub(super) fn handle(
        &self,
        entrance: &Entrance,
        (transport, source): (Transport, IpAddr),
        packet: &[u8],
        now: Instant,
    ) -> Now {
        let Entrance { door, counters } = entrance;
        if !self.limits.admits(door, source) {
            counters.lost(Lost::Rate);
            return Now::Nothing;
        }
        let query = match Query::read(packet) {
            Ok(query) => query,
            Err(Unanswerable::Drop) => {
                counters.lost(Lost::Malformed);
                return Now::Nothing;
            }
            Err(Unanswerable::Only(rcode, query)) => {
                let reply = wire::only(&query, rcode);
                counters.answered(transport, query.kind, &reply, Origin::Invalid);
                return Now::Reply(reply);
            }
        };
        let outcome = {
            let (zone, policy) = (self.zone.borrow(), self.policy.borrow());
            pipeline::answer(&zone, &policy, (door, source), &query, now)
        };
        let (reply, origin) = match outcome {
            Outcome::Outside => {
                counters.lost(Lost::Outside);
                return Now::Nothing;
            }
            Outcome::Reply(reply, answered) => (reply, origin(answered)),
            Outcome::Forward(whom) => {
                let set = self.others.set(&self.zone.borrow(), &whom);
                match self.others.forwarder().cached(&set, packet) {
                    Some(reply) => (reply, Origin::Cache),
                    None => match self.limits.forward(door, source) {
                        Some(held) => return Now::Ask(Asking { set, _held: held }),
                        None => (wire::only(&query, Rcode::ServFail), Origin::Refused),
                    },
                }
            }
        };
        counters.answered(transport, query.kind, &reply, origin);
        Now::Reply(fitting(transport, &query, reply))
    }

    /// Asks others.
    pub(super) async fn ask(
        &self,
        entrance: &Entrance,
        transport: Transport,
        asking: Asking,
        packet: &[u8],
    ) -> Vec<u8> {
        let reply = self.others.forwarder().resolve(&asking.set, packet).await;
        match Query::read(packet) {
            Err(_) => reply,
            Ok(query) => {
                entrance.counters.answered(transport, query.kind, &reply, Origin::Forwarded);
                fitting(transport, &query, reply)
            }
        }
    }
}

/// A reply that a datagram to this client can carry.
fn fitting(transport: Transport, query: &Query<'_>, reply: Vec<u8>) -> Vec<u8> {
    if transport == Transport::Tcp || reply.len() <= query.limit() {
        return reply;
    }
    fit(reply, query.limit())
}

fn origin(answered: Answered) -> Origin {
    match answered {
        Answered::Owned => Origin::Owned,
        Answered::Special => Origin::Special,
        Answered::Refused => Origin::Refused,
    }
}
