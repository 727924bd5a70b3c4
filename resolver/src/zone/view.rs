//! What one container sees: its networks in their order, and whom it asks.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::rc::Rc;

use foldhash::HashMap;
use names::Server;
use types::{Family, IfName};

use super::endpoint::Endpoint;
use super::network::Network;

/// What one container sees.
#[derive(Debug, Default)]
pub struct View {
    endpoints: Vec<Rc<Endpoint>>,
    networks: Vec<Rc<RefCell<Network>>>,
    whom: Whom,
    merge: bool,
}

/// Whom a container asks what is no name of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// Nobody: it is on internal networks alone.
    #[default]
    Nobody,
    /// Whom the host asks.
    Host,
    /// These, in this order.
    These(Rc<[Server]>),
}

impl View {
    /// Its attachments: first the one whose network comes first.
    #[must_use]
    pub fn endpoints(&self) -> &[Rc<Endpoint>] {
        &self.endpoints
    }

    /// Its networks, each once: the first with a name answers alone.
    #[must_use]
    pub fn networks(&self) -> &[Rc<RefCell<Network>>] {
        &self.networks
    }

    /// Whether names of all its networks are answered together.
    #[must_use]
    pub fn merges(&self) -> bool {
        self.merge
    }

    /// Whom it asks.
    #[must_use]
    pub fn whom(&self) -> &Whom {
        &self.whom
    }

    /// Whether it is on no network.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Its attachment to a network by an interface.
    #[must_use]
    pub fn endpoint(&self, network: &str, ifname: &IfName) -> Option<Rc<Endpoint>> {
        let is_it =
            |endpoint: &&Rc<Endpoint>| *endpoint.network == *network && endpoint.ifname == *ifname;
        self.endpoints.iter().find(is_it).map(Rc::clone)
    }

    pub(super) fn put(&mut self, endpoint: Rc<Endpoint>) {
        self.endpoints.push(endpoint);
    }

    pub(super) fn take(&mut self, endpoint: &Rc<Endpoint>) {
        self.endpoints.retain(|other| !Rc::ptr_eq(other, endpoint));
    }

    /// Works the order out anew: as Docker chooses the network of the default route.
    pub(super) fn work_out(&mut self, networks: &HashMap<Rc<str>, Rc<RefCell<Network>>>) {
        let is_internal = |endpoint: &Endpoint| {
            networks.get(&endpoint.network).is_some_and(|network| network.borrow().is_internal())
        };
        self.endpoints.sort_by_cached_key(|endpoint| {
            let single = !is_dual(endpoint);
            (
                Reverse(endpoint.priority),
                is_internal(endpoint),
                single,
                Rc::clone(&endpoint.network),
            )
        });
        self.networks.clear();
        for endpoint in &self.endpoints {
            let Some(network) = networks.get(&endpoint.network) else { continue };
            if !self.networks.iter().any(|known| Rc::ptr_eq(known, network)) {
                self.networks.push(Rc::clone(network));
            }
        }
        self.merge = self.endpoints.iter().any(|endpoint| endpoint.merge);
        self.whom = self.choose();
    }

    fn choose(&self) -> Whom {
        let own: Vec<Server> =
            self.endpoints.iter().flat_map(|endpoint| endpoint.servers.iter().copied()).collect();
        let of_networks = self.networks.iter().map(|network| network.borrow().servers().to_vec());
        let confined = self.networks.iter().all(|network| network.borrow().is_internal());
        // Sets are not mixed: a container asks those of the network that its traffic leaves by.
        let mut all = match own.is_empty() {
            false => own,
            true => of_networks.into_iter().find(|servers| !servers.is_empty()).unwrap_or_default(),
        };
        if !confined {
            return if all.is_empty() { Whom::Host } else { Whom::These(all.into()) };
        }
        // A server on the very network is no way out.
        all.retain(|server| self.is_neighbour(server.0.ip()));
        if all.is_empty() { Whom::Nobody } else { Whom::These(all.into()) }
    }

    fn is_neighbour(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| {
            let network = network.borrow();
            network.contains(address) && !network.gateways().contains(&address)
        })
    }
}

fn is_dual(endpoint: &Endpoint) -> bool {
    let has = |family| endpoint.addresses.iter().any(|cidr| cidr.family() == family);
    has(Family::V4) && has(Family::V6)
}
