//! What is done beyond the bridge: forwarding, published ports, names.

use std::cell::OnceCell;

use attach::host::Host;
use bridges::apply::{Also, More};
use cni::{AddResult, Call, Error};
use forwarded::{Backend, Forwarding};
use kernel::link::Link;
use kernel::undo::Undo;
use naming::Joining;
use netfilter::claim::{Linked, ReferencePorts};
use netfilter::{Masquerade, Passing, Publication};
use published::{OnListener, Publisher, Wanted, plan};

use crate::config::Config;
use crate::network::Network;
use crate::{NAME, names};

/// The reference's bit of the packet mark.
const MARK_BIT: u8 = 13;

/// What an ADD does beyond the bridge.
pub(crate) struct Beyond<'a> {
    call: &'a Call,
    config: &'a Config,
    network: &'a Network,
    host: &'a Host,
    joining: Option<Joining<'a>>,
    /// Opened where they are needed.
    forwarding: OnceCell<Forwarding<'a>>,
    publisher: OnceCell<Publisher<'a>>,
}

impl<'a> Beyond<'a> {
    /// Of one attachment; without `joining` it has no names.
    pub(crate) fn new(
        call: &'a Call,
        config: &'a Config,
        network: &'a Network,
        (host, joining): (&'a Host, Option<Joining<'a>>),
    ) -> Self {
        let (forwarding, publisher) = Default::default();
        Self { call, config, network, host, joining, forwarding, publisher }
    }

    /// Lets packets through where the host drops what it forwards: by firewalld where that runs, else
    /// by the claim.
    fn forward(
        &'a self,
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<Option<Passing>, Error> {
        if forwarded::apply::is_by_firewalld()? {
            let opened = Forwarding::open(self.call, &self.host.run_dir)?;
            let forwarding = self.forwarding.get_or_init(|| opened);
            forwarding.add(&by_firewalld(), result, undo)?;
            return Ok(None);
        }
        let bridge = self.network.bridge.clone();
        let addresses = result.ips.iter().map(|ip| ip.address.ip()).collect();
        Ok(Some(Passing { bridge, addresses }))
    }
}

impl<'a> More<'a> for Beyond<'a> {
    fn begin(
        &'a self,
        bridge: &Link,
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        let Some(joining) = &self.joining else { return Ok(()) };
        joining.begin((&self.network.bridge, bridge.dev.index), result, undo)
    }

    fn before(&'a self, result: &mut AddResult, undo: &mut Undo<'a>) -> Result<Also, Error> {
        let passing = self.forward(result, undo)?;
        let resolvers = match &self.joining {
            Some(joining) => joining.finish(result)?,
            None => Vec::new(),
        };
        Ok(Also { passing, resolvers })
    }

    fn after(&'a self, result: &AddResult, undo: &mut Undo<'a>) -> Result<(), Error> {
        if self.network.has_daemon()
            && let Some(names) = self.joining.as_ref().and_then(Joining::names)
        {
            names::tell_others(self.call, &names, result, self.host, undo)?;
        }
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

    fn inside(&'a self, undo: &mut Undo<'a>) -> Result<(), Error> {
        self.joining.as_ref().map_or(Ok(()), |joining| joining.in_container(undo))
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
