//! `tuning`: sysctls of the container's namespace, and MAC, MTU, queue and modes of its interface.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "bridge", "bridge": "cni0"},
//!   {"type": "tuning", "mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}]}
//! ```
//!
//! It works on what the plugins before it made and passes their result on. What it changes is
//! written down first: attributes of the interface in the reference's own backup file, so that
//! either side's DEL restores what the other's ADD changed, sysctls in a record under `/run/cais`.
//! It refuses sysctls outside of `net/` and those that `/etc/cni/tuning/allowlist.conf` does not
//! allow, and never restores anything in a namespace other than the one it changed.

mod allowlist;
mod apply;
mod attributes;
mod backup;
mod check;
mod config;
mod gc;
mod record;
mod restore;
mod sysctl;
#[cfg(test)]
mod tests;

use attach::chained;
use cni::schema::Key;
use cni::{AddResult, Args, Call, Config as Network, Error, NetworkCall, Plugin, state};

use crate::allowlist::Allowlist;
use crate::config::{Config, KEYS};
use crate::record::Store;
use crate::restore::Traces;

/// What `CNI_ARGS` may hold.
const ARGS: &[&str] = &["MAC"];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Tuning;

impl Plugin for Tuning {
    fn name(&self) -> &'static str {
        "tuning"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self, network: &Network) -> Result<(), Error> {
        Config::parse(network, &Args::default())?;
        network.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config, &call.args(ARGS)?)?;
        let result = chained::prev_result(&call.config, self.name())?;
        Allowlist::permit(&config.sysctls)?;
        apply::add(call, &config)?;
        Ok(config.tuned(result, call))
    }

    /// Looks at nothing of the configuration but `dataDir`, so nothing else can be wrong with it.
    fn del(&self, call: &Call) -> Result<(), Error> {
        let store = Store::under(&state::run_dir());
        Traces::of(call, &store).remove(call.netns.as_deref())
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config, &call.args(ARGS)?)?;
        chained::prev_result(&call.config, self.name())?;
        check::compare(call, &config)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        gc::sweep(call, &Store::under(&state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = Config::parse(&call.config, &Args::default())?;
        Allowlist::permit(&config.sysctls).map_err(Error::unavailable)
    }
}
