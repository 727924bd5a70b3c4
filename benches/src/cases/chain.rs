//! What a runtime calls for a container with published ports: all plugins of a list, each with the
//! result of the one before.

use std::cell::RefCell;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::in_turns;
use crate::call::{Plugin, Sample, Subject, first_json};
use crate::host::{Host, after, portmap};
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

/// Both verbs beside the Go plugins.
const GOAL: Goal = Goal::Ratio(0.1);

pub(super) const PORTS: [(u16, u16); 2] = [(8_080, 80), (8_443, 443)];
pub(super) const NEIGHBOURS_PORTS: [(u16, u16); 2] = [(9_080, 80), (9_443, 443)];

/// A list of plugins as one subject: what they took is added up.
pub(super) struct Chain {
    /// In the order of the list, with their configurations.
    plugins: Vec<(Plugin, Value)>,
    /// Of the last ADD: runtimes give it to DEL.
    pub(super) result: RefCell<Value>,
}

/// `bridge` with masquerade, `portmap` with two ports and `firewall`, and `tuning` where both have
/// it; beside another container, and alone on the host.
pub(crate) fn whole(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let tuned = [&options.ours, &options.peer].iter().all(|all| all.join("tuning").exists());
    let names =
        if tuned { "bridge, portmap, firewall, tuning" } else { "bridge, portmap, firewall" };
    for (place, lonely, goal) in [
        ("beside another container", false, GOAL),
        ("first and last of its host", true, Goal::None),
    ] {
        let subject = |plugins: &Path, name: &str| -> Result<Chain> {
            let host = Host::new(plugins, &format!("chain-{name}-{lonely}"), scratch)?;
            if !lonely {
                Chain::of(&host, &host.neighbour()?, &NEIGHBOURS_PORTS, tuned).call("ADD")?;
            }
            let chain = Chain::of(&host, &host.container, &PORTS, tuned);
            chain.call("ADD")?;
            chain.call("DEL")?;
            Ok(chain)
        };
        let (ours, peer) = (subject(&options.ours, "ours")?, subject(&options.peer, "go")?);
        let verbs = ["ADD", "DEL"];
        let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
        for (verb, [ours, peer]) in verbs.iter().zip(&series) {
            report.pair(&format!("whole chain ({names}) {verb}, {place}"), ours, peer, goal);
        }
    }
    Ok(())
}

impl Chain {
    pub(super) fn of(
        host: &Host,
        container: &Container,
        ports: &[(u16, u16)],
        tuned: bool,
    ) -> Chain {
        let plain = |name: &str| json!({ "cniVersion": "1.0.0", "name": "bench", "type": name });
        let mut configs = vec![host.bridge(true), portmap(ports, None), plain("firewall")];
        if tuned {
            let mut tuning = plain("tuning");
            tuning["sysctl"] = json!({ "net.ipv4.conf.IFNAME.arp_filter": "1" });
            configs.push(tuning);
        }
        let plugin = |config: Value| {
            let name = config["type"].as_str().unwrap_or_default();
            (host.plugin_for(container, name, &config), config)
        };
        let plugins = configs.into_iter().map(plugin).collect();
        Chain { plugins, result: RefCell::default() }
    }

    fn add(&self) -> Result<Sample> {
        let mut sum: Option<Sample> = None;
        for (plugin, config) in &self.plugins {
            let called = match sum {
                None => plugin.clone(),
                Some(_) => plugin.clone().with_config(&after(&self.result.borrow(), config)),
            };
            let (sample, printed) = called.answer("ADD")?;
            *self.result.borrow_mut() = first_json(&printed)?;
            sum = Some(sum.map_or(sample, |sum| sum.and(sample)));
        }
        sum.context("the list is empty")
    }

    fn del(&self) -> Result<Sample> {
        let mut sum: Option<Sample> = None;
        for (plugin, config) in self.plugins.iter().rev() {
            let called = plugin.clone().with_config(&after(&self.result.borrow(), config));
            let sample = called.call("DEL")?;
            sum = Some(sum.map_or(sample, |sum| sum.and(sample)));
        }
        sum.context("the list is empty")
    }
}

impl Subject for Chain {
    fn call(&self, verb: &str) -> Result<Sample> {
        match verb {
            "ADD" => self.add(),
            _ => self.del(),
        }
    }
}
