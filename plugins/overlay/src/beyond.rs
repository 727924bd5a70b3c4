//! What is done beyond the bridge: forwarding, published ports, names.

use std::cell::OnceCell;

use attach::host::Host;
use bridges::apply::{Also, More};
use cni::{AddResult, Call, Error};
use forwarded::OnBridge;
use kernel::link::Link;
use kernel::undo::Undo;
use naming::Joining;
use netfilter::claim::ReferencePorts;
use published::{OnListener, Publisher, Wanted, plan};

use crate::config::Config;
use crate::network::Network;
use crate::{NAME, names};

/// What an ADD does beyond the bridge.
pub(crate) struct Beyond<'a> {
    call: &'a Call,
    config: &'a Config,
    network: &'a Network,
    host: &'a Host,
    joining: Option<Joining<'a>>,
    forwarding: OnBridge<'a>,
    /// Opened where it is needed.
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
        let forwarding = OnBridge::new(call, &host.run_dir);
        let publisher = OnceCell::new();
        Self { call, config, network, host, joining, forwarding, publisher }
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
        let passing = self.forwarding.pass(&self.network.bridge, result, undo)?;
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
        let (key, mappings) = (&self.call.attachment, &self.config.mappings);
        let Some(publication) = plan::on_bridge(key, result, mappings) else { return Ok(()) };
        let opened = Publisher::open(self.call, NAME, &self.host.run_dir)?;
        let publisher = self.publisher.get_or_init(|| opened);
        let reference = Some(ReferencePorts::unlinked());
        let on_listener = OnListener::Warn;
        publisher.publish(&Wanted { publication, reference, on_listener }, undo)
    }

    fn inside(&'a self, undo: &mut Undo<'a>) -> Result<(), Error> {
        self.joining.as_ref().map_or(Ok(()), |joining| joining.in_container(undo))
    }
}
