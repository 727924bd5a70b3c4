//! A container on a wire of its own: ADD and DEL as a runtime calls them.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::in_turns;
use crate::call::Plugin;
use crate::host::{Host, pool};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// With an address from host-local, and masqueraded as well. Another container is on each host, as
/// there is on one in use.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    for (masquerade, what) in [(false, "ptp + host-local"), (true, "ptp with ipMasq")] {
        let subject = |plugins: &Path, name: &str| -> Result<Plugin> {
            let host = Host::new(plugins, &format!("ptp-{name}-{masquerade}"), scratch)?;
            let config = json!({
                "cniVersion": "1.0.0", "name": "bench", "type": "ptp", "ipMasq": masquerade,
                "ipam": pool(&host.state.join("leases")),
            });
            host.plugin_for(&host.neighbour()?, "ptp", &config).call("ADD")?;
            let plugin = host.plugin("ptp", &config);
            plugin.call("ADD")?;
            plugin.call("DEL")?;
            Ok(plugin)
        };
        let (ours, peer) = (subject(&options.ours, "ours")?, subject(&options.peer, "go")?);
        let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
        for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip([0.35, 0.2]) {
            report.pair(&format!("{what} {verb}"), ours, peer, Goal::Ratio(goal));
        }
    }
    Ok(())
}
