//! A container as a lease needs it: its link, to talk over it and to change what the lease says.
//!
//! Nothing of it is kept while nobody talks: an open socket would keep a dead namespace alive.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use attach::error::{no_netns, refused};
use attach::host::identity;
use attach::layer3;
use cni::record::NetnsId;
use cni::{AddResult, Error, code};
use kernel::link::{self, Link};
use kernel::netlink::{Request, Socket};
use kernel::netns::Netns;
use kernel::packet::PacketSocket;
use kernel::{addr, route};
use types::{Cidr, IfName, MacAddr, Mtu};

use crate::exchange::{self, Client};
use crate::frame;
use crate::lease::Lease;
use crate::store::Entry;

/// The link of a container, up, and the sockets that reach it.
#[derive(Debug)]
pub(crate) struct Place {
    /// The link as it was.
    pub(crate) link: Link,
    /// Its Ethernet address.
    pub(crate) mac: MacAddr,
    /// Its namespace.
    pub(crate) netns_id: NetnsId,
    netlink: Socket,
    packets: Packets,
}

/// The socket that frames go through.
#[derive(Debug)]
struct Packets(Option<PacketSocket>);

impl Packets {
    fn socket(&self) -> &PacketSocket {
        self.0.as_ref().expect("it is taken when it is dropped, and not before")
    }
}

impl Drop for Packets {
    /// To close it takes an RCU grace period, up to 20 ms, which no other lease is to wait for.
    fn drop(&mut self) {
        const STACK_BYTES: usize = 64 * 1024;
        let socket = self.0.take();
        // Where there may be no more threads it is closed here.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || drop(socket));
    }
}

impl Place {
    /// Finds `ifname` in the namespace at `path`, sets it up, and listens there.
    ///
    /// # Errors
    /// Code 4 when there is no namespace or no such link; code 5 with the kernel's words.
    pub(crate) fn open(path: &str, ifname: &IfName) -> Result<Self, Error> {
        let netns = Netns::open(path).map_err(|error| no_netns(&error))?;
        let failed = |step: &str, error: &dyn std::fmt::Display| {
            Error::new(code::IO, format!("{step} {ifname} in {path}: {error}"))
        };
        let netns_id = identity(&netns).map_err(|error| failed("identify the place of", &error))?;
        let inside = || {
            let netlink = Socket::open(path).map_err(|error| refused(&error))?;
            let found = link::find(&netlink, ifname).map_err(|error| refused(&error))?;
            let link = found.ok_or_else(|| {
                let text = format!("look for {ifname} in {path}: there is no such link");
                Error::new(code::INVALID_ENVIRONMENT, text)
                    .with_hint("the plugin that names dhcp in \"ipam\" makes it first")
            })?;
            if !link.is_up() {
                let up = link::set(&link).up().request();
                netlink.run(&up).map_err(|error| refused(&error))?;
            }
            let packets = PacketSocket::open_udp(link.dev.index, frame::CLIENT)
                .map_err(|error| failed("listen for DHCP on", &error))?;
            Ok((netlink, link, packets))
        };
        let (netlink, link, packets) = netns.run(inside).map_err(|error| no_netns(&error))??;
        let Some(mac) = link.mac else {
            return Err(failed("ask for a lease on", &"it has no Ethernet address"));
        };
        Ok(Self { link, mac, netns_id, netlink, packets: Packets(Some(packets)) })
    }

    /// Who asks here. Where a link shares the address of another one, only what is broadcast gets
    /// to a client without an address.
    #[must_use]
    pub(crate) fn client(&self, entry: &Entry, broadcast: bool) -> Client {
        let broadcast = broadcast || self.link.is_kind("ipvlan");
        Client { mac: self.mac, spec: entry.what.spec.clone(), broadcast }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Code 5 with the kernel's words.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), Error> {
        let failed = |error| {
            let (link, path) = (&self.link.dev, self.netlink.place());
            Error::new(code::IO, format!("send DHCP on {link} in {path}: {error}"))
        };
        self.packets.socket().send(frame).map_err(failed)
    }

    /// The next frame that was heard, if any.
    #[must_use]
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        // A link that went down is found so when something is sent.
        self.packets.socket().receive().ok().flatten()
    }

    /// Lowers the link's MTU to what `lease` says; `usual` is what it has without.
    ///
    /// # Errors
    /// Code 5 with the kernel's words.
    pub(crate) fn set_mtu(&self, lease: &Lease, usual: u32) -> Result<(), Error> {
        let wanted = lease.mtu().map_or(usual, |mtu| mtu.min(usual));
        let Ok(mtu) = Mtu::try_from(wanted) else { return Ok(()) };
        if wanted == self.link.mtu {
            return Ok(());
        }
        self.run(&link::set(&self.link).mtu(mtu).request())
    }

    /// Makes of a link that has what `old` says one that has what `new` says.
    ///
    /// # Errors
    /// Code 5 with the kernel's words; the rest is done all the same.
    pub(crate) fn change(
        &self,
        old: Option<&AddResult>,
        new: Option<&AddResult>,
    ) -> Result<(), Error> {
        let address = |of: Option<&AddResult>| of.and_then(|r| r.ips.first()).map(|ip| ip.address);
        let routes = |of: Option<&AddResult>| -> Vec<route::Route> {
            let of_result = |r: &AddResult| -> Vec<_> {
                r.routes.iter().map(|one| layer3::route_of(one, &self.link.dev, r)).collect()
            };
            of.map(of_result).unwrap_or_default()
        };
        let (had, wanted) = (address(old), address(new));
        let (had_routes, wanted_routes) = (routes(old), routes(new));
        let mut errors = Vec::new();
        let mut step = |outcome: Result<(), Error>| errors.extend(outcome.err());
        for gone in had_routes.iter().filter(|route| !wanted_routes.contains(route)) {
            step(self.run_unless_missing(&gone.del()));
        }
        if had != wanted {
            // It goes first: a second address of one network would go with it.
            if let Some(had) = had {
                step(self.remove(had));
            }
            if let Some(wanted) = wanted {
                step(self.run_unless_there(&addr::add(&self.link.dev, wanted)));
            }
        }
        // All of them: with its last address a link loses its routes.
        for route in
            wanted_routes.iter().filter(|route| had != wanted || !had_routes.contains(route))
        {
            step(self.run_unless_there(&route.prepend()));
        }
        Error::joined(errors).map_or(Ok(()), Err)
    }

    /// Takes the address `cidr` off the link.
    ///
    /// # Errors
    /// Code 5 with the kernel's words.
    fn remove(&self, cidr: Cidr) -> Result<(), Error> {
        self.run_unless_missing(&addr::del(&self.link.dev, cidr))
    }

    fn run(&self, request: &Request) -> Result<(), Error> {
        self.netlink.run(request).map_err(|error| refused(&error))
    }

    fn run_unless_missing(&self, request: &Request) -> Result<(), Error> {
        match self.netlink.run(request) {
            Err(error) if !error.is_missing() => Err(refused(&error)),
            _ => Ok(()),
        }
    }

    fn run_unless_there(&self, request: &Request) -> Result<(), Error> {
        match self.netlink.run(request) {
            Err(error) if !error.is_exists() => Err(refused(&error)),
            _ => Ok(()),
        }
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.packets.socket().as_fd()
    }
}

/// Gives the lease of `entry` back to its server, if it has one and its link is still there. `prefix`
/// comes before the path of the namespace.
///
/// # Errors
/// Why the server could not be told.
pub(crate) fn release(entry: &Entry, prefix: &str) -> Result<(), Error> {
    let Some(lease) = &entry.what.lease else { return Ok(()) };
    let place = Place::open(&format!("{prefix}{}", entry.what.netns), &entry.key.ifname)?;
    if place.netns_id != entry.what.netns_id() {
        let text = format!("{} is another namespace by now", entry.what.netns);
        return Err(Error::new(code::UNKNOWN_CONTAINER, text));
    }
    let client = place.client(entry, false);
    let frame = exchange::release(lease, &client, crate::xid())
        .ok_or_else(|| Error::new(code::IO, "the server did not say its address (option 54)"))?;
    place.send(&frame)
}
