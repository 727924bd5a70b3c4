//! `sbr`: what a container sends from an address of this interface leaves by this interface.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "storage", "plugins": [
//!   {"type": "macvlan", "master": "eth1", "ipam": {"type": "dhcp"}},
//!   {"type": "sbr"}]}
//! ```
//!
//! Each address gets a routing table of its own and a rule that leads to it; the interface's routes
//! move there from the main table, so that they are in nobody else's way. It refuses to move
//! link-local routes, which every interface has, and works only inside of the container.

mod apply;
mod check;
mod config;
mod gc;
mod inside;
mod plan;
mod remove;
#[cfg(test)]
mod tests;

use attach::chained;
use cni::schema::Key;
use cni::{AddResult, Call, Config as Network, Error, NetworkCall, Plugin};

use crate::config::{Config, KEYS};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Sbr;

impl Plugin for Sbr {
    fn name(&self) -> &'static str {
        "sbr"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self, network: &Network) -> Result<(), Error> {
        Config::parse(network)?;
        network.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config)?;
        let result = chained::prev_result(&call.config, self.name())?;
        apply::add(call, &config, &result)?;
        Ok(result)
    }

    /// What cannot be read of the configuration counts as not given.
    fn del(&self, call: &Call) -> Result<(), Error> {
        remove::remove(call)
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config)?;
        let result = chained::prev_result(&call.config, self.name())?;
        check::compare(call, &config, &result)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        gc::sweep(call)
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        Config::parse(&call.config).map(drop)
    }
}
