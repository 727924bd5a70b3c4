//! `dnsname`: names for the containers of a network, whatever plugin made it.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "web", "plugins": [
//!   {"type": "bridge", "isDefaultGateway": true, "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}},
//!   {"type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true}}]}
//! ```
//!
//! One process per host, `cais-dnsd`, answers for all networks; this plugin tells it of containers
//! and leads them to it.

mod apply;

use attach::error::no_netns;
use attach::host::Host;
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, code, state};
use names::Client;
use naming::{Required, Settings};
use netfilter::{Claimant, Filter, Sweep, kind};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Dnsname;

/// Who warns.
const NAME: &str = "dnsname";

impl Plugin for Dnsname {
    fn name(&self) -> &'static str {
        NAME
    }

    fn keys(&self) -> &'static [Key] {
        naming::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        Settings::parse(network, "", NAME)?;
        network.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let (settings, result) = parse(call, "must be called as chained plugin")?;
        apply::add(call, &settings, result, &state::run_dir())
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        // Nothing of the configuration matters.
        apply::remove(call, &state::run_dir())
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let (settings, result) = parse(call, "required prevResult missing")?;
        let run_dir = state::run_dir();
        let netns = naming::sandbox(call)?;
        let host = Host::open(run_dir.clone())?;
        let wanted = naming::record(call, &settings, &result, &netns, &host)?;
        let client = Client::new(&run_dir, &call.path);
        if settings.required == Required::No && client.store().read(&wanted.key).is_none() {
            // It started without.
            return Ok(());
        }
        let record = naming::known(&client, &wanted, NAME)?;
        if let Some(claim) = naming::claim(&record, &record.places) {
            let filter = Filter::open(&run_dir, &kind::Names)?;
            filter.check(&filter.store().read(&claim.key, Claimant::Names).unwrap_or(claim))?;
        }
        netns.enter_for_good().map_err(|e| no_netns(&e))?;
        naming::led(&record, &call.sandbox())
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        let run_dir = state::run_dir();
        let valid = call.config.valid_attachments()?;
        let sweep = Sweep { network: call.config.name(), valid: valid.as_deref() };
        let unled = Filter::open(&run_dir, &kind::Names)
            .and_then(|filter| filter.sweep(sweep))
            .map(drop)
            .map_err(Error::from);
        let forgotten = naming::sweep(&Client::new(&run_dir, &call.path), call, NAME);
        Error::all([unled, forgotten])
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let settings = Settings::parse(&call.config, "", NAME)?;
        if settings.required == Required::No {
            return Ok(());
        }
        let run_dir = state::run_dir();
        naming::available(&run_dir, &call.path)?;
        let served = Filter::open(&run_dir, &kind::Names).and_then(|f| f.serviceable());
        served.map_err(|e| Error::from(e).unavailable())
    }
}

/// What ADD and CHECK need; `missing` is the text where there is no plugin before this one.
fn parse(call: &Call, missing: &str) -> Result<(Settings, AddResult), Error> {
    let settings = Settings::parse(&call.config, &call.args_text, NAME)?;
    let result = call.config.prev_result()?.ok_or_else(|| {
        Error::new(code::INVALID_CONFIG, missing).with_hint(
            "dnsname comes after an interface plugin in a list, whose result is in \"prevResult\"",
        )
    })?;
    Ok((settings, result))
}
