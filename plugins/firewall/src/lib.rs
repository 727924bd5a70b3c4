//! `firewall`: lets a container's packets through on hosts that drop what they forward.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "bridge", "isDefaultGateway": true, "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}},
//!   {"type": "firewall", "ingressPolicy": "same-bridge"}]}
//! ```
//!
//! It never changes a policy, the administrator's chain, or what others wrote.

pub mod config;
#[cfg(test)]
mod tests;

use attach::steps::{self, step};
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, code, state};
use forwarded::{Forwarding, apply, gc};
use netfilter::{Filter, kind};

use crate::config::Config;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Firewall;

impl Plugin for Firewall {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        Config::parse(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config)?;
        let Some(result) = &config.result else {
            return Err(Error::new(code::INVALID_CONFIG, "missing prevResult from earlier plugin")
                .with_hint("firewall comes after an interface plugin in a list"));
        };
        let (wanted, run_dir) = (config.wanted()?, state::run_dir());
        let forwarding = Forwarding::open(call, &run_dir)?;
        steps::run(|undo| {
            forwarding.add(&wanted, result, undo)?;
            step("done");
            Ok(())
        })?;
        Ok(config.result.unwrap_or_default())
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        apply::remove(call, &state::run_dir())
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config)?;
        let Some(result) = &config.result else {
            return Err(Error::new(code::INVALID_CONFIG, "missing prevResult from earlier plugin")
                .with_hint("CHECK needs the result of ADD in \"prevResult\""));
        };
        apply::check(call, &config.wanted()?, result, &state::run_dir())
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        gc::sweep(call, &state::run_dir())
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        Config::parse(&call.config)?;
        let served = Filter::open(&state::run_dir(), &kind::Firewall).and_then(|f| f.serviceable());
        served.map_err(|e| Error::from(e).unavailable())
    }
}
