//! Chained plugins alone: ADD and DEL as a runtime calls them, behind a plugin that makes a pair.

use std::cell::RefCell;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::in_turns;
use crate::call::{Plugin, Sample, Subject};
use crate::host::{Host, after};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Limits of both directions.
pub(crate) fn bandwidth(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let keys = json!({
        "cniVersion": "1.0.0", "name": "bench", "type": "bandwidth",
        "ingressRate": 50_000_000, "ingressBurst": 400_000,
        "egressRate": 50_000_000, "egressBurst": 400_000,
    });
    let what = "bandwidth, both directions";
    let floor =
        Behind::of(&options.ours, "floor", &keys, scratch)?.replaced_by_floor(options, scratch)?;
    let [ours, peer] = both(&keys, options, scratch)?;
    let series = in_turns(&[&ours, &peer, &floor], &VERBS, options.runs)?;
    for ((verb, [ours, peer, floor]), goal) in VERBS.iter().zip(&series).zip(MOSTLY_KERNEL) {
        report.pair(&format!("{what} {verb}"), ours, peer, goal);
        report.pair(&format!("… {verb} beside the floor"), ours, floor, Goal::Ratio(2.0));
    }
    Ok(())
}

/// One address with its routes.
pub(crate) fn sbr(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let keys = json!({ "cniVersion": "1.0.0", "name": "bench", "type": "sbr" });
    let [ours, peer] = both(&keys, options, scratch)?;
    let series = in_turns(&[&ours, &peer], &VERBS, options.runs)?;
    for ((verb, [ours, peer]), goal) in VERBS.iter().zip(&series).zip(GOALS) {
        report.pair(&format!("sbr {verb}"), ours, peer, goal);
    }
    Ok(())
}

/// The kernel waits for packets under way, and the Go plugin for no more than that: what is judged is
/// the time beside the floor (docs/adr/0018-waits-of-the-kernel.md).
const MOSTLY_KERNEL: [Goal; 2] = [Goal::Ratio(0.75), Goal::Ratio(0.5)];

const VERBS: [&str; 2] = ["ADD", "DEL"];
const GOALS: [Goal; 2] = [Goal::Ratio(0.35), Goal::Ratio(0.2)];

/// Our plugin and the Go one.
fn both(config: &Value, options: &Options, scratch: &Scratch) -> Result<[Behind; 2]> {
    Ok([
        Behind::of(&options.ours, "ours", config, scratch)?,
        Behind::of(&options.peer, "go", config, scratch)?,
    ])
}

/// A plugin behind `bridge`, which alone is measured: before each ADD there is a new pair, since
/// the Go plugins leave on it what they changed.
struct Behind {
    bridge: Plugin,
    plugin: Plugin,
    config: Value,
    result: RefCell<Value>,
}

impl Behind {
    /// The plugin that `config` names.
    fn of(plugins: &Path, name: &str, config: &Value, scratch: &Scratch) -> Result<Self> {
        let kind = config["type"].as_str().unwrap_or_default();
        let host = Host::new(plugins, &format!("{kind}-{name}"), scratch)?;
        let bridge = host.plugin("bridge", &host.bridge(false));
        let plugin = host.plugin(kind, config);
        let config = config.clone();
        let behind = Self { bridge, plugin, config, result: RefCell::default() };
        behind.call("ADD")?;
        behind.call("DEL")?;
        Ok(behind)
    }

    /// The same place with the program that does the kernel's part alone.
    fn replaced_by_floor(mut self, options: &Options, scratch: &Scratch) -> Result<Self> {
        let files = scratch.path("behind-floor");
        std::fs::create_dir_all(&files)?;
        self.plugin.program = options.tools.join("floor");
        self.plugin = self.plugin.with("FLOOR_LEASES", files.display().to_string());
        Ok(self)
    }

    fn plugin(&self) -> Plugin {
        let result = self.result.borrow();
        let end = result["interfaces"][1]["name"].as_str().unwrap_or_default();
        // For the floor; a plugin does not know it.
        let plugin = self.plugin.clone().with("FLOOR_LIMITS", end);
        plugin.with_config(&after(&result, &self.config))
    }
}

impl Subject for Behind {
    fn call(&self, verb: &str) -> Result<Sample> {
        if verb == "ADD" {
            *self.result.borrow_mut() = self.bridge.result()?;
            return self.plugin().call(verb);
        }
        let sample = self.plugin().call(verb)?;
        self.bridge.call(verb)?;
        Ok(sample)
    }
}
