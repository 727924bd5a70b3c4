//! The guard of VXLAN packets: who may send which addresses in them, in a table of its own. It lives
//! with the devices, not with attachments, whose tables are made from their claims alone.
//!
//! An attacker who forges a peer's own underlay address is not kept out; that takes encryption.

mod rules;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Element, FoundElement, Key, Set};
use types::{Cidr, Family, IfName, NetworkName};

use crate::elements::network_owner;
use crate::error::Error;
use crate::filter::as_element;
use crate::store::Store;

pub use rules::TABLE;

/// What one network of tunnels lets in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnels {
    /// The network.
    pub network: NetworkName,
    /// Its number on the wire.
    pub vni: u32,
    /// Its UDP port.
    pub port: u16,
    /// Hosts that may send, with the addresses of their containers.
    pub peers: Vec<(IpAddr, Vec<Cidr>)>,
    /// Its bridge and devices.
    pub links: Vec<IfName>,
    /// This host's addresses that those behind the links may reach.
    pub gateways: Vec<IpAddr>,
}

/// What became of elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// So many are new.
    pub added: usize,
    /// So many went.
    pub removed: usize,
}

/// The table of this host.
#[derive(Debug)]
pub struct Guard {
    socket: Socket,
    store: Store,
}

impl Guard {
    /// Opens the packet filter of the calling thread's namespace. `run_dir` holds the lock under
    /// which it is changed.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn open(run_dir: &Path) -> Result<Self, Error> {
        let socket = Socket::open_netfilter("the host's namespace")?;
        Ok(Self { socket, store: Store::under(run_dir) })
    }

    /// Makes the table hold what `wanted` says of its network, and nothing else of it, in one
    /// transaction.
    ///
    /// # Errors
    /// [`Error::Lock`], and what the kernel refused.
    pub fn keep(&self, wanted: &Tunnels) -> Result<Changed, Error> {
        self.change(&wanted.network, Some(wanted.port), &elements(wanted))
    }

    /// Whether [`keep`](Self::keep) would change nothing.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn holds(&self, wanted: &Tunnels) -> Result<bool, Error> {
        let elements = elements(wanted);
        let (gone, new) = self.differences(&wanted.network, &elements)?;
        let ports = nft::elements(&self.socket, &TABLE, &rules::PORTS)?;
        let has_port = ports.iter().filter_map(port_of).any(|port| port == wanted.port);
        Ok(gone.is_empty() && new.is_empty() && has_port && self.is_complete()?)
    }

    /// Whether anything of `network` is there.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn has(&self, network: &NetworkName) -> Result<bool, Error> {
        let ours = network_owner(network);
        let found =
            nft::find_elements(&self.socket, &TABLE, &rules::NETWORKS, |text| text == ours)?;
        Ok(!found.is_empty())
    }

    /// Takes back all of `network`; the table goes with the last one.
    ///
    /// # Errors
    /// [`Error::Lock`], and what the kernel refused.
    pub fn remove(&self, network: &NetworkName) -> Result<Changed, Error> {
        if !nft::has_table(&self.socket, &TABLE)? {
            return Ok(Changed::default());
        }
        self.change(network, None, &[])
    }

    fn change(
        &self,
        network: &NetworkName,
        port: Option<u16>,
        wanted: &[Wanted],
    ) -> Result<Changed, Error> {
        let _locked = self.store.lock()?;
        let mut batch = Batch::new();
        if !self.is_complete()? && !wanted.is_empty() {
            rules::write(&mut batch);
        }
        let (gone, new) = self.differences(network, wanted)?;
        let others = self.ports_of_others(network)?;
        if wanted.is_empty() && others.is_empty() {
            batch = Batch::new();
            if nft::has_table(&self.socket, &TABLE)? {
                batch.del_table(&TABLE);
            }
        } else {
            for (set, found) in &gone {
                batch.del_element(&TABLE, set, &as_element(found));
            }
            for set in rules::sets() {
                let of_set: Vec<Element> = new
                    .iter()
                    .filter(|one| one.set == set)
                    .map(|one| one.element.clone())
                    .collect();
                if !of_set.is_empty() {
                    batch.add_elements(&TABLE, set, &of_set);
                }
            }
        }
        self.place_ports(&mut batch, &others.into_iter().chain(port).collect())?;
        batch.commit(&self.socket)?;
        Ok(Changed { added: new.len(), removed: gone.len() })
    }

    /// What of `network` has to go, and what has to come.
    fn differences<'a>(
        &self,
        network: &NetworkName,
        wanted: &'a [Wanted],
    ) -> Result<Differences<'a>, Error> {
        let ours = network_owner(network);
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for set in rules::sets() {
            let found = nft::find_elements(&self.socket, &TABLE, set, |text| text == ours)?;
            let place = |found: &FoundElement| (found.key.clone(), found.last.clone());
            let mut found: HashMap<_, _> =
                found.into_iter().map(|found| (place(&found), found)).collect();
            for one in wanted.iter().filter(|one| one.set == set) {
                if found.remove(&one.place()).is_none() {
                    new.push(one);
                }
            }
            gone.extend(found.into_values().map(|found| (set, found)));
        }
        Ok((gone, new))
    }

    /// Whether all sets, chains and rules are there.
    fn is_complete(&self) -> Result<bool, Error> {
        if !nft::sets(&self.socket, &TABLE)?.iter().any(|name| name == rules::LAYOUT.name) {
            return Ok(false);
        }
        for (chain, count) in rules::counts() {
            if nft::rules(&self.socket, &TABLE, chain)?.len() != count {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ports of all other networks.
    fn ports_of_others(&self, network: &NetworkName) -> Result<BTreeSet<u16>, Error> {
        let ours = network_owner(network);
        let found =
            nft::find_elements(&self.socket, &TABLE, &rules::NETWORKS, |text| text != ours)?;
        Ok(found.iter().filter_map(port_of).collect())
    }

    /// Ports belong to several networks, so they follow from all.
    fn place_ports(&self, batch: &mut Batch, wanted: &BTreeSet<u16>) -> Result<(), Error> {
        let found = nft::elements(&self.socket, &TABLE, &rules::PORTS)?;
        let there: BTreeSet<u16> = found.iter().filter_map(port_of).collect();
        let element = |port: &u16| Element::new(Key::new().port(*port));
        for port in there.difference(wanted).filter(|_| !wanted.is_empty()) {
            batch.del_element(&TABLE, &rules::PORTS, &element(port));
        }
        for port in wanted.difference(&there) {
            batch.add_element(&TABLE, &rules::PORTS, &element(port));
        }
        Ok(())
    }
}

/// The port that a key begins with.
fn port_of(found: &FoundElement) -> Option<u16> {
    found.key.first_chunk().copied().map(u16::from_be_bytes)
}

type Differences<'a> = (Vec<(&'static Set, FoundElement)>, Vec<&'a Wanted>);

/// An element and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    set: &'static Set,
    element: Element,
}

impl Wanted {
    /// Its key and the end of its range, as they are read.
    fn place(&self) -> (Vec<u8>, Vec<u8>) {
        let last = self.element.last().map(Key::wire).unwrap_or_default();
        (self.element.key().wire().to_vec(), last.to_vec())
    }
}

fn elements(wanted: &Tunnels) -> Vec<Wanted> {
    let owner = network_owner(&wanted.network);
    let mut all = Vec::new();
    let mut put = |set, element: Element| {
        all.push(Wanted { set, element: element.comment(&owner) });
    };
    let number = rules::number(wanted.vni);
    put(&rules::NETWORKS, Element::new(Key::new().port(wanted.port).number(&number)));
    for (underlay, blocks) in &wanted.peers {
        let at = Key::new().ip(*underlay).port(wanted.port).number(&number);
        put(rules::hosts(Family::of(*underlay)), Element::new(at));
        for block in blocks {
            let set = rules::senders(Family::of(*underlay), block.family());
            let from = |ip| Key::new().number(&number).ip(*underlay).ip(ip);
            put(set, Element::new(from(block.network().ip())).to(from(block.last())));
        }
    }
    for link in &wanted.links {
        put(&rules::LINKS, Element::new(Key::new().ifname(link)));
        for gateway in &wanted.gateways {
            let set = rules::own_gateways(Family::of(*gateway));
            put(set, Element::new(Key::new().ifname(link).ip(*gateway)));
        }
    }
    for gateway in &wanted.gateways {
        let set = rules::gateways(Family::of(*gateway));
        put(set, Element::new(Key::new().ip(*gateway)));
    }
    all
}
