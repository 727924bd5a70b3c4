//! A container on the wire of a link of the host: ADD and DEL as a runtime calls them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Pair;
use crate::call::Plugin;
use crate::host::pool;
use crate::isolation::{Container, Scratch, run};
use crate::options::Options;
use crate::report::{Goal, Report};

/// With an address from host-local, and without.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let with_addresses = with_addresses(options, scratch, "mv")?;
    let series = with_addresses.in_turns(&verbs, options.runs)?;
    for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip([0.35, 0.2]) {
        report.pair(&format!("macvlan + host-local {verb}"), ours, peer, Goal::Ratio(goal));
    }
    let bare = pair(options, scratch, "mv-bare", &[json!({}), json!({})])?;
    let series = bare.in_turns(&verbs, options.runs)?;
    for (verb, [ours, peer]) in verbs.iter().zip(&series) {
        report.pair(&format!("macvlan without addresses {verb}"), ours, peer, Goal::None);
    }
    Ok(())
}

/// Both subjects with a pool of their own.
pub(super) fn with_addresses(options: &Options, scratch: &Scratch, name: &str) -> Result<Pair> {
    let pools = ["ours", "peer"].map(|subject| pool(&scratch.path(&format!("{name}-{subject}"))));
    pair(options, scratch, name, &pools)
}

/// Both subjects with a container, a master and files of their own. Another container is on each
/// master, as there is on a host in use: the first and the last have the kernel do more.
fn pair(options: &Options, scratch: &Scratch, name: &str, ipam: &[Value; 2]) -> Result<Pair> {
    let subject = |folder: &Path, letter: char, ipam: &Value| -> Result<Plugin> {
        let master = format!("{name}-{letter}");
        let alone =
            on_master(scratch, folder, &master, &json!({ "type": "macvlan", "ipam": ipam }))?;
        within(&alone, &Container::new(&format!("{master}-n"))?).call("ADD")?;
        let plugin = within(&alone, &Container::new(&master)?);
        plugin.call("ADD")?;
        plugin.call("DEL")?;
        Ok(plugin)
    };
    Ok(Pair {
        ours: subject(&options.ours, 'c', &ipam[0])?,
        peer: subject(&options.peer, 'g', &ipam[1])?,
    })
}

/// Both subjects of another kind with a container, a master and files of their own; the kernel may
/// refuse what they want.
pub(super) fn unproven(
    options: &Options,
    scratch: &Scratch,
    name: &str,
    keys: &Value,
) -> Result<Pair> {
    let subject = |folder: &Path, letter: char| -> Result<Plugin> {
        let master = format!("{name}-{letter}");
        let mut keys = keys.clone();
        keys["ipam"] = pool(&scratch.path(&master));
        let plugin = on_master(scratch, folder, &master, &keys)?;
        Ok(within(&plugin, &Container::new(&master)?))
    };
    Ok(Pair { ours: subject(&options.ours, 'c')?, peer: subject(&options.peer, 'g')? })
}

/// The plugin that `keys` name, on a link of the host that it makes for it.
fn on_master(scratch: &Scratch, folder: &Path, master: &str, keys: &Value) -> Result<Plugin> {
    let other = format!("{master}p");
    run("ip", &["link", "add", master, "type", "veth", "peer", "name", &other])?;
    run("ip", &["link", "set", master, "up"])?;
    run("ip", &["link", "set", &other, "up"])?;
    let mut config = keys.clone();
    config["cniVersion"] = json!("1.0.0");
    config["name"] = json!(format!("bench-{master}"));
    config["master"] = json!(master);
    let kind = keys["type"].as_str().context("keys name no plugin")?;
    Ok(Plugin::new(folder, kind, &config)
        .with("CNI_IFNAME", "eth0")
        .with("CAIS_ROOT", scratch.path("root").display().to_string()))
}

fn within(plugin: &Plugin, container: &Container) -> Plugin {
    plugin
        .clone()
        .with("CNI_NETNS", container.path.clone())
        .with("CNI_CONTAINERID", container.name.clone())
}
