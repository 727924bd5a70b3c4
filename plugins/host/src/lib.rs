//! The host's own network: nothing is made, and two containers do not get the same port.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "host", "plugins": [
//!   {"type": "host", "capabilities": {"portMappings": true}}]}
//! ```
//!
//! ADD succeeds only for a container that runs in the host's network namespace, so that a
//! configuration that was mixed up is found at once. The ports that the container declares
//! (`runtimeConfig.portMappings`) are written into a table under `/run/cais/host-ports`, and a
//! second claim to one of them is refused with the name of its holder. It refuses a mapping whose
//! two ports differ, since nothing stands between the container and the host that could map.

mod claim;
mod config;
mod place;
mod store;
mod table;

use attach::verify::differs;
use cni::schema::Key;
use cni::{AddResult, Call, Config as Network, Error, GcAttachment, NetworkCall, OwnNetns, Plugin};
use cni::{code, state};
use types::Attachment;

use crate::config::{Config, KEYS};
use crate::place::HostNetns;
use crate::store::{Missing, Store};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Plugin for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self, config: &Network) -> Result<(), Error> {
        Config::parse(config, place::wildcard_v6()).map(drop)
    }

    /// The guard of all other plugins, turned around: see `HostNetns`.
    fn own_netns(&self) -> OwnNetns {
        OwnNetns::Allow
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let netns = HostNetns::of(call)?;
        let config = Config::parse(&call.config, place::wildcard_v6())?;
        let missing = if config.claims.is_empty() { Missing::Leave } else { Missing::Create };
        store().change(missing, |table| table.claim(&call.attachment, &netns, &config.claims))?;
        Ok(config.result)
    }

    /// Asks neither the namespace nor the configuration: whatever became of them, the container is
    /// gone and its ports are free.
    fn del(&self, call: &Call) -> Result<(), Error> {
        store().change(Missing::Leave, |table| {
            table.free(|holder| *holder == call.attachment);
            Ok(())
        })
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let netns = HostNetns::of(call).map_err(|e| Error { code: code::DIFFERS, ..e })?;
        let config = Config::parse(&call.config, place::wildcard_v6())?;
        let table = store().read()?;
        match config.claims.iter().find(|claim| !table.has(claim, &call.attachment, &netns)) {
            None => Ok(()),
            Some(lost) => Err(differs(format!(
                "claim {lost} of {} is no longer in {}",
                call.attachment,
                store().path().display()
            ))),
        }
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        // Without a list only claims of an earlier boot are proven dead, and reading drops those.
        let valid = call.config.valid_attachments()?;
        store().change(Missing::Leave, |table| {
            if let Some(valid) = &valid {
                let network = call.config.name();
                table.free(|holder| holder.network == *network && !is_listed(holder, valid));
            }
            Ok(())
        })
    }

    fn status(&self, _: &NetworkCall) -> Result<(), Error> {
        place::own().map_err(Error::unavailable)?;
        store().read().map_err(Error::unavailable)?.writable().map_err(Error::unavailable)
    }
}

fn store() -> Store {
    Store::under(&state::run_dir())
}

fn is_listed(holder: &Attachment, valid: &[GcAttachment]) -> bool {
    valid.iter().any(|alive| alive.covers(holder))
}

#[cfg(test)]
mod tests;
