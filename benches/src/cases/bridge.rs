//! A container on a bridge: ADD and DEL as a runtime calls them.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Pair, pool};
use crate::call::Plugin;
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

/// With an address from host-local, in the container and on the bridge.
pub(crate) fn with_addresses(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let pair = pair(
        options,
        scratch,
        "bridge",
        &["ours", "peer"].map(|subject| pool(&scratch.path(&format!("bridge-{subject}")))),
    )?;
    let series = pair.interleave(&["ADD", "DEL"], options.runs)?;
    report.pair("bridge + host-local ADD", &series[0].0, &series[0].1, Goal::Ratio(0.3));
    report.pair("bridge + host-local DEL", &series[1].0, &series[1].1, Goal::Ratio(0.12));
    Ok(())
}

/// Layer 2 alone.
pub(crate) fn without_addresses(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let pair = pair(options, scratch, "bare", &[json!({}), json!({})])?;
    let series = pair.interleave(&["ADD", "DEL"], options.runs)?;
    report.pair("bridge without addresses ADD", &series[0].0, &series[0].1, Goal::None);
    report.pair("bridge without addresses DEL", &series[1].0, &series[1].1, Goal::None);
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
