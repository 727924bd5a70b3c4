//! A link to a program in the container: ADD and DEL as a runtime calls them.

use anyhow::Result;
use serde_json::{Value, json};

use super::in_turns;
use crate::call::{Plugin, Sample};
use crate::host::pool;
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};
use crate::statistics::median;

/// With an address from host-local, and without; beside the Go plugin where there is one: Debian's
/// are older than it.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let has_peer = options.peer.join("tap").exists();
    let pool = |letter: &str| pool(&scratch.path(&format!("tap-{letter}")));
    let cases = [
        ("tap + host-local", "tap", [pool("c"), pool("g")], [0.35, 0.2].map(Goal::Ratio)),
        ("tap without addresses", "tap-bare", [json!({}), json!({})], [Goal::None, Goal::None]),
    ];
    for (what, name, ipam, goals) in cases {
        let ours = subject(&options.ours, scratch, &format!("{name}-c"), &ipam[0])?;
        let verbs = ["ADD", "DEL"];
        if has_peer {
            let peer = subject(&options.peer, scratch, &format!("{name}-g"), &ipam[1])?;
            let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
            for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip(goals) {
                report.pair(&format!("{what} {verb}"), ours, peer, goal);
            }
        } else {
            let series = in_turns(&[&ours], &verbs, options.runs)?;
            for (verb, [ours]) in verbs.iter().zip(&series) {
                let wall: Vec<f64> = ours.iter().map(milliseconds).collect();
                let figure = (median(&wall), None);
                report.counted(&format!("{what} {verb}, wall"), "ms", figure, Goal::None);
            }
        }
    }
    Ok(())
}

/// A plugin with a container of its own, called once already.
fn subject(
    folder: &std::path::Path,
    scratch: &Scratch,
    name: &str,
    ipam: &Value,
) -> Result<Plugin> {
    let config = json!({
        "cniVersion": "1.0.0", "name": format!("bench-{name}"), "type": "tap", "ipam": ipam,
    });
    let container = Container::new(name)?;
    let plugin = Plugin::new(folder, "tap", &config)
        .with("CNI_NETNS", container.path.clone())
        .with("CNI_IFNAME", "eth0")
        .with("CNI_CONTAINERID", container.name.clone())
        .with("CAIS_ROOT", scratch.path("root").display().to_string());
    plugin.call("ADD")?;
    plugin.call("DEL")?;
    Ok(plugin)
}

fn milliseconds(sample: &Sample) -> f64 {
    sample.wall.as_secs_f64() * 1e3
}
