//! What is done on the host beyond the bridge: forwarding, published ports, names.

use attach::error::refused;
use attach::host::Host;
use bridges::apply::More;
use bridges::config::{Config as Bridge, Conflict, Gateway};
use cni::{AddResult, Call, Error};
use forwarded::Forwarding;
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::route::{self, Filter};
use kernel::undo::Undo;
use netfilter::claim::{Linked, ReferencePorts};
use netfilter::{Masquerade, Publication};
use published::{Publisher, Wanted, plan};
use types::{Family, Mtu, NetworkName};

use crate::config::Config;
use crate::names::Joining;
use crate::registry::{self, Network};

/// The reference's bit of the packet mark.
const MARK_BIT: u8 = 13;

/// The network as `bridges` is to make it.
pub(crate) fn bridge(
    name: &NetworkName,
    config: &Config,
    network: &Network,
    mtu: Option<Mtu>,
) -> Bridge {
    Bridge {
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

/// The MTU of what the host's default routes lead to; the smaller one where families differ.
///
/// # Errors
/// When the kernel cannot be asked.
pub(crate) fn mtu_of_way_out(host: &Socket) -> Result<Option<Mtu>, Error> {
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

/// What an ADD does on the host when the bridge and the claim are there.
pub(crate) struct OnHost<'a> {
    call: &'a Call,
    config: &'a Config,
    forwarding: Forwarding<'a>,
    publisher: Publisher<'a>,
    joining: Joining<'a>,
}

impl<'a> OnHost<'a> {
    /// Opens all that is needed, on the host.
    ///
    /// # Errors
    /// When the packet filter cannot be opened, and codes 6 and 7 about keys of names.
    pub(crate) fn open(
        call: &'a Call,
        config: &'a Config,
        host: &'a Host,
        netns: &'a Netns,
    ) -> Result<Self, Error> {
        let run_dir = &host.run_dir;
        Ok(Self {
            call,
            config,
            joining: Joining::new(call, config, host, netns)?,
            forwarding: Forwarding::open(call, run_dir)?,
            publisher: Publisher::open(call, "user-bridge", run_dir)?,
        })
    }
}

impl<'a> More<'a> for OnHost<'a> {
    fn apply(&'a self, result: &mut AddResult, undo: &mut Undo<'a>) -> Result<(), Error> {
        self.forwarding.add(&forwarded::Wanted::default(), result, undo)?;
        if let Some(publication) = publication(self.call, self.config, result) {
            let reference = Some(reference());
            let on_listener = self.config.on_listener;
            self.publisher.publish(&Wanted { publication, reference, on_listener }, undo)?;
        }
        self.joining.on_host(result, undo)
    }

    fn inside(&'a self, undo: &mut Undo<'a>) -> Result<(), Error> {
        self.joining.in_container(undo)
    }
}

/// What is published for `call`; `None` where there is nothing to publish.
pub(crate) fn publication(call: &Call, config: &Config, result: &AddResult) -> Option<Publication> {
    if config.mappings.is_empty() {
        return None;
    }
    let mappings = config.mappings.clone();
    Some(plan::publication(&call.attachment, result, mappings, Masquerade::Neighbours))
}

fn reference() -> ReferencePorts {
    ReferencePorts { mark_bit: MARK_BIT, set_mark_chain: None, linked: Linked::No }
}
