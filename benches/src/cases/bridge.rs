//! A container on a bridge: ADD and DEL as a runtime calls them.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Pair, in_turns};
use crate::call::Plugin;
use crate::host::pool;
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

const FLOOR_BRIDGE: &str = "floor0";

/// With an address from host-local, in the container and on the bridge; and beside it the floor.
pub(crate) fn with_addresses(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let leases = ["ours", "peer"].map(|subject| pool(&scratch.path(&format!("bridge-{subject}"))));
    let pair = pair(options, scratch, "bridge", &leases)?;
    let floor = floor(options, scratch, "bridge-floor")?;
    floor.call("ADD")?;
    floor.call("DEL")?;
    let verbs = ["ADD", "DEL"];
    let series = in_turns(&[&pair.ours, &pair.peer, &floor], &verbs, options.runs)?;
    for ((verb, [ours, peer, floor]), goal) in verbs.iter().zip(&series).zip([0.3, 0.12]) {
        report.pair(&format!("bridge + host-local {verb}"), ours, peer, Goal::Ratio(goal));
        report.pair(&format!("… {verb} beside the floor"), ours, floor, Goal::Ratio(2.0));
    }
    Ok(())
}

/// The same kernel and file operations by a minimal program, on a bridge that exists already, on a
/// host of its own called `name`.
pub(super) fn floor(options: &Options, scratch: &Scratch, name: &str) -> Result<Plugin> {
    let host = Container::new(name)?;
    let container = Container::new(&format!("{name}-c"))?;
    let leases = scratch.path(name);
    fs::create_dir_all(&leases)?;
    host.run(&format!("ip link add {FLOOR_BRIDGE} address 02:00:00:00:00:01 type bridge"))?;
    host.run(&format!("ip address add 10.90.0.1/16 dev {FLOOR_BRIDGE}"))?;
    host.run(&format!("ip link set {FLOOR_BRIDGE} up"))?;
    let plugin = Plugin::new(&options.tools, "floor", &Value::Null)
        .with("CNI_NETNS", container.path)
        .with("FLOOR_BRIDGE", FLOOR_BRIDGE)
        .with("FLOOR_LEASES", leases.display().to_string());
    Ok(Plugin { host: Some(host.path.into()), ..plugin })
}

/// Layer 2 alone.
pub(crate) fn without_addresses(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let pair = pair(options, scratch, "bare", &[json!({}), json!({})])?;
    let series = pair.in_turns(&["ADD", "DEL"], options.runs)?;
    report.pair("bridge without addresses ADD", &series[0][0], &series[0][1], Goal::None);
    report.pair("bridge without addresses DEL", &series[1][0], &series[1][1], Goal::None);
    Ok(())
}

/// Both subjects with a container, a bridge and files of their own. The first ADD, which makes the
/// bridge, is done here.
pub(super) fn pair(
    options: &Options,
    scratch: &Scratch,
    name: &str,
    ipam: &[Value; 2],
) -> Result<Pair> {
    let subject = |folder, letter: char, ipam: &Value| -> Result<Plugin> {
        let container = Container::new(&format!("{name}-{letter}"))?;
        let config = json!({
            "cniVersion": "1.0.0",
            "name": format!("bench-{name}"),
            "type": "bridge",
            "bridge": format!("{name}-{letter}"),
            "isGateway": ipam.as_object().is_some_and(|ipam| !ipam.is_empty()),
            "ipam": ipam,
        });
        let plugin = Plugin::new(folder, "bridge", &config)
            .with("CNI_NETNS", container.path)
            .with("CNI_IFNAME", "eth0")
            .with("CNI_CONTAINERID", format!("container-{letter}"))
            .with("CAIS_ROOT", scratch.path("root").display().to_string());
        plugin.call("ADD")?;
        plugin.call("DEL")?;
        Ok(plugin)
    };
    Ok(Pair {
        ours: subject(&options.ours, 'c', &ipam[0])?,
        peer: subject(&options.peer, 'g', &ipam[1])?,
    })
}
