//! `bandwidth`: how fast a container may send and receive.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "bridge", "bridge": "cni0"},
//!   {"type": "bandwidth", "capabilities": {"bandwidth": true}}]}
//! ```
//!
//! It works on the host's end of the veth pair that an earlier plugin made: what goes to the
//! container waits there, what comes from it is sent to a link `bwp…` of its own and waits on that.
//! The objects are the reference's, so that either side's CHECK and DEL know what the other's ADD
//! made. It refuses interfaces that have no end on the host, and a link whose queue is somebody
//! else's; what others have attached to arriving packets it leaves alone.

mod apply;
mod check;
mod config;
mod gc;
mod place;
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
pub struct Bandwidth;

impl Plugin for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
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
        let mut result = chained::prev_result(&call.config, self.name())?;
        apply::add(call, &config, &mut result)?;
        Ok(result)
    }

    /// Looks at nothing of the configuration, so nothing can be wrong with it.
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
