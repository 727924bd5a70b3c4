//! Names: what the daemon is told of an attachment, and when.

use std::cell::RefCell;
use std::path::Path;

use attach::host::Host;
use attach::verify::differs;
use cni::{AddResult, Call, Dns, Error, NetworkCall};
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Pending, Place};
use naming::{Required, Settings, doors};
use netfilter::{Claimant, Class, Resolver, Store};
use types::IfName;

use crate::config::Config;

/// Who warns.
pub(crate) const NAME: &str = "user-bridge";

/// Reads the keys of names.
///
/// # Errors
/// Codes 6 and 7, the key named by its path.
pub(crate) fn settings(
    network: &cni::Config,
    args: &str,
    config: &Config,
) -> Result<Settings, Error> {
    let mut settings = Settings::parse(network, args, NAME)?;
    settings.internal |= config.apart.class == Class::Internal;
    Ok(settings)
}

/// Names of one attachment that is being made.
pub(crate) struct Joining<'a> {
    call: &'a Call,
    settings: Settings,
    dns: Dns,
    netns: &'a Netns,
    client: Client<'a>,
    /// What the daemon was told and has not answered yet.
    pending: RefCell<Option<Pending<'a>>>,
    /// Where the daemon answers, once that is known.
    places: RefCell<Vec<Place>>,
}

impl<'a> Joining<'a> {
    /// On the host, before anything is made.
    ///
    /// # Errors
    /// As [`settings`].
    pub(crate) fn new(
        call: &'a Call,
        config: &Config,
        host: &'a Host,
        netns: &'a Netns,
    ) -> Result<Self, Error> {
        Ok(Self {
            settings: settings(&call.config, &call.args_text, config)?,
            call,
            dns: config.dns.clone(),
            netns,
            client: Client::new(&host.run_dir, &call.path),
            pending: RefCell::default(),
            places: RefCell::default(),
        })
    }

    /// Tells the daemon the names, and does not wait for its answer. On the host, when the bridge is
    /// there.
    pub(crate) fn begin(
        &'a self,
        bridge: (&IfName, u32),
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        let (call, netns) = (self.call, self.netns);
        let told = naming::record_on_bridge(call, &self.settings, result, netns, bridge)
            .and_then(|record| naming::begin(&self.client, &record, undo));
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
    pub(crate) fn finish(&self, result: &mut AddResult) -> Result<Vec<Resolver>, Error> {
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
                cni::warn(NAME, &format!("{} has no names: {}", self.call.attachment, error.msg));
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Leads 127.0.0.11 there. In the container's namespace.
    pub(crate) fn in_container(&self, undo: &mut Undo<'_>) -> Result<(), Error> {
        let place = self.netns.path().display().to_string();
        naming::lead(&self.call.attachment, &self.places.borrow(), &place, undo)
    }
}

/// Forgets the names of `call`.
pub(crate) fn leave(call: &Call, run_dir: &Path) -> Result<(), Error> {
    naming::forget(&Client::new(run_dir, &call.path), &call.attachment, NAME)
}

/// Compares what the daemon knows, and whether it is what the packet filter is told; on the host.
pub(crate) fn compare(
    call: &Call,
    settings: &Settings,
    result: &AddResult,
    run_dir: &Path,
) -> Result<Option<names::Record>, Error> {
    let netns = naming::sandbox(call)?;
    let host = Host::open(run_dir.to_owned())?;
    let wanted = naming::record(call, settings, result, &netns, &host)?;
    let client = Client::new(run_dir, &call.path);
    if settings.required == Required::No && client.store().read(&wanted.key).is_none() {
        // It started without.
        return Ok(None);
    }
    let record = naming::known(&client, &wanted, NAME)?;
    let claim = Store::under(run_dir).read(&record.key, Claimant::Interface);
    let led = claim.map(|claim| claim.resolvers).unwrap_or_default();
    if led != doors::resolvers(&record.places) {
        let text =
            format!("what {} asks its gateway is not led to the daemon of names", record.key);
        return Err(differs(text));
    }
    Ok(Some(record))
}

/// Forgets the names of all attachments of a network that are not valid.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    naming::sweep(&Client::new(run_dir, &call.path), call, NAME)
}
