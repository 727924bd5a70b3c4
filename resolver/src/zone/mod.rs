//! The names of all containers of this host, in memory.
//!
//! What a change costs does not depend on how many there are, and neither does a lookup: all is
//! found by hashing. One thread reads and writes it.

mod endpoint;
mod found;
mod lookup;
mod network;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use names::Record;
use types::{Attachment, Cidr};

pub use endpoint::Endpoint;
pub use found::Found;
pub use lookup::Reverse;
pub use network::Network;
pub use view::{View, Whom};

/// For how long a name stays reserved after its last holder left: what restarts must not be asked
/// for outside meanwhile.
pub const RESERVED: Duration = Duration::from_secs(5);

/// All networks with their containers.
#[derive(Debug, Default)]
pub struct Zone {
    networks: HashMap<Rc<str>, Rc<RefCell<Network>>>,
    /// Networks by their name in lower case, in which names are looked for.
    by_lower: HashMap<Rc<str>, Vec<Rc<RefCell<Network>>>>,
    containers: HashMap<Rc<str>, Rc<RefCell<View>>>,
    endpoints: usize,
}

impl Zone {
    /// Knows `record` in place of what was known of its attachment. Whether something changed that
    /// all containers of its network share.
    pub fn put(&mut self, record: &Record, now: Instant) -> bool {
        let key = &record.key;
        let network = self.network_of(record);
        let (container, view) = self.container_of(key.container.as_str());
        let endpoint =
            Rc::new(Endpoint::new(record, Rc::clone(&container), network.borrow().name()));
        let old = view.borrow().endpoint(key.network.as_str(), &key.ifname);
        if old.as_deref() == Some(&*endpoint) {
            network.borrow_mut().settle(record);
            return self.work_out(key.network.as_str(), &view);
        }
        if let Some(old) = old {
            network.borrow_mut().take(&old, now + RESERVED);
            view.borrow_mut().take(&old);
            self.endpoints -= 1;
        }
        network.borrow_mut().put(&endpoint, &view, record);
        self.endpoints += 1;
        view.borrow_mut().put(endpoint);
        self.work_out(key.network.as_str(), &view)
    }

    /// Knows nothing of `key` any more. Whether it knew something.
    pub fn drop(&mut self, key: &Attachment, now: Instant) -> bool {
        let Some(view) = self.containers.get(key.container.as_str()).map(Rc::clone) else {
            return false;
        };
        let Some(endpoint) = view.borrow().endpoint(key.network.as_str(), &key.ifname) else {
            return false;
        };
        if let Some(network) = self.networks.get(key.network.as_str()) {
            network.borrow_mut().take(&endpoint, now + RESERVED);
        }
        self.endpoints -= 1;
        view.borrow_mut().take(&endpoint);
        view.borrow_mut().work_out(&self.networks);
        if view.borrow().is_empty() {
            self.containers.remove(key.container.as_str());
        }
        true
    }

    /// Forgets reservations that are over, and networks that nobody is on. Whether there were any of
    /// these.
    pub fn tidy(&mut self, now: Instant) -> bool {
        let before = self.networks.len();
        self.networks.retain(|_, network| !network.borrow_mut().tidy(now));
        let networks = &self.networks;
        self.by_lower.retain(|_, named| {
            named.retain(|network| networks.contains_key(&network.borrow().name()));
            !named.is_empty()
        });
        self.networks.len() < before
    }

    /// All attachments, in no order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Rc<Endpoint>> {
        self.containers.values().flat_map(|view| view.borrow().endpoints().to_vec()).collect()
    }

    /// How many attachments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints == 0
    }

    /// All networks, in no order.
    pub fn networks(&self) -> impl Iterator<Item = &Rc<RefCell<Network>>> {
        self.networks.values()
    }

    /// The network of that name.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<&Rc<RefCell<Network>>> {
        self.networks.get(name)
    }

    /// What a container sees.
    #[must_use]
    pub fn view(&self, container: &str) -> Option<Rc<RefCell<View>>> {
        self.containers.get(container).map(Rc::clone)
    }

    /// Whether an address belongs to a network of ours.
    #[must_use]
    pub fn is_managed(&self, address: IpAddr) -> bool {
        self.networks.values().any(|network| network.borrow().contains(address))
    }

    /// Whether all of a range does.
    #[must_use]
    pub fn covers(&self, range: Cidr) -> bool {
        self.networks.values().any(|network| network.borrow().covers(range))
    }

    fn network_of(&mut self, record: &Record) -> Rc<RefCell<Network>> {
        let name = record.key.network.as_str();
        if let Some(network) = self.networks.get(name) {
            return Rc::clone(network);
        }
        let network = Network::new(name);
        let lower = network.lower();
        let name = network.name();
        let network = Rc::new(RefCell::new(network));
        self.networks.insert(name, Rc::clone(&network));
        self.by_lower.entry(lower).or_default().push(Rc::clone(&network));
        network
    }

    fn container_of(&mut self, id: &str) -> (Rc<str>, Rc<RefCell<View>>) {
        if let Some((id, view)) = self.containers.get_key_value(id) {
            return (Rc::clone(id), Rc::clone(view));
        }
        let id: Rc<str> = id.into();
        let view = Rc::<RefCell<View>>::default();
        self.containers.insert(Rc::clone(&id), Rc::clone(&view));
        (id, view)
    }

    /// Works out what containers see after a change of `network`: of the one that came, and of all on
    /// it when what they share changed, which is the answer.
    fn work_out(&self, network: &str, newest: &RefCell<View>) -> bool {
        newest.borrow_mut().work_out(&self.networks);
        let Some(network) = self.networks.get(network) else { return false };
        if !network.borrow_mut().has_new_settings() {
            return false;
        }
        let containers = network.borrow().containers();
        for view in containers.iter().filter_map(|container| self.view(container)) {
            view.borrow_mut().work_out(&self.networks);
        }
        true
    }
}
