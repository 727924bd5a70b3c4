//! What is done beyond the bridge: forwarding and published ports.

use std::cell::OnceCell;

use attach::host::Host;
use bridges::apply::{Also, More};
use cni::{AddResult, Call, Error};
use forwarded::{Backend, Forwarding};
use kernel::link::Link;
use kernel::undo::Undo;
use netfilter::claim::{Linked, ReferencePorts};
use netfilter::{Masquerade, Passing, Publication};
use published::{OnListener, Publisher, Wanted, plan};

use crate::NAME;
use crate::config::Config;
use crate::network::Network;

/// The reference's bit of the packet mark.
const MARK_BIT: u8 = 13;

/// What an ADD does beyond the bridge.
pub(crate) struct Beyond<'a> {
    call: &'a Call,
    config: &'a Config,
    network: &'a Network,
    host: &'a Host,
    /// Opened where they are needed.
    forwarding: OnceCell<Forwarding<'a>>,
    publisher: OnceCell<Publisher<'a>>,
}

impl<'a> Beyond<'a> {
    /// Of one attachment.
    pub(crate) fn new(
        call: &'a Call,
        config: &'a Config,
        network: &'a Network,
        host: &'a Host,
    ) -> Self {
        let (forwarding, publisher) = Default::default();
        Self { call, config, network, host, forwarding, publisher }
    }
}

impl<'a> More<'a> for Beyond<'a> {
    fn begin(&'a self, _: &Link, _: &AddResult, _: &mut Undo<'a>) -> Result<(), Error> {
        Ok(())
    }

    /// Lets packets through where the host drops what it forwards: by firewalld where that runs, else
    /// by the claim.
    fn before(&'a self, result: &mut AddResult, undo: &mut Undo<'a>) -> Result<Also, Error> {
        if forwarded::apply::is_by_firewalld()? {
            let opened = Forwarding::open(self.call, &self.host.run_dir)?;
            let forwarding = self.forwarding.get_or_init(|| opened);
            forwarding.add(&by_firewalld(), result, undo)?;
            return Ok(Also::default());
        }
        let bridge = self.network.bridge.clone();
        let addresses = result.ips.iter().map(|ip| ip.address.ip()).collect();
        Ok(Also { passing: Some(Passing { bridge, addresses }), ..Also::default() })
    }

    fn after(&'a self, result: &AddResult, undo: &mut Undo<'a>) -> Result<(), Error> {
        let Some(publication) = publication(self.call, self.config, result) else {
            return Ok(());
        };
        let opened = Publisher::open(self.call, NAME, &self.host.run_dir)?;
        let publisher = self.publisher.get_or_init(|| opened);
        let (mark_bit, linked) = (MARK_BIT, Linked::No);
        let reference = Some(ReferencePorts { mark_bit, set_mark_chain: None, linked });
        let on_listener = OnListener::Warn;
        publisher.publish(&Wanted { publication, reference, on_listener }, undo)
    }

    fn inside(&'a self, _: &mut Undo<'a>) -> Result<(), Error> {
        Ok(())
    }
}

/// What firewalld is to let through, where it runs.
pub(crate) fn by_firewalld() -> forwarded::Wanted {
    forwarded::Wanted { backend: Backend::Firewalld, ..forwarded::Wanted::default() }
}

/// What is published for `call`; `None` where there is nothing to publish.
pub(crate) fn publication(call: &Call, config: &Config, result: &AddResult) -> Option<Publication> {
    if config.mappings.is_empty() {
        return None;
    }
    let mappings = config.mappings.clone();
    Some(plan::publication(&call.attachment, result, mappings, Masquerade::Neighbours))
}
