//! Making and removing what the plan says. Each step of ADD pushes its inverse.

mod gateway;
mod port;

pub use port::remove_bridge;
pub(crate) use port::{deleter, isolates_by_port};

use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use attach::error::{no_netns, refused};
use attach::host::{Host, identity};
use attach::ipam::{self, Addresses};
use attach::layer3;
use attach::record::{self, Earlier};
use attach::steps::{self, step};
use cni::record::Record;
use cni::{AddResult, Call, Error, Interface, code};
use kernel::addr::Dad;
use kernel::announce;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::Key;
use kernel::undo::Undo;
use netfilter::{Filter, Passing, Resolver, kind};
use types::{IfName, MacAddr};

use crate::config::Config;
use crate::filter::{self, Wanted};
use crate::plan::{Layer3, Links};

/// How long a new port may take until the bridge forwards through it.
const PORT_DEADLINE: Duration = Duration::from_secs(5);

/// Place of the container's end among the result's interfaces.
const CONTAINER: usize = 2;

/// Everything that ADD works with.
pub struct Adding<'a> {
    /// The call.
    pub call: &'a Call,
    /// What the network is to be.
    pub config: &'a Config,
    /// The links that follow from it.
    pub links: &'a Links,
    /// The host that the call came to.
    pub host: &'a Host,
    /// The container's namespace.
    pub netns: &'a Netns,
    /// Where addresses come from; `None`: layer 2 only.
    pub addresses: Option<&'a dyn Addresses>,
    /// What else the plugin does on the host for an attachment.
    pub more: Option<&'a dyn More<'a>>,
}

/// What a plugin wants of the packet filter beside what follows from the bridge: one claim for all of
/// it is one lock, one file and one transaction.
#[derive(Clone, Debug, Default)]
pub struct Also {
    /// As in the claim.
    pub passing: Option<Passing>,
    /// As there.
    pub resolvers: Vec<Resolver>,
}

/// What a plugin does beyond the bridge.
pub trait More<'a> {
    /// What it does on the host when the gateway is there, before the packet filter is told what the
    /// attachment wants. Each step pushes its inverse. `result` is what the container gets, its
    /// interfaces not yet named, and may still be completed.
    ///
    /// # Errors
    /// What went wrong.
    fn before(
        &'a self,
        bridge: &Link,
        result: &mut AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<Also, Error>;

    /// What it does on the host after that, before the container's end is set up.
    ///
    /// # Errors
    /// What went wrong.
    fn after(&'a self, result: &AddResult, undo: &mut Undo<'a>) -> Result<(), Error>;

    /// What it does in the container's namespace, when the container's end is up.
    ///
    /// # Errors
    /// What went wrong.
    fn inside(&'a self, undo: &mut Undo<'a>) -> Result<(), Error>;
}

impl<'a> Adding<'a> {
    /// Makes the attachment, or takes back whatever it did.
    ///
    /// # Errors
    /// What was tried and why it failed; what could not be taken back is in the details.
    pub fn run(&self) -> Result<AddResult, Error> {
        steps::run(|undo| self.steps(undo))
    }

    fn steps(&self, undo: &mut Undo<'a>) -> Result<AddResult, Error> {
        step("record");
        let earlier = self.record(undo)?;
        step("bridge");
        let bridge = self.bridge(undo)?;
        step("port");
        let made = self.port(&bridge, earlier, undo)?;
        let mut layer3 = match self.addresses {
            None => None,
            Some(addresses) => {
                step("ipam");
                let answer = ipam::lease(addresses, self.call, self.host, undo)?;
                Some(Layer3::new(self.config, answer)?)
            }
        };
        let mut vlan_gateway = None;
        if let Some(layer3) = &layer3 {
            step("gateway");
            vlan_gateway = self.gateways(layer3, &made.bridge, undo)?;
        }
        let mut also = Also::default();
        if let (Some(more), Some(layer3)) = (self.more, &mut layer3) {
            also = more.before(&made.bridge, &mut layer3.result, undo)?;
        }
        step("filter");
        self.claim(&made, layer3.as_ref(), also, undo)?;
        if let (Some(more), Some(layer3)) = (self.more, &layer3) {
            more.after(&layer3.result, undo)?;
        }
        step("container");
        self.netns.enter_for_good().map_err(|e| no_netns(&e))?;
        let inside =
            Socket::open(self.netns.path().display().to_string()).map_err(|e| refused(&e))?;
        let mut result = self.container(&inside, &made, layer3.as_ref())?;
        result.interfaces.extend(vlan_gateway.as_ref().map(on_host));
        if let Some(more) = self.more {
            step("more");
            more.inside(undo)?;
        }
        if !self.config.container_down {
            step("forwarding");
            self.wait_for_port(&made.host)?;
        }
        if layer3.is_some() {
            // Only now do frames pass; a neighbour that knew an earlier owner of the address learns.
            let dev = link::Dev::new(made.container_index, &self.call.attachment.ifname);
            let _ = inside.run(&announce::by_kernel(&dev, made.container_mac));
        }
        step("done");
        Ok(result)
    }

    /// Written first. Tells what is known of an earlier attachment of the same key.
    fn record(&self, undo: &mut Undo<'a>) -> Result<Earlier, Error> {
        let host_ifname = attach::names::host_ifname(&self.call.attachment, 0).to_string();
        let record = Record { host_ifname, ..record::of(self.call, self.netns)? };
        record::write(record, &self.host.run_dir, undo)
    }

    /// Tells the packet filter what the attachment wants of it.
    fn claim(
        &self,
        made: &port::Made,
        layer3: Option<&Layer3>,
        also: Also,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        if !filter::asks(self.config) {
            return Ok(());
        }
        let failed = |e| Error::new(code::IO, format!("identify {}: {e}", self.call.sandbox()));
        let wanted = Wanted {
            call: self.call,
            config: self.config,
            addresses: layer3.iter().flat_map(|l| &l.result.ips).map(|ip| ip.address).collect(),
            port: made.host.dev.name.parse().ok().map(|name| (name, made.container_mac)),
            netns_id: identity(self.netns).map_err(failed)?,
            also,
        };
        let claim = wanted.claim();
        let filter = Filter::open(&self.host.run_dir, &kind::Interface)?;
        filter.add(&claim)?;
        // Its socket stays on the host, wherever the thread goes.
        undo.push(format!("take back what {} wants of the packet filter", claim.key), move || {
            Ok(filter.remove(&claim.key, &[]).map(drop)?)
        });
        Ok(())
    }

    /// Addresses, routes and switches inside the container, and the result to print.
    fn container(
        &self,
        socket: &Socket,
        made: &port::Made,
        layer3: Option<&Layer3>,
    ) -> Result<AddResult, Error> {
        let ifname = &self.call.attachment.ifname;
        let dev = link::Dev::new(made.container_index, ifname);
        let mut result = layer3.map(|layer3| layer3.result.clone()).unwrap_or_default();
        if layer3.is_some() {
            announce_switches(ifname, self.config.enhanced_dad);
            let dad = if self.config.enhanced_dad { Dad::Detect } else { Dad::Skip };
            layer3::configure(socket, &dev, ifname, &result, dad)?;
        } else if !self.config.container_down {
            socket.run(&link::set(&dev).up().request()).map_err(|e| refused(&e))?;
        }
        if layer3.is_none()
            && let Some(dns) = &self.config.dns
        {
            result.dns = dns.clone();
        }
        result.interfaces = self.interfaces(made);
        for ip in &mut result.ips {
            ip.interface = Some(CONTAINER);
        }
        Ok(result)
    }

    /// Bridge, host's end, container's end.
    fn interfaces(&self, made: &port::Made) -> Vec<Interface> {
        let container = Interface {
            name: self.call.attachment.ifname.to_string(),
            mac: made.container_mac.to_string(),
            mtu: made.host.mtu,
            sandbox: self.call.sandbox(),
            ..Interface::default()
        };
        vec![on_host(&made.bridge), on_host(&made.host), container]
    }

    fn wait_for_port(&self, port: &Link) -> Result<(), Error> {
        // Microseconds after both ends are up, as a rule; only then are events worth a thread.
        for _ in 0..50 {
            if link::get(&self.host.socket, port).map_err(|e| refused(&e))?.is_operational() {
                return Ok(());
            }
            std::thread::yield_now();
        }
        let place = self.host.socket.place();
        let wait = || {
            let socket = Socket::open(place)?;
            link::wait_until_operational(&socket, &port.dev, PORT_DEADLINE)
        };
        match self.host.netns.run(wait) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(&error)),
            Err(error) => Err(no_netns(&error)),
        }
    }
}

fn on_host(link: &Link) -> Interface {
    Interface {
        name: link.dev.name.clone(),
        mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        mtu: link.mtu,
        ..Interface::default()
    }
}

/// Neighbours learn of the addresses when the link comes up; kernels without a switch do without.
fn announce_switches(ifname: &IfName, enhanced_dad: bool) {
    let switches = match enhanced_dad {
        true => vec![("enhanced_dad", "1"), ("accept_dad", "1")],
        false => vec![("accept_dad", "0")],
    };
    for (name, value) in switches {
        let _ = Key::conf_v6(ifname, name).write(value);
    }
    let _ = Key::conf_v4(ifname, "arp_notify").write("1");
    let _ = Key::conf_v6(ifname, "ndisc_notify").write("1");
}

/// A random address of our own choosing: the kernel's would count as not set, and a bridge with
/// such a one takes over its ports'.
pub(crate) fn random_mac() -> MacAddr {
    // Two hashers never have the same keys; the kernel's random numbers are behind them.
    let [a, b, c, d, e, f, ..] = RandomState::new().hash_one(std::process::id()).to_ne_bytes();
    MacAddr::local([a, b, c, d, e, f])
}

/// Removes the attachment: the container's end, the host's end, the addresses, the record. Each is
/// tried whatever the others did. `asks` says whether its configuration may have asked for anything
/// of the packet filter; what is remembered is taken back in any case. `hold` are sockets of the
/// packet filter through which more was deleted: the child that waits for the kernel holds them.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(
    call: &Call,
    addresses: Option<&dyn Addresses>,
    (asks, hold): (bool, Vec<Socket>),
    run_dir: &Path,
) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut hold = hold;
    if asks || filter::is_remembered(&call.attachment, run_dir) {
        match filter::remove(&call.attachment, run_dir) {
            Ok(socket) => hold.push(socket),
            Err(error) => errors.push(error),
        }
    }
    let mut note = |outcome: Result<(), Error>| errors.extend(outcome.err());
    let in_process = addresses.is_none_or(Addresses::is_in_process);
    if !in_process && let Some(addresses) = addresses {
        // While the link is there, so that `dhcp` can tell its server.
        note(addresses.del(call));
    }
    let hold: Vec<_> = hold.iter().map(AsFd::as_fd).collect();
    note(port::remove(call, run_dir, &hold));
    if in_process && let Some(addresses) = addresses {
        note(addresses.del(call));
    }
    note(record::remove(call, run_dir));
    match Error::joined(errors) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}
