//! What is done beyond the bridge: forwarding, published ports, names.

use std::cell::OnceCell;

use attach::error::refused;
use attach::host::Host;
use bridges::apply::{Also, More};
use bridges::config::{Config as Bridge, Conflict, Elsewhere, Gateway};
use cni::{AddResult, Call, Error};
use forwarded::OnBridge;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::route::{self, Filter};
use kernel::undo::Undo;
use naming::Joining;
use netfilter::claim::ReferencePorts;
use netfilter::kind;
use published::{Publisher, Wanted, plan};
use types::{Family, Mtu, NetworkName};

use crate::config::Config;
use crate::names::{self, NAME};
use crate::registry::{self, Network};

/// The network as `bridges` is to make it.
pub(crate) fn bridge(
    name: &NetworkName,
    config: &Config,
    network: &Network,
    mtu: Option<Mtu>,
) -> Bridge {
    Bridge {
        kind: &kind::Network,
        bridge: network.bridge.clone(),
        bridge_alias: Some(alias(name)),
        gateway: if config.has_gateway { Gateway::Address } else { Gateway::None },
        conflict: Conflict::Fail,
        mtu,
        // A bridge that shows frames to the packet filter sends them back to where they came from
        // when a container uses its own published port.
        hairpin: !config.mappings.is_empty(),
        promisc: false,
        isolated: false,
        vlans: None,
        masquerade: config.masquerade,
        elsewhere: Elsewhere::default(),
        spoof_check: false,
        isolation: Some(config.apart),
        enhanced_dad: false,
        container_down: false,
        mac: config.mac,
        dns: None,
        ipam: None,
    }
}

/// What says whose a bridge is that was made for a network.
pub(crate) fn alias(name: &NetworkName) -> String {
    format!("cais network {}", registry::id(name))
}

/// The MTU that links of `network` are to have where nobody said: what its bridge has since it was
/// made, and before that what the way out has.
///
/// # Errors
/// When the kernel cannot be asked.
pub(crate) fn mtu(host: &Socket, network: &Network) -> Result<Option<Mtu>, Error> {
    match link::find(host, &network.bridge).map_err(|e| refused(&e))? {
        Some(bridge) => Ok(Mtu::try_from(bridge.mtu).ok()),
        None => mtu_of_way_out(host),
    }
}

/// The MTU of what the host's default routes lead to; the smaller one where families differ.
///
/// # Errors
/// When the kernel cannot be asked.
fn mtu_of_way_out(host: &Socket) -> Result<Option<Mtu>, Error> {
    let mut smallest: Option<Mtu> = None;
    for family in [Family::V4, Family::V6] {
        let filter = Filter { family: Some(family), table: Some(route::MAIN), ..Filter::default() };
        let routes = route::list(host, filter).map_err(|e| refused(&e))?;
        let defaults = routes.iter().filter(|route| route.dst.is_default());
        let best = defaults.min_by_key(|route| route.metric.unwrap_or(0));
        let Some(index) = best.and_then(|route| route.dev) else { continue };
        let Some(link) = link::find(host, index).map_err(|e| refused(&e))? else { continue };
        if let Ok(mtu) = Mtu::try_from(link.mtu) {
            smallest = Some(smallest.map_or(mtu, |other| other.min(mtu)));
        }
    }
    Ok(smallest)
}

/// What an ADD does beyond the bridge.
pub(crate) struct Beyond<'a> {
    call: &'a Call,
    config: &'a Config,
    network: &'a Network,
    host: &'a Host,
    joining: Joining<'a>,
    forwarding: OnBridge<'a>,
    /// Opened where it is needed.
    publisher: OnceCell<Publisher<'a>>,
}

impl<'a> Beyond<'a> {
    /// Reads what it takes.
    ///
    /// # Errors
    /// Codes 6 and 7 about keys of names.
    pub(crate) fn new(
        call: &'a Call,
        config: &'a Config,
        network: &'a Network,
        host: &'a Host,
        netns: &'a Netns,
    ) -> Result<Self, Error> {
        let settings = names::settings(&call.config, &call.args_text, config)?;
        let said = (settings, config.dns.clone());
        let joining = Joining::new(call, said, (host, netns), NAME);
        let forwarding = OnBridge::new(call, &host.run_dir);
        let publisher = OnceCell::new();
        Ok(Self { call, config, network, host, joining, forwarding, publisher })
    }
}

impl<'a> More<'a> for Beyond<'a> {
    fn begin(
        &'a self,
        bridge: &Link,
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        self.joining.begin((&self.network.bridge, bridge.dev.index), result, undo)
    }

    fn before(&'a self, result: &mut AddResult, undo: &mut Undo<'a>) -> Result<Also, Error> {
        let passing = self.forwarding.pass(&self.network.bridge, result, undo)?;
        let resolvers = self.joining.finish(result)?;
        Ok(Also { passing, resolvers })
    }

    fn after(&'a self, result: &AddResult, undo: &mut Undo<'a>) -> Result<(), Error> {
        let (key, mappings) = (&self.call.attachment, &self.config.mappings);
        let Some(publication) = plan::on_bridge(key, result, mappings) else { return Ok(()) };
        let opened = Publisher::open(self.call, NAME, &self.host.run_dir)?;
        let publisher = self.publisher.get_or_init(|| opened);
        let reference = Some(ReferencePorts::unlinked());
        let on_listener = self.config.on_listener;
        publisher.publish(&Wanted { publication, reference, on_listener }, undo)
    }

    fn inside(&'a self, undo: &mut Undo<'a>) -> Result<(), Error> {
        self.joining.in_container(undo)
    }
}
