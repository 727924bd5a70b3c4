//! Giving names to an attachment whose plugin makes the bridge itself: what the daemon is told of it,
//! and when.

use std::cell::RefCell;

use attach::host::Host;
use cni::{AddResult, Call, Dns, Error};
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Names, Pending, Place};
use netfilter::Resolver;
use types::IfName;

use crate::doors;
use crate::plan::record_on_bridge;
use crate::register::{begin, lead};
use crate::settings::{Required, Settings};

/// Names of one attachment that is being made.
pub struct Joining<'a> {
    call: &'a Call,
    settings: Settings,
    dns: Dns,
    netns: &'a Netns,
    client: Client<'a>,
    /// Who warns.
    plugin: &'static str,
    /// What the daemon was told and has not answered yet.
    pending: RefCell<Option<Pending<'a>>>,
    /// Where the daemon answers, once that is known.
    places: RefCell<Vec<Place>>,
}

impl<'a> Joining<'a> {
    /// On the host, before anything is made. `dns` is what the container is told beside the network's
    /// own name service, and `plugin` who warns.
    #[must_use]
    pub fn new(
        call: &'a Call,
        (settings, dns): (Settings, Dns),
        (host, netns): (&'a Host, &'a Netns),
        plugin: &'static str,
    ) -> Self {
        let client = Client::new(&host.run_dir, &call.path);
        let (pending, places) = Default::default();
        Self { call, settings, dns, netns, client, plugin, pending, places }
    }

    /// Tells the daemon the names, and does not wait for its answer. On the host, when the bridge is
    /// there.
    ///
    /// # Errors
    /// As [`begin`], unless names are only wished for.
    pub fn begin(
        &'a self,
        bridge: (&IfName, u32),
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        let (call, netns) = (self.call, self.netns);
        let told = record_on_bridge(call, &self.settings, result, netns, bridge)
            .and_then(|record| begin(&self.client, &record, undo));
        match told {
            Ok(pending) => {
                *self.pending.borrow_mut() = Some(pending);
                undo.push("wait until names are known", || {
                    let pending = self.pending.borrow_mut().take();
                    Ok(pending.map_or(Ok(()), Pending::give_up)?)
                });
                Ok(())
            }
            Err(error) => self.without(error),
        }
    }

    /// Waits until the names are known, and completes what the container's resolv.conf(5) gets. On the
    /// host, when the gateways are there. Gives what is to be redirected.
    ///
    /// # Errors
    /// As [`Pending::finish`], unless names are only wished for.
    pub fn finish(&self, result: &mut AddResult) -> Result<Vec<Resolver>, Error> {
        result.dns = self.dns.clone();
        let Some(pending) = self.pending.borrow_mut().take() else { return Ok(Vec::new()) };
        let places = match pending.finish(self.netns) {
            Ok(places) => places,
            Err(error) => return self.without(error).map(|()| Vec::new()),
        };
        doors::complete(&mut result.dns, &self.settings, &places);
        let resolvers = doors::resolvers(&places);
        *self.places.borrow_mut() = places;
        Ok(resolvers)
    }

    /// Goes on where names are only wished for.
    fn without(&self, error: Error) -> Result<(), Error> {
        match self.settings.required {
            Required::No => {
                cni::warn(
                    self.plugin,
                    &format!("{} has no names: {}", self.call.attachment, error.msg),
                );
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// What the container is called, where the daemon answers for it.
    #[must_use]
    pub fn names(&self) -> Option<Names> {
        let is_known = !self.places.borrow().is_empty();
        is_known.then(|| self.settings.names(&self.call.attachment.container))
    }

    /// Leads 127.0.0.11 there. In the container's namespace.
    ///
    /// # Errors
    /// As [`lead`].
    pub fn in_container(&self, undo: &mut Undo<'_>) -> Result<(), Error> {
        let place = self.netns.path().display().to_string();
        lead(&self.call.attachment, &self.places.borrow(), &place, undo)
    }
}
