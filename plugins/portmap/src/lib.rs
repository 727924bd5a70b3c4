//! `portmap`: ports of the host that lead to the container.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "bridge", "isDefaultGateway": true, "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}},
//!   {"type": "portmap", "capabilities": {"portMappings": true}}]}
//! ```
//!
//! Each port is one element of a map of the table `inet cais`, so that a connection through it costs
//! the same however many there are. It refuses a port that another living container of cais has, and
//! never holds a port itself: see `onListener`.

pub mod config;
#[cfg(test)]
mod tests;
mod words;

use attach::steps::{self, step};
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, code, state};
use netfilter::claim::Linked;
use netfilter::{Filter, Publication, kind};
use published::{Publisher, Wanted, apply, gc, plan};

use crate::config::Config;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Portmap;

impl Plugin for Portmap {
    fn name(&self) -> &'static str {
        "portmap"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        Config::parse(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config)?;
        if let Some(publication) = publication(call, &config)? {
            let run_dir = state::run_dir();
            let publisher = Publisher::open(call, "portmap", &run_dir)?;
            let reference = config.reference_chains.then(|| config.reference(Linked::No));
            let wanted = Wanted { publication, reference, on_listener: config.on_listener };
            steps::run(|undo| {
                publisher.publish(&wanted, undo)?;
                step("done");
                Ok(())
            })?;
        }
        Ok(config.result.unwrap_or_default())
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        // Nothing of the configuration matters: many runtimes leave the ports out here.
        apply::remove(call, &state::run_dir())
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config)?;
        if config.result.is_none() {
            return Err(Error::new(code::INVALID_CONFIG, "required prevResult missing")
                .with_hint("CHECK needs the result of ADD in \"prevResult\""));
        }
        let Some(publication) = publication(call, &config)? else { return Ok(()) };
        let run_dir = state::run_dir();
        // Made by the reference, perhaps.
        let how = config.reference(Linked::Yes);
        apply::check(call, publication, &run_dir, |filter, publication| {
            Ok(kind::Portmap::is_published(filter, publication, &how)?)
        })
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        gc::sweep(call, &state::run_dir())
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        Config::parse(&call.config)?;
        let served = Filter::open(&state::run_dir(), &kind::Portmap).and_then(|f| f.serviceable());
        served.map_err(|e| Error::from(e).unavailable())
    }
}

/// What `config` publishes for `call`; `None` where there is nothing to publish.
fn publication(call: &Call, config: &Config) -> Result<Option<Publication>, Error> {
    let Some(result) = &config.result else {
        return Err(Error::new(code::INVALID_CONFIG, "must be called as chained plugin").with_hint(
            "portmap comes after an interface plugin in a list, whose result is in \"prevResult\"",
        ));
    };
    if config.mappings.is_empty() {
        return Ok(None);
    }
    let (mappings, masquerade) = (config.mappings.clone(), config.masquerade);
    Ok(Some(Publication {
        conditions_v4: config.conditions_v4.clone(),
        conditions_v6: config.conditions_v6.clone(),
        ..plan::publication(&call.attachment, result, mappings, masquerade)
    }))
}
