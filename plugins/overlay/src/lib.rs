//! `overlay`: containers of several hosts on one network, by VXLAN with a route for each host.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "blue", "plugins": [
//!   {"type": "overlay", "store": {"type": "static", "peers": "/etc/cais/overlay/blue.peers.json"},
//!    "capabilities": {"portMappings": true, "ips": true, "mac": true, "aliases": true}}]}
//! ```
//!
//! With a file of peers this plugin makes the whole data path itself, at each ADD as far as it
//! differs from the file. With a store the daemon `cais-overlayd` does, and says in a file on the host
//! what this plugin has to know. It never deletes a device, bridge or rule that it has not made.

mod beyond;
mod check;
pub mod config;
mod daemon;
mod data_path;
mod leases;
mod names;
mod network;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::steps::{self, step};
use bridges::apply::Adding;
use bridges::plan::Links;
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, state};
use kernel::netns::Netns;
use netfilter::tunnels::Guard;
use netfilter::{Claimant, Store, kind};
use pairs::{gc, remove::remove};
use types::NetworkName;

use crate::beyond::Beyond;
use crate::config::Config;
use crate::leases::{Leases, Released};
use crate::network::Network;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Overlay;

/// Who warns.
const NAME: &str = "overlay";

impl Plugin for Overlay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn keys(&self) -> &'static [Key] {
        &config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        Config::parse(network, &Args::default())?;
        names::settings(network, "").map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config, &call.args(config::ARGS)?)?;
        let name = &call.attachment.network;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let host = Host::open(state::run_dir())?;
        let network = Network::settle_for_add(call, &config, &host)?;
        network.may_add()?;
        let leases = Leases::new(call, &config, &network, &host.run_dir)?;
        let bridge = network.bridge(name, &config);
        let joining = names::joining(call, network.dns(), &host, &netns)?;
        let more = Beyond::new(call, &config, &network, (&host, joining));
        let adding = Adding {
            call,
            config: &bridge,
            links: &Links::new(&bridge, &call.attachment),
            host: &host,
            netns: &netns,
            addresses: Some(&leases),
            more: Some(&more),
        };
        steps::run(|undo| {
            step("tunnels");
            data_path::make(name, &network, &host, undo)?;
            step("attachment");
            adding.run()
        })
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        // Nothing of the configuration matters, so nothing can be wrong with it.
        let run_dir = state::run_dir();
        let host = Netns::current().map_err(|e| no_netns(&e))?;
        let known = Store::under(&run_dir);
        let has = |claimant| known.has(&call.attachment, claimant);
        // ADD wrote the first of its claims for every attachment. Where that is lost, the rest is looked
        // for unremembered.
        let is_lost = !has(Claimant::Interface);
        let (mut hold, mut errors) = (Vec::new(), vec![names::leave_others(call, &run_dir)]);
        if is_lost || has(Claimant::Portmap) {
            let (socket, outcome) = published::apply::take_back(call, &run_dir);
            hold.extend(socket);
            errors.push(outcome);
        } else {
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
            remove(call, Some(&Released), (&kind::Network, true, hold), &run_dir),
            // By the record GC finds what a killed DEL left in the container.
            names::leave(call, &run_dir),
            // By now the thread may be in the container.
            host.run(|| take_down(&call.attachment.network)).map_err(|e| no_netns(&e)).flatten(),
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
            take_down(call.config.name()),
        ];
        Error::all(errors)
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = Config::parse(&call.config, &Args::default())?;
        check::serviceable(call, &config)
    }
}

/// Removes what was made for a network when nobody is on it any more.
fn take_down(network: &NetworkName) -> Result<(), Error> {
    let run_dir = state::run_dir();
    let guard = Guard::open(&run_dir)?;
    match data_path::is_there(network, &guard)? {
        true => data_path::take_down(network, &Host::open(run_dir)?, &guard),
        false => Ok(()),
    }
}
