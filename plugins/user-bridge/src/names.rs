//! Names: what the daemon is told of an attachment, and when.

use std::cell::RefCell;
use std::path::Path;

use attach::host::Host;
use cni::{AddResult, Call, Dns, Error, NetworkCall};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Place};
use naming::{Required, Settings, doors};
use netfilter::{Claimant, Class, Filter, Sweep, kind};

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
    host: &'a Host,
    netns: &'a Netns,
    client: Client<'a>,
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
            host,
            netns,
            client: Client::new(&host.run_dir, &call.path),
            places: RefCell::default(),
        })
    }

    /// Makes the names known, and completes what the container's resolv.conf(5) gets. On the host,
    /// when the bridge and the gateways are there.
    pub(crate) fn on_host(
        &'a self,
        result: &mut AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        result.dns = self.dns.clone();
        match self.register(result, undo) {
            Ok(places) => {
                doors::complete(&mut result.dns, &self.settings, &places);
                *self.places.borrow_mut() = places;
                Ok(())
            }
            Err(error) if self.settings.required == Required::No => {
                cni::warn(NAME, &format!("{} has no names: {}", self.call.attachment, error.msg));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn register(&'a self, result: &AddResult, undo: &mut Undo<'a>) -> Result<Vec<Place>, Error> {
        let record = naming::record(self.call, &self.settings, result, self.netns, self.host)?;
        let places = naming::register(&self.client, &record, self.netns, undo)?;
        naming::redirect(self.host, &record, &places, undo)?;
        Ok(places)
    }

    /// Leads 127.0.0.11 there. In the container's namespace.
    pub(crate) fn in_container(&self, undo: &mut Undo<'_>) -> Result<(), Error> {
        let place = self.netns.path().display().to_string();
        naming::lead(&self.call.attachment, &self.places.borrow(), &place, undo)
    }
}

/// Leads nobody to the daemon any more on behalf of `call`, on the host and in the container. The
/// sockets are to be kept open by the child that deletes the pair.
pub(crate) fn take_back(call: &Call, run_dir: &Path) -> (Vec<Socket>, Result<(), Error>) {
    let mut hold = Vec::new();
    let removed = Filter::open(run_dir, &kind::Names).and_then(|filter| {
        let removed = filter.remove(&call.attachment, &[]);
        hold.push(filter.into_socket());
        removed.map(drop)
    });
    let (inside, unled) = naming::take_back(call);
    hold.extend(inside);
    (hold, removed.map_err(Error::from).and(unled))
}

/// Forgets the names of `call`.
pub(crate) fn leave(call: &Call, run_dir: &Path) -> Result<(), Error> {
    naming::forget(&Client::new(run_dir, &call.path), &call.attachment, NAME)
}

/// Compares what the daemon and the packet filter know; on the host.
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
    if let Some(claim) = naming::claim(&record, &record.places) {
        let filter = Filter::open(run_dir, &kind::Names)?;
        filter.check(&filter.store().read(&claim.key, Claimant::Names).unwrap_or(claim))?;
    }
    Ok(Some(record))
}

/// Forgets the names of all attachments of a network that are not valid.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let valid = call.config.valid_attachments()?;
    let sweep = Sweep { network: call.config.name(), valid: valid.as_deref() };
    let unled = Filter::open(run_dir, &kind::Names)
        .and_then(|filter| filter.sweep(sweep))
        .map(drop)
        .map_err(Error::from);
    unled.and(naming::sweep(&Client::new(run_dir, &call.path), call, NAME))
}
