//! A container on a bridge whose packets leave with the host's address.

use std::path::Path;

use anyhow::{Context, Result};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::nft::{BaseChain, Batch, Field, Hook, Kind, Payload, Reg, Rule, Set, Table};

use super::{bridge, in_turns};
use crate::call::Plugin;
use crate::host::Host;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// ADD and DEL of `bridge` with `host-local` and `ipMasq`: beside another container, where there is
/// a floor as well, and alone on the host, where our tables come and go with it.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let [ours, peer] = both(options, scratch, false)?;
    let floor = floor(options, scratch)?;
    let series = in_turns(&[&ours, &peer, &floor], &verbs, options.runs)?;
    for ((verb, [ours, peer, floor]), goal) in verbs.iter().zip(&series).zip([0.3, 0.12]) {
        let what = format!("bridge with ipMasq {verb}");
        report.pair(&format!("{what}, beside another container"), ours, peer, Goal::Ratio(goal));
        report.pair(&format!("{what}, beside the floor"), ours, floor, Goal::Ratio(2.0));
    }
    let [ours, peer] = both(options, scratch, true)?;
    let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
    for (verb, [ours, peer]) in verbs.iter().zip(&series) {
        let what = format!("bridge with ipMasq {verb}, first and last of its host");
        report.pair(&what, ours, peer, Goal::None);
    }
    Ok(())
}

/// Both subjects, each on a host of its own, with another container there or `lonely`.
fn both(options: &Options, scratch: &Scratch, lonely: bool) -> Result<[Plugin; 2]> {
    let subject = |plugins: &Path, name: &str| -> Result<Plugin> {
        let host = Host::new(plugins, &format!("masquerade-{name}-{lonely}"), scratch)?;
        let config = host.bridge(true);
        if !lonely {
            host.plugin_for(&host.neighbour()?, "bridge", &config).call("ADD")?;
        }
        let plugin = host.plugin("bridge", &config);
        plugin.call("ADD")?;
        plugin.call("DEL")?;
        Ok(plugin)
    };
    Ok([subject(&options.ours, "ours")?, subject(&options.peer, "go")?])
}

/// The floor of the case `bridge`, which puts the address into a set as well. The table that reads
/// the set is made here, under the names that the floor knows.
fn floor(options: &Options, scratch: &Scratch) -> Result<Plugin> {
    const TABLE: Table = Table::inet("floor");
    const MASQUERADED: Set = Set::new("masqueraded", &[Field::Ipv4]);
    const AFTER_ROUTING: BaseChain =
        BaseChain { kind: Kind::Nat, hook: Hook::Postrouting, priority: 100 };
    let floor =
        bridge::floor(options, scratch, "masquerade-floor")?.with("FLOOR_MASQUERADE", "yes");
    let mut batch = Batch::new();
    batch.add_table(&TABLE, "the floor's");
    batch.add_set(&TABLE, &MASQUERADED);
    batch.add_base_chain(&TABLE, "post", AFTER_ROUTING);
    let rule = Rule::new().load(Payload::IP_SADDR, Reg::FIRST).in_set(&MASQUERADED).masquerade();
    batch.add_rule(&TABLE, "post", &rule);
    let host = floor.host.as_ref().context("the floor has a host")?;
    Netns::open(host)?.run(|| -> Result<()> {
        Ok(batch.commit(&Socket::open_netfilter("the floor's host")?)?)
    })??;
    floor.call("ADD")?;
    floor.call("DEL")?;
    Ok(floor)
}
