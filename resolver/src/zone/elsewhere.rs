//! What containers of other hosts are called on one network. They are no containers of this host:
//! nobody is answered as one of them, and no socket is kept for them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use foldhash::HashMap;
use names::Name;
use peers::{Called, HostId};
use types::Cidr;

use super::found::Found;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    hosts: HashMap<HostId, Host>,
    /// Names with their holders.
    names: HashMap<Rc<str>, Holders>,
    /// What wildcards stand below, with their holders.
    wildcards: HashMap<Rc<str>, Holders>,
    addresses: HashMap<IpAddr, Rc<Far>>,
}

/// One host.
#[derive(Debug, Default)]
struct Host {
    /// Whether it has been heard of lately; its containers share that.
    present: Rc<Cell<bool>>,
    blocks: Vec<Cidr>,
    endpoints: BTreeMap<String, Rc<Far>>,
}

/// A container of another host.
#[derive(Debug)]
pub(super) struct Far {
    names: Box<[Rc<str>]>,
    addresses: Box<[IpAddr]>,
    present: Rc<Cell<bool>>,
}

/// The holders of one name.
#[derive(Debug, Default)]
struct Holders {
    all: Vec<Rc<Far>>,
    /// Counts answers, as on this host.
    turn: Cell<u32>,
}

/// A container as it is told of.
#[derive(Debug)]
pub struct Told<'a> {
    /// The host.
    pub host: &'a HostId,
    /// What tells it apart there.
    pub endpoint: &'a str,
    /// What it is called.
    pub names: &'a [Rc<str>],
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// Whether the host has been heard of lately.
    pub present: bool,
}

impl Elsewhere {
    /// Knows this of a host in place of what was known. Gives the names that nobody elsewhere has any
    /// more.
    pub(super) fn put(&mut self, told: &peers::Elsewhere) -> Vec<Rc<str>> {
        let mut host = self.hosts.remove(&told.host).unwrap_or_default();
        host.present.set(told.present);
        host.blocks.clone_from(&told.blocks);
        let mut lost = Vec::new();
        host.endpoints.retain(|id, far| {
            let stays = told.endpoints.get(id).is_some_and(|called| far.is(called));
            if !stays {
                lost.extend(self.forget(far));
            }
            stays
        });
        for (id, called) in &told.endpoints {
            if !host.endpoints.contains_key(id) {
                let far = Rc::new(Far::new(called, &host.present));
                self.know(&far);
                host.endpoints.insert(id.clone(), far);
            }
        }
        if !host.endpoints.is_empty() {
            self.hosts.insert(told.host.clone(), host);
        }
        lost.retain(|name| !self.has(name));
        lost
    }

    fn know(&mut self, far: &Rc<Far>) {
        for name in &far.names {
            let (map, name) = match name.strip_prefix("*.") {
                None => (&mut self.names, Rc::clone(name)),
                Some(parent) => (&mut self.wildcards, parent.into()),
            };
            map.entry(name).or_default().all.push(Rc::clone(far));
        }
        for address in &far.addresses {
            self.addresses.insert(*address, Rc::clone(far));
        }
    }

    /// Gives the names that nobody has any more.
    fn forget(&mut self, far: &Rc<Far>) -> Vec<Rc<str>> {
        let mut lost = Vec::new();
        for name in &far.names {
            let wildcard = name.strip_prefix("*.");
            let map = if wildcard.is_some() { &mut self.wildcards } else { &mut self.names };
            let text = wildcard.unwrap_or(name);
            let Some(holders) = map.get_mut(text) else { continue };
            holders.all.retain(|other| !Rc::ptr_eq(other, far));
            if holders.all.is_empty() {
                map.remove(text);
                lost.push(Rc::clone(name));
            }
        }
        for address in &far.addresses {
            if self.addresses.get(address).is_some_and(|other| Rc::ptr_eq(other, far)) {
                self.addresses.remove(address);
            }
        }
        lost
    }

    fn has(&self, name: &str) -> bool {
        match name.strip_prefix("*.") {
            None => self.names.contains_key(name),
            Some(parent) => self.wildcards.contains_key(parent),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.hosts.values().map(|host| host.endpoints.len()).sum()
    }

    /// All hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.hosts.keys()
    }

    /// All containers.
    pub(super) fn all(&self) -> impl Iterator<Item = Told<'_>> {
        self.hosts.iter().flat_map(|(id, host)| {
            let present = host.present.get();
            host.endpoints.iter().map(move |(endpoint, far)| Told {
                host: id,
                endpoint,
                names: &far.names,
                addresses: &far.addresses,
                present,
            })
        })
    }

    /// Who has a name, exactly as it is. Whether somebody has.
    pub(super) fn named(&self, name: &str, found: &mut Found) -> bool {
        self.names.get(name).map(|holders| holders.collect(found)).is_some()
    }

    /// Who has the wildcard that stands below `parent`. Whether somebody has.
    pub(super) fn wild(&self, parent: &str, found: &mut Found) -> bool {
        self.wildcards.get(parent).map(|holders| holders.collect(found)).is_some()
    }

    /// What an address is called.
    pub(super) fn called(&self, address: IpAddr) -> Option<&str> {
        let names = &self.addresses.get(&address)?.names;
        names.iter().find(|name| !name.starts_with('*')).map(|name| &**name)
    }

    /// Whether all of a range is of a host's block.
    pub(super) fn covers(&self, range: Cidr) -> bool {
        let covers = |block: &Cidr| block.prefix() <= range.prefix() && block.contains(range.ip());
        self.hosts.values().flat_map(|host| &host.blocks).any(covers)
    }
}

impl Holders {
    fn collect(&self, found: &mut Found) {
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        found.begin_with(turn);
        for far in &self.all {
            found.add(&far.addresses, far.present.get());
        }
    }
}

impl Far {
    /// What is no name is left out: nobody can ask for it.
    fn new(called: &Called, present: &Rc<Cell<bool>>) -> Self {
        let name = |text: &String| Some(text.parse::<Name>().ok()?.as_str().into());
        Self {
            names: called.names.iter().filter_map(name).collect(),
            addresses: called.ips.clone().into(),
            present: Rc::clone(present),
        }
    }

    fn is(&self, called: &Called) -> bool {
        self.addresses[..] == called.ips[..]
            && self.names.iter().map(|name| &**name).eq(called.names.iter().map(String::as_str))
    }
}
