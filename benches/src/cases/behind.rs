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
    add_and_del(("bandwidth, both directions", &keys), options, scratch, report)
}

/// One address with its routes.
pub(crate) fn sbr(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let keys = json!({ "cniVersion": "1.0.0", "name": "bench", "type": "sbr" });
    add_and_del(("sbr", &keys), options, scratch, report)
}

fn add_and_del(
    (what, config): (&str, &Value),
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let ours = Behind::of(&options.ours, "ours", config, scratch)?;
    let peer = Behind::of(&options.peer, "go", config, scratch)?;
    let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
    for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip([0.35, 0.2]) {
        report.pair(&format!("{what} {verb}"), ours, peer, Goal::Ratio(goal));
    }
    Ok(())
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

    fn plugin(&self) -> Plugin {
        self.plugin.clone().with_config(&after(&self.result.borrow(), &self.config))
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
