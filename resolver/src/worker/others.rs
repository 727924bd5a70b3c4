//! Whom to ask what is no name of ours.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::upstream::{self, Forwarder, UpstreamSet};
use crate::zone::{Whom, Zone};

/// Everybody who is asked.
pub(super) struct Others {
    forwarder: Rc<Forwarder>,
    nobody: Rc<UpstreamSet>,
    /// Whom the host asks, as configured.
    listed: RefCell<(Vec<upstream::Server>, upstream::Options)>,
    host: RefCell<Rc<UpstreamSet>>,
    sets: RefCell<HashMap<Rc<[names::Server]>, Rc<UpstreamSet>>>,
}

impl Others {
    pub(super) fn new(forwarder: Rc<Forwarder>) -> Self {
        let nobody = UpstreamSet::new([], upstream::Options::default(), |_| true);
        Self {
            forwarder,
            host: RefCell::new(Rc::clone(&nobody)),
            nobody,
            listed: RefCell::default(),
            sets: RefCell::default(),
        }
    }

    pub(super) fn forwarder(&self) -> &Rc<Forwarder> {
        &self.forwarder
    }

    /// The set of servers for somebody.
    pub(super) fn set(&self, zone: &Zone, whom: &Whom) -> Rc<UpstreamSet> {
        match whom {
            Whom::Nobody => Rc::clone(&self.nobody),
            Whom::Host => Rc::clone(&self.host.borrow()),
            Whom::These(servers) => {
                let mut sets = self.sets.borrow_mut();
                let set = sets.entry(Rc::clone(servers)).or_insert_with(|| {
                    let listed = servers.iter().map(|server| upstream::Server::at(server.0));
                    UpstreamSet::new(listed, upstream::Options::default(), |address| {
                        is_own(zone, address)
                    })
                });
                Rc::clone(set)
            }
        }
    }

    /// Takes over whom the host asks. It may be the same as before: whatever changes in the directory
    /// of a file is a reason to read the file again.
    pub(super) fn host(
        &self,
        zone: &Zone,
        servers: Vec<upstream::Server>,
        options: upstream::Options,
    ) {
        let listed = (servers, options);
        let is_new = *self.listed.borrow() != listed;
        *self.listed.borrow_mut() = listed;
        self.settle(zone, is_new);
    }

    /// Looks again whether servers lead back to us, after networks came or went.
    pub(super) fn look_again(&self, zone: &Zone) {
        self.sets.borrow_mut().clear();
        self.settle(zone, false);
    }

    fn settle(&self, zone: &Zone, is_new: bool) {
        let (servers, options) = &*self.listed.borrow();
        let set =
            UpstreamSet::new(servers.iter().cloned(), *options, |address| is_own(zone, address));
        let mut host = self.host.borrow_mut();
        // A set that is as before keeps what it learnt.
        if is_new || servers_of(&host) != servers_of(&set) {
            *host = set;
        }
    }

    /// Whom the host asks.
    pub(super) fn of_host(&self) -> Rc<UpstreamSet> {
        Rc::clone(&self.host.borrow())
    }

    /// All sets in use.
    pub(super) fn all(&self) -> Vec<Rc<UpstreamSet>> {
        let sets = self.sets.borrow();
        std::iter::once(self.of_host()).chain(sets.values().map(Rc::clone)).collect()
    }
}

fn servers_of(set: &UpstreamSet) -> Vec<&upstream::Server> {
    set.upstreams().iter().map(|upstream| upstream.server()).collect()
}

/// Whether a server is a gateway of ours, where we would be asked ourselves.
fn is_own(zone: &Zone, address: &SocketAddr) -> bool {
    zone.networks().any(|network| network.borrow().gateways().contains(&address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Limits, Options};

    #[test]
    fn servers_that_are_read_again_as_they_were_keep_what_is_known_of_their_answers() {
        let (zone, others) = (Zone::default(), Others::new(Forwarder::new(Limits::default())));
        let read = |server: &str, options: Options| {
            let server = upstream::Server::at(server.parse().unwrap());
            others.host(&zone, vec![server], options);
            others.of_host()
        };
        let first = read("192.0.2.1:53", Options::default());
        let again = read("192.0.2.1:53", Options::default());
        assert!(Rc::ptr_eq(&first, &again), "answers are kept by the number of their set");
        assert!(!Rc::ptr_eq(&first, &read("192.0.2.2:53", Options::default())));
        let patient = Options { attempts: 5, ..Options::default() };
        assert!(!Rc::ptr_eq(&first, &read("192.0.2.1:53", patient)));
    }
}
