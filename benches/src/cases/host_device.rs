//! A link of the host for a container: ADD and DEL as a runtime calls them.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Pair, in_turns};
use crate::call::Plugin;
use crate::host::pool;
use crate::isolation::{Container, Scratch, run};
use crate::options::Options;
use crate::report::{Goal, Report};

/// The kernel waits for RCU whenever it moves a link, which is most of both; the Go plugin has it move
/// twice each way. So what is judged is the time beside a program that has it move once and does
/// nothing else.
const MOSTLY_KERNEL: Goal = Goal::Ratio(0.85);
const BESIDE_FLOOR: Goal = Goal::Ratio(1.5);

/// With an address from host-local, and without.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let pools = ["ours", "peer"].map(|subject| pool(&scratch.path(&format!("hd-{subject}"))));
    let cases = [
        ("host-device + host-local", "hd", pools, [MOSTLY_KERNEL; 2]),
        ("host-device without addresses", "hd-bare", [json!({}), json!({})], [Goal::None; 2]),
    ];
    for (what, name, ipam, goals) in cases {
        let pair = Pair {
            ours: subject(&options.ours, scratch, &format!("{name}-c"), &ipam[0])?,
            peer: subject(&options.peer, scratch, &format!("{name}-g"), &ipam[1])?,
        };
        let verbs = ["ADD", "DEL"];
        let floor = floor(options, &format!("{name}-f"))?;
        let series = in_turns(&[&pair.ours, &pair.peer, &floor], &verbs, options.runs)?;
        for ((verb, [ours, peer, floor]), goal) in verbs.iter().zip(&series).zip(goals) {
            report.pair(&format!("{what} {verb}"), ours, peer, goal);
            if *verb == "DEL" || ipam[0] == json!({}) {
                report.pair(&format!("… {verb} beside the floor"), ours, floor, BESIDE_FLOOR);
            }
        }
    }
    Ok(())
}

/// The move alone, by a minimal program with a device and a container of its own.
fn floor(options: &Options, name: &str) -> Result<Plugin> {
    device(name)?;
    Ok(Plugin::new(&options.tools, "floor", &Value::Null)
        .with("CNI_NETNS", Container::new(name)?.path)
        .with("FLOOR_DEVICE", name))
}

fn device(name: &str) -> Result<()> {
    run("ip", &["link", "add", name, "type", "veth", "peer", "name", &format!("{name}p")])
}

/// A plugin with a device and a container of its own, called once already.
fn subject(folder: &Path, scratch: &Scratch, name: &str, ipam: &Value) -> Result<Plugin> {
    device(name)?;
    let config = json!({
        "cniVersion": "1.0.0", "name": format!("bench-{name}"), "type": "host-device",
        "device": name, "ipam": ipam,
    });
    let container = Container::new(name)?;
    let plugin = Plugin::new(folder, "host-device", &config)
        .with("CNI_NETNS", container.path.clone())
        .with("CNI_IFNAME", "eth0")
        .with("CNI_CONTAINERID", container.name.clone())
        .with("CAIS_ROOT", scratch.path("root").display().to_string());
    plugin.call("ADD")?;
    plugin.call("DEL")?;
    Ok(plugin)
}
