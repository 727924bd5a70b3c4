use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Instant;

use foldhash::HashMap;
use names::{Name, Record, Server};
use types::Cidr;

use super::elsewhere::{Elsewhere, Told};
use super::endpoint::Endpoint;
use super::found::{Found, Rrset};
use super::view::View;

/// One network. What all its containers share is what the last of them said.
#[derive(Debug)]
pub struct Network {
    name: Rc<str>,
    lower: Rc<str>,
    settings: Settings,
    /// Whether they changed since somebody asked.
    is_new: bool,
    /// Names with their holders.
    names: HashMap<Rc<str>, Rrset>,
    /// What wildcards stand below, with their holders.
    wildcards: HashMap<Rc<str>, Rrset>,
    addresses: HashMap<IpAddr, Holder>,
    elsewhere: Elsewhere,
    /// Names without a holder, and until when they are nobody else's.
    reserved: HashMap<Rc<str>, Instant>,
    endpoints: usize,
}

/// Who has an address, and what its container sees.
#[derive(Debug)]
struct Holder {
    endpoint: Rc<Endpoint>,
    /// The container's, which knows this network itself.
    view: Weak<RefCell<View>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    internal: bool,
    suffix: Option<Rc<str>>,
    servers: Rc<[Server]>,
    gateways: Rc<[IpAddr]>,
    subnets: Vec<Cidr>,
}

impl Network {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            lower: name.to_ascii_lowercase().into(),
            settings: Settings::default(),
            is_new: true,
            names: HashMap::default(),
            wildcards: HashMap::default(),
            addresses: HashMap::default(),
            elsewhere: Elsewhere::default(),
            reserved: HashMap::default(),
            endpoints: 0,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Rc<str> {
        Rc::clone(&self.name)
    }

    /// Its name in lower case.
    #[must_use]
    pub fn lower(&self) -> Rc<str> {
        Rc::clone(&self.lower)
    }

    /// Whether nothing may be asked outside on its behalf.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.settings.internal
    }

    /// What may follow every name.
    #[must_use]
    pub fn suffix(&self) -> Option<&str> {
        self.settings.suffix.as_deref()
    }

    /// Whom its containers ask.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.settings.servers
    }

    /// Its gateways.
    #[must_use]
    pub fn gateways(&self) -> &[IpAddr] {
        &self.settings.gateways
    }

    /// Containers of other hosts that are on it, in no order.
    pub fn others(&self) -> impl Iterator<Item = Told<'_>> {
        self.elsewhere.all()
    }

    /// How many of them there are.
    #[must_use]
    pub fn count_others(&self) -> usize {
        self.elsewhere.len()
    }

    /// How many containers of this host are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints == 0
    }

    /// Whether its name may well be a top-level domain of the internet: letters alone. Names below
    /// one that nobody here has are then looked for outside.
    #[must_use]
    pub fn may_be_a_domain(&self) -> bool {
        self.lower.starts_with("xn--") || self.lower.bytes().all(|byte| byte.is_ascii_lowercase())
    }

    /// Whether an address is in one of its subnets.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.settings.subnets.iter().any(|subnet| subnet.contains(address))
    }

    /// Whether a range is, as a whole.
    #[must_use]
    pub fn covers(&self, range: Cidr) -> bool {
        let subnets = self.settings.subnets.iter();
        subnets
            .into_iter()
            .any(|subnet| subnet.prefix() <= range.prefix() && subnet.contains(range.ip()))
            || self.elsewhere.covers(range)
    }

    /// Whose an address is.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<&Rc<Endpoint>> {
        Some(&self.addresses.get(&address)?.endpoint)
    }

    /// What the container sees that has an address.
    #[must_use]
    pub fn view_from(&self, address: IpAddr) -> Option<Rc<RefCell<View>>> {
        self.addresses.get(&address)?.view.upgrade()
    }

    /// Who has a name, exactly as it is, here or elsewhere. Whether somebody has.
    pub(super) fn named(&self, name: &str, found: &mut Found) -> bool {
        let here = self.names.get(name).map(|set| set.collect(found)).is_some();
        let there = self.elsewhere.named(name, found);
        here || there
    }

    /// Who has the longest wildcard that a name is below. Whether somebody has.
    pub(super) fn wild(&self, name: &str, found: &mut Found) -> bool {
        if self.wildcards.is_empty() && self.elsewhere.is_empty() {
            return false;
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            let here = self.wildcards.get(parent).map(|set| set.collect(found)).is_some();
            let there = self.elsewhere.wild(parent, found);
            if here || there {
                return true;
            }
            rest = parent;
        }
        false
    }

    /// What containers of other hosts are called.
    pub(super) fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// Knows this of another host in place of what was known.
    pub(super) fn put_elsewhere(&mut self, told: &peers::Elsewhere, reserved_until: Instant) {
        for name in self.elsewhere.put(told) {
            self.reserved.insert(name, reserved_until);
        }
    }

    /// Whether a name lost its last holder a moment ago.
    #[must_use]
    pub fn is_reserved(&self, name: &str, now: Instant) -> bool {
        !self.reserved.is_empty() && self.reserved.get(name).is_some_and(|until| now < *until)
    }

    pub(super) fn put(
        &mut self,
        endpoint: &Rc<Endpoint>,
        view: &Rc<RefCell<View>>,
        record: &Record,
    ) {
        for name in &endpoint.names {
            self.reserved.remove(name);
            let (map, name) = match name.strip_prefix("*.") {
                None => (&mut self.names, Rc::clone(name)),
                Some(parent) => (&mut self.wildcards, parent.into()),
            };
            match map.get_mut(&name) {
                Some(set) => set.add(endpoint),
                None => {
                    map.insert(name, Rrset::of(endpoint));
                }
            }
        }
        for cidr in &endpoint.addresses {
            let holder = Holder { endpoint: Rc::clone(endpoint), view: Rc::downgrade(view) };
            self.addresses.insert(cidr.ip(), holder);
        }
        self.endpoints += 1;
        self.settle(record);
    }

    /// Takes over what the newest of its containers says about it.
    pub(super) fn settle(&mut self, record: &Record) {
        let mut subnets = self.settings.subnets.clone();
        for subnet in record.addresses.iter().map(|cidr| cidr.network()) {
            if !subnets.contains(&subnet) {
                subnets.push(subnet);
            }
        }
        let settings = Settings {
            internal: record.internal,
            suffix: record.suffix.as_ref().map(|name| Name::as_str(name).into()),
            servers: record.servers.clone().into(),
            gateways: record.gateways.clone().into(),
            subnets,
        };
        if settings != self.settings {
            self.settings = settings;
            self.is_new = true;
        }
    }

    pub(super) fn has_new_settings(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    pub(super) fn containers(&self) -> Vec<Rc<str>> {
        let mut all: Vec<_> =
            self.addresses.values().map(|holder| Rc::clone(&holder.endpoint.container)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn take(&mut self, endpoint: &Rc<Endpoint>, reserved_until: Instant) {
        for name in &endpoint.names {
            let wildcard = name.strip_prefix("*.");
            let map = if wildcard.is_some() { &mut self.wildcards } else { &mut self.names };
            let text = wildcard.unwrap_or(name);
            if map.get_mut(text).is_some_and(|set| !set.remove(endpoint)) {
                map.remove(text);
                self.reserved.insert(Rc::clone(name), reserved_until);
            }
        }
        for cidr in &endpoint.addresses {
            let address = cidr.ip();
            if self
                .addresses
                .get(&address)
                .is_some_and(|holder| Rc::ptr_eq(&holder.endpoint, endpoint))
            {
                self.addresses.remove(&address);
            }
        }
        self.endpoints -= 1;
    }

    /// Forgets reservations that are over. Whether nothing is left of the network.
    pub(super) fn tidy(&mut self, now: Instant) -> bool {
        self.reserved.retain(|_, until| now < *until);
        self.endpoints == 0 && self.reserved.is_empty() && self.elsewhere.is_empty()
    }
}
