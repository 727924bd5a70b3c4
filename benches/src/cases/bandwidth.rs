//! Limits of a container's bandwidth: ADD and DEL as a runtime calls them, behind a plugin that makes
//! a pair.

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

/// `bandwidth` alone is measured; before each ADD there is a new pair, since the Go plugin leaves
/// its queues on one.
struct Limited {
    bridge: Plugin,
    bandwidth: Plugin,
    config: Value,
    result: RefCell<Value>,
}

impl Limited {
    fn of(plugins: &Path, name: &str, scratch: &Scratch) -> Result<Self> {
        let host = Host::new(plugins, &format!("bandwidth-{name}"), scratch)?;
        let config = json!({
            "cniVersion": "1.0.0", "name": "bench", "type": "bandwidth",
            "ingressRate": 50_000_000, "ingressBurst": 400_000,
            "egressRate": 50_000_000, "egressBurst": 400_000,
        });
        let bridge = host.plugin("bridge", &host.bridge(false));
        let bandwidth = host.plugin("bandwidth", &config);
        let limited = Self { bridge, bandwidth, config, result: RefCell::default() };
        limited.call("ADD")?;
        limited.call("DEL")?;
        Ok(limited)
    }

    fn plugin(&self) -> Plugin {
        self.bandwidth.clone().with_config(&after(&self.result.borrow(), &self.config))
    }
}

impl Subject for Limited {
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

/// Both directions.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let ours = Limited::of(&options.ours, "ours", scratch)?;
    let peer = Limited::of(&options.peer, "go", scratch)?;
    let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
    for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip([0.35, 0.2]) {
        report.pair(&format!("bandwidth, both directions {verb}"), ours, peer, Goal::Ratio(goal));
    }
    Ok(())
}
