//! `user-bridge`: all that Docker's `network create` gives, by one plugin in one process.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "user-bridge", "capabilities": {"portMappings": true, "ips": true, "mac": true}}]}
//! ```
//!
//! A bridge with addresses from a subnet that is picked where none is given and stays the same from
//! then on, published ports, masquerade, and a network that is kept apart from others. It never
//! deletes a bridge that it has not made.

mod apart;
mod check;
pub mod config;
mod given;
mod host;
mod keys;
mod leases;
mod names;
mod options;
mod pick;
mod registry;
pub mod subnets;
#[cfg(test)]
mod tests;

use attach::error::{no_netns, refused};
use attach::host::Host;
use bridges::apply::{self, Adding};
use bridges::plan;
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, state};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use netfilter::{Claimant, Store, kind};
use pairs::gc;
use pairs::remove::remove;
use types::NetworkName;

use crate::config::Config;
use crate::host::Beyond;
use crate::leases::{Leases, Released};
use crate::registry::Registry;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct UserBridge;

impl Plugin for UserBridge {
    fn name(&self) -> &'static str {
        "user-bridge"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        let config = Config::parse(network, &Args::default())?;
        names::settings(network, "", &config).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config, &call.args(config::ARGS)?)?;
        let name = &call.attachment.network;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let run_dir = state::run_dir();
        let host = Host::open(run_dir.clone())?;
        let network = Registry::under(&state::lib_dir()).settle(name, &config, &host.socket)?;
        let leases = Leases::new(name, &config, &network)?;
        let mtu = match config.mtu {
            Some(mtu) => Some(mtu),
            None => host::mtu(&host.socket, &network)?,
        };
        let bridge = host::bridge(name, &config, &network, mtu);
        let more = Beyond::new(call, &config, &network, &host, &netns)?;
        let adding = Adding {
            call,
            config: &bridge,
            links: &plan::Links::new(&bridge, &call.attachment),
            host: &host,
            netns: &netns,
            addresses: Some(&leases),
            more: Some(&more),
        };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        // Nothing of the configuration matters, so nothing can be wrong with it.
        let run_dir = state::run_dir();
        let host = Netns::current().map_err(|e| no_netns(&e))?;
        let known = Store::under(&run_dir);
        let has = |claimant| known.has(&call.attachment, claimant);
        // ADD wrote the first of its claims for every attachment. Where that is lost, the rest is looked
        // for unremembered, which costs a listing of everything that is published.
        let is_lost = !has(Claimant::Interface);
        let (mut hold, mut errors) = (Vec::new(), Vec::new());
        if is_lost || has(Claimant::Portmap) {
            let (socket, outcome) = published::apply::take_back(call, &run_dir);
            hold.extend(socket);
            errors.push(outcome);
        } else {
            // It serves before the claim is written, and for a moment after that is gone.
            errors.push(published::apply::stop(call, &run_dir));
        }
        if is_lost || has(Claimant::Firewall) {
            let (socket, outcome) = forwarded::apply::take_back(call, &run_dir);
            hold.extend(socket);
            errors.push(outcome);
        }
        let (inside, unled) = naming::take_back(call);
        hold.extend(inside);
        errors.extend([
            unled,
            // One child for all: a second one would have to wait for the first.
            remove(call, Some(&Released), (&kind::Network, true, hold), &run_dir),
            // By the record GC finds what a killed DEL left in the container.
            names::leave(call, &run_dir),
            // By now the thread may be in the container.
            host.run(|| remove_bridge(&call.attachment.network))
                .map_err(|e| no_netns(&e))
                .flatten(),
        ]);
        Error::all(errors)
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config, &call.args(config::ARGS)?)?;
        check::compare(call, &config)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        let run_dir = state::run_dir();
        let errors = [
            names::sweep(call, &run_dir),
            // Without a list it knows the dead by their records, which the last sweep removes.
            ipam_cni::network::sweep(call),
            published::gc::sweep(call, &run_dir),
            forwarded::gc::sweep(call, &run_dir),
            gc::sweep(&kind::Network, call, &run_dir),
            remove_bridge(call.config.name()),
        ];
        Error::all(errors)
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = Config::parse(&call.config, &Args::default())?;
        check::serviceable(call, &config)
    }
}

/// Removes the bridge that was made for a network, when nobody is on it any more.
fn remove_bridge(network: &NetworkName) -> Result<(), Error> {
    let bridge = Registry::under(&state::lib_dir()).bridge(network);
    let there = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    if link::find(&there, &bridge).map_err(|e| refused(&e))?.is_none() {
        return Ok(());
    }
    let host = Host::open(state::run_dir())?;
    apply::remove_bridge(&host, &bridge, &host::alias(network))
}
