//! Making what the plan says. Each step pushes its inverse.

mod gateway;
mod port;

pub(crate) use port::isolates_by_port;
pub use port::remove_bridge;

use attach::error::{no_netns, refused};
use attach::host::Host;
use attach::ipam::{self, Addresses};
use attach::layer3;
use attach::steps::{self, step};
use cni::{AddResult, Call, Error};
use kernel::addr::Dad;
use kernel::announce;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::Key;
use kernel::undo::Undo;
use netfilter::{Passing, Resolver};
use pairs::claim;
use pairs::make::{self, on_host};
use types::IfName;

use crate::config::Config;
use crate::filter::{self, Wanted};
use crate::plan::{Layer3, Links};

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
    /// What it begins on the host as soon as the container's addresses are known; what comes of it is
    /// waited for later. Pushes its inverse.
    ///
    /// # Errors
    /// What went wrong.
    fn begin(&'a self, bridge: &Link, result: &AddResult, undo: &mut Undo<'a>)
    -> Result<(), Error>;

    /// What it does on the host when the gateway is there, before the packet filter is told what the
    /// attachment wants. Each step pushes its inverse. `result` is what the container gets, its
    /// interfaces not yet named, and may still be completed.
    ///
    /// # Errors
    /// What went wrong.
    fn before(&'a self, result: &mut AddResult, undo: &mut Undo<'a>) -> Result<Also, Error>;

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
        let earlier = make::record(self.call, self.host, self.netns, undo)?;
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
        if let (Some(more), Some(layer3)) = (self.more, &layer3) {
            more.begin(&made.bridge, &layer3.result, undo)?;
        }
        let mut vlan_gateway = None;
        if let Some(layer3) = &layer3 {
            step("gateway");
            vlan_gateway = self.gateways(layer3, &made.bridge, undo)?;
        }
        let mut also = Also::default();
        if let (Some(more), Some(layer3)) = (self.more, &mut layer3) {
            also = more.before(&mut layer3.result, undo)?;
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
            made.ends.wait_until_operational(self.host)?;
        }
        if layer3.is_some() {
            // Only now do frames pass; a neighbour that knew an earlier owner of the address learns.
            let ends = &made.ends;
            let _ = inside.run(&announce::by_kernel(&ends.container, ends.container_mac));
        }
        step("done");
        Ok(result)
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
        let ends = &made.ends;
        let wanted = Wanted {
            config: self.config,
            addresses: layer3.iter().flat_map(|l| &l.result.ips).map(|ip| ip.address).collect(),
            port: ends.host.dev.name.parse().ok().map(|name| (name, ends.container_mac)),
            also,
        };
        let claim = wanted.claim(claim::of(self.call, self.netns)?);
        claim::add(self.config.kind, claim, &self.host.run_dir, undo)
    }

    /// Addresses, routes and switches inside the container, and the result to print.
    fn container(
        &self,
        socket: &Socket,
        made: &port::Made,
        layer3: Option<&Layer3>,
    ) -> Result<AddResult, Error> {
        let (ifname, dev) = (&self.call.attachment.ifname, &made.ends.container);
        let mut result = layer3.map(|layer3| layer3.result.clone()).unwrap_or_default();
        if layer3.is_some() {
            dad_switches(ifname, self.config.enhanced_dad);
            layer3::announce_when_up(ifname);
            let dad = if self.config.enhanced_dad { Dad::Detect } else { Dad::Skip };
            layer3::configure(socket, dev, ifname, &result, dad)?;
        } else if !self.config.container_down {
            socket.run(&link::set(dev).up().request()).map_err(|e| refused(&e))?;
        }
        if layer3.is_none()
            && let Some(dns) = &self.config.dns
        {
            result.dns = dns.clone();
        }
        result.interfaces = vec![on_host(&made.bridge)];
        result.interfaces.extend(made.ends.interfaces(self.call));
        for ip in &mut result.ips {
            ip.interface = Some(CONTAINER);
        }
        Ok(result)
    }
}

/// Whether duplicates of IPv6 addresses are looked for; kernels without a switch do without.
fn dad_switches(ifname: &IfName, enhanced_dad: bool) {
    let switches = match enhanced_dad {
        true => vec![("enhanced_dad", "1"), ("accept_dad", "1")],
        false => vec![("accept_dad", "0")],
    };
    for (name, value) in switches {
        let _ = Key::conf_v6(ifname, name).write(value);
    }
}
