//! Making the kernel have what is wanted, and taking it away.

use std::fmt;
use std::net::IpAddr;

use kernel::addr::{self, Addr, Dad};
use kernel::link::{self, Data, Dev, Link, Vxlan};
use kernel::netlink::Socket;
use kernel::route::{self, Filter};
use kernel::sysctl::Key;
use types::{Cidr, Family, NetworkName, stable_hash};

use crate::PROTOCOL;
use crate::desired::{Desired, End};
use crate::entries::{Found, work};
use crate::error::Error;

/// What was changed, or would have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A device is new.
    Made(String),
    /// A device could not become what it has to be; it and all that it had are new.
    Remade(String),
    /// A link was given something.
    Set {
        /// Which.
        link: String,
        /// What: `up`, `mtu 1450`, an address, …
        what: String,
    },
    /// Entries of a device.
    Entries {
        /// Which device.
        device: String,
        /// So many are new or other.
        added: usize,
        /// So many went.
        removed: usize,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(device) => write!(f, "{device} made"),
            Self::Remade(device) => write!(f, "{device} made anew"),
            Self::Set { link, what } => write!(f, "{link} set {what}"),
            Self::Entries { device, added, removed } => {
                write!(f, "{device}: {added} entries added, {removed} removed")
            }
        }
    }
}

/// Whether changes are made or only told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Make,
    Tell,
}

/// Makes the kernel have what `wanted` says, and tells what had to be changed. The calling thread
/// must be in the namespace of `socket`.
///
/// # Errors
/// What was tried and why it failed; what is done by then stays, and the next call goes on.
pub fn reconcile(socket: &Socket, wanted: &Desired) -> Result<Vec<Change>, Error> {
    Reconciling { socket, wanted, mode: Mode::Make, links: link::list(socket)? }.run()
}

/// What [`reconcile`] would change.
///
/// # Errors
/// As there.
pub fn compare(socket: &Socket, wanted: &Desired) -> Result<Vec<Change>, Error> {
    Reconciling { socket, wanted, mode: Mode::Tell, links: link::list(socket)? }.run()
}

/// Deletes the devices of `network` with all that they have.
///
/// # Errors
/// What the kernel said.
pub fn dismantle(socket: &Socket, network: &NetworkName) -> Result<Vec<Dev>, Error> {
    let mut gone = Vec::new();
    for device in link::list(socket)?.into_iter().filter(|link| is_ours(link, network)) {
        match socket.run(&link::delete(&device)) {
            Err(error) if !error.is_missing() => return Err(error.into()),
            _ => gone.push(device.dev),
        }
    }
    Ok(gone)
}

/// Whether `link` is a device that was made for `network`.
#[must_use]
pub fn is_ours(link: &Link, network: &NetworkName) -> bool {
    link.is_kind("vxlan") && link.alias.as_deref() == Some(&alias(network))
}

/// What says whose a device is, and the bridge beside it.
#[must_use]
pub fn alias(network: &NetworkName) -> String {
    const NAME_MAX_BYTES: usize = 180;
    match network.as_str() {
        name if name.len() <= NAME_MAX_BYTES => format!("cais overlay {name}"),
        name => format!("cais overlay #{:016x}", stable_hash(name)),
    }
}

struct Reconciling<'a> {
    socket: &'a Socket,
    wanted: &'a Desired,
    mode: Mode,
    links: Vec<Link>,
}

impl Reconciling<'_> {
    fn run(&self) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        self.gateways(&mut changes)?;
        for end in &self.wanted.ends {
            let Some(device) = self.device(end, &mut changes)? else { continue };
            self.addresses(&device.dev, &end.addresses, Extra::Remove, &mut changes)?;
            self.entries(end, &device.dev, &mut changes)?;
        }
        // A family that no peer is reached by any more.
        let is_wanted = |link: &Link| self.wanted.ends.iter().any(|end| link.is_named(&end.device));
        for link in self.links.iter().filter(|link| is_ours(link, &self.wanted.network)) {
            if !is_wanted(link) {
                let removed = Found::read(self.socket, &link.dev)?.len();
                let device = link.dev.name.clone();
                changes.push(Change::Entries { device, added: 0, removed });
                self.make(|| Ok(self.socket.run(&link::delete(link))?))?;
            }
        }
        Ok(changes)
    }

    fn make(&self, act: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        match self.mode {
            Mode::Make => act(),
            Mode::Tell => Ok(()),
        }
    }

    /// What a bridge that is there lacks.
    fn gateways(&self, changes: &mut Vec<Change>) -> Result<(), Error> {
        let bridge = self.links.iter().find(|link| link.is_named(&self.wanted.bridge));
        let Some(bridge) = bridge.filter(|link| link.is_kind("bridge")) else { return Ok(()) };
        self.addresses(&bridge.dev, &self.wanted.gateways, Extra::Leave, changes)?;
        if !bridge.is_up() {
            changes.push(Change::Set { link: bridge.dev.name.clone(), what: "up".to_owned() });
            self.make(|| Ok(self.socket.run(&link::set(bridge).up().request())?))?;
        }
        Ok(())
    }

    /// The device of `end`; `None` where it would have to be made.
    fn device(&self, end: &End, changes: &mut Vec<Change>) -> Result<Option<Link>, Error> {
        let there = self.links.iter().find(|link| link.is_named(&end.device));
        let Some(there) = there else {
            changes.push(Change::Made(end.device.to_string()));
            return self.made(end);
        };
        let network = &self.wanted.network;
        let fits = self.fits(there, end);
        // One that was made for nobody may be ours: a call was killed.
        let may_be = is_ours(there, network) || (fits && there.alias.is_none());
        if !may_be {
            let (device, network) = (end.device.to_string(), network.to_string());
            return Err(Error::NameTaken { device, network });
        }
        if !fits {
            changes.push(Change::Remade(end.device.to_string()));
            self.make(|| Ok(self.socket.run(&link::delete(there))?))?;
            return self.made(end);
        }
        self.adjust(there, end, changes)?;
        Ok(Some(there.clone()))
    }

    /// Whether a device can become what is wanted without being made anew.
    fn fits(&self, there: &Link, end: &End) -> bool {
        let Data::Vxlan { vni, port, local, lower, learning } = &there.data else { return false };
        let same_family = local.is_some_and(|ip| Family::of(ip) == Family::of(end.local));
        (*vni, *port) == (self.wanted.vni.get(), self.wanted.port)
            && same_family
            && lower.is_none()
            && !learning
    }

    /// Changes in place what differs.
    fn adjust(&self, there: &Link, end: &End, changes: &mut Vec<Change>) -> Result<(), Error> {
        let dev = &there.dev;
        let mut change = |what: String, request: kernel::netlink::Request| {
            changes.push(Change::Set { link: dev.name.clone(), what });
            self.make(|| Ok(self.socket.run(&request)?))
        };
        let alias = alias(&self.wanted.network);
        if there.alias.as_deref() != Some(&alias) {
            change(format!("alias {alias}"), link::set(dev).alias(&alias).request())?;
        }
        if there.mac != Some(end.mac) {
            change(format!("address {}", end.mac), link::set(dev).mac(end.mac).request())?;
        }
        if there.mtu != end.mtu.get() {
            change(format!("mtu {}", end.mtu.get()), link::set(dev).mtu(end.mtu).request())?;
        }
        if !matches!(there.data, Data::Vxlan { local: Some(ip), .. } if ip == end.local) {
            let local = link::set(dev).vxlan_local(end.local).request();
            change(format!("local {}", end.local), local)?;
        }
        if !there.is_up() {
            change("up".to_owned(), link::set(dev).up().request())?;
        }
        self.make(|| switches(end))
    }

    fn made(&self, end: &End) -> Result<Option<Link>, Error> {
        let network = self.wanted.network.to_string();
        let (vni, port) = (self.wanted.vni.get(), self.wanted.port);
        if let Some(foreign) = self.links.iter().find(|link| self.is_in_the_way(link, end)) {
            let (device, foreign) = (end.device.to_string(), foreign.dev.name.clone());
            return Err(Error::Foreign { device, network, foreign, vni, port });
        }
        self.no_other_way()?;
        if self.mode == Mode::Tell {
            return Ok(None);
        }
        let new = Vxlan::new(end.device.clone(), vni)
            .port(port)
            .local(end.local)
            .learning(false)
            .mac(end.mac)
            .mtu(end.mtu);
        // By one system call, so that none without an alias is left when the process is killed.
        self.socket.run_all(&[
            new.create(),
            link::set(&end.device).alias(&alias(&self.wanted.network)).request(),
            link::set(&end.device).addrgenmode_none().request(),
        ])?;
        switches(end)?;
        self.socket.run(&link::set(&end.device).up().request())?;
        Ok(Some(link::get(self.socket, &end.device)?))
    }

    /// Whether the kernel would refuse the device because of `link`.
    fn is_in_the_way(&self, link: &Link, end: &End) -> bool {
        let Data::Vxlan { vni, port, local, .. } = &link.data else { return false };
        let is_v6 = |ip: IpAddr| ip.is_ipv6();
        !link.is_named(&end.device)
            && (*vni, *port) == (self.wanted.vni.get(), self.wanted.port)
            && local.is_some_and(is_v6) == end.local.is_ipv6()
    }

    /// Refuses a network whose addresses the host reaches by another way: one of the two would be
    /// cut off. Asked where the network begins, since a host may have very many routes.
    fn no_other_way(&self) -> Result<(), Error> {
        let own: Vec<u32> = self
            .links
            .iter()
            .filter(|link| {
                link.is_named(&self.wanted.bridge) || is_ours(link, &self.wanted.network)
            })
            .map(|link| link.dev.index)
            .collect();
        let filter = Filter { table: Some(route::MAIN), ..Filter::default() };
        for there in route::list(self.socket, filter)? {
            let is_own = there.protocol == PROTOCOL || there.dev.is_some_and(|d| own.contains(&d));
            if is_own || there.dst.is_default() {
                continue;
            }
            if let Some(pool) = self.wanted.pools.iter().find(|pool| pool.overlaps(there.dst)) {
                let link = self.links.iter().find(|link| Some(link.dev.index) == there.dev);
                let link = link.map(|link| format!(" dev {}", link.dev)).unwrap_or_default();
                return Err(Error::Route {
                    network: self.wanted.network.to_string(),
                    pool: *pool,
                    route: format!("{}{link}", there.dst),
                });
            }
        }
        Ok(())
    }

    fn addresses(
        &self,
        dev: &Dev,
        wanted: &[Cidr],
        extra: Extra,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let there = addr::list(self.socket, dev)?;
        let there: Vec<Cidr> =
            there.iter().filter(|found| found.is_global()).map(|found| found.cidr).collect();
        for cidr in wanted.iter().filter(|cidr| !there.contains(cidr)) {
            changes.push(Change::Set { link: dev.name.clone(), what: cidr.to_string() });
            let add = addr::replace(dev, Addr::new(*cidr).dad(Dad::Skip));
            self.make(|| Ok(self.socket.run(&add)?))?;
        }
        for cidr in there.iter().filter(|cidr| extra == Extra::Remove && !wanted.contains(cidr)) {
            changes.push(Change::Set { link: dev.name.clone(), what: format!("no {cidr}") });
            self.make(|| Ok(self.socket.run(&addr::del(dev, *cidr))?))?;
        }
        Ok(())
    }

    fn entries(&self, end: &End, dev: &Dev, changes: &mut Vec<Change>) -> Result<(), Error> {
        let work = work(end, dev, &Found::read(self.socket, dev)?);
        let (added, removed) = (work.add.len(), work.remove.len());
        if added + removed == 0 {
            return Ok(());
        }
        changes.push(Change::Entries { device: dev.name.clone(), added, removed });
        self.make(|| {
            let is_wrong = |error: &kernel::RequestError| !error.is_missing();
            let refused = self.socket.batch(&work.remove).into_iter().filter_map(Result::err);
            if let Some(error) = refused.into_iter().find(is_wrong) {
                return Err(error.into());
            }
            Ok(self.socket.run_all(&work.add)?)
        })
    }
}

/// What becomes of addresses that nobody wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    Leave,
    Remove,
}

/// Packets of sources that would be answered another way are dropped, and nobody's advertisements
/// are heard. A kernel without IPv6 has no such switch.
fn switches(end: &End) -> Result<(), Error> {
    Key::conf_v4(&end.device, "rp_filter").ensure("1")?;
    match Key::conf_v6(&end.device, "accept_ra").ensure("0") {
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(()),
    }
}
