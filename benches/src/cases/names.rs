//! What names cost an attachment.

use anyhow::Result;
use serde_json::json;

use super::in_turns;
use crate::call::Plugin;
use crate::host::{Host, SUBNET};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Ours with names beside ours without.
const WITH_NAMES: Goal = Goal::Ratio(1.3);

/// ADD and DEL of `user-bridge`, which does names, isolation and addresses in one call, beside those
/// of `bridge` with `ipMasq`, with another container on each network and the daemon running.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let [named, plain] = [named(options, scratch)?, plain(options, scratch)?];
    let series = in_turns(&[&named, &plain], &verbs, options.runs)?;
    for ((verb, [named, plain]), goal) in verbs.iter().zip(&series).zip([WITH_NAMES, Goal::None]) {
        let what = format!("user-bridge {verb}, beside bridge with ipMasq");
        report.pair(&what, named, plain, goal);
    }
    Ok(())
}

fn named(options: &Options, scratch: &Scratch) -> Result<Plugin> {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "user-bridge",
        "subnet": SUBNET,
        "domainName": "bench.test",
    });
    prepared(&Host::new(&options.ours, "names-with", scratch)?, "user-bridge", &config)
}

fn plain(options: &Options, scratch: &Scratch) -> Result<Plugin> {
    let host = Host::new(&options.ours, "names-without", scratch)?;
    let config = host.bridge(true);
    prepared(&host, "bridge", &config)
}

/// A plugin for a container beside another one, called once.
fn prepared(host: &Host, name: &str, config: &serde_json::Value) -> Result<Plugin> {
    host.plugin_for(&host.neighbour()?, name, config).call("ADD")?;
    let plugin = host.plugin(name, config);
    plugin.call("ADD")?;
    plugin.call("DEL")?;
    Ok(plugin)
}
