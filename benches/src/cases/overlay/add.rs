//! ADD: beside `bridge`, the first of a network, and while etcd is away.

use anyhow::Result;
use serde_json::json;

use super::ms;
use super::town::Town;
use crate::call::Sample;
use crate::cases::in_turns;
use crate::host::pool;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};
use crate::statistics::quantile;

/// On a host with other containers on the network, beside our `bridge` with `ipMasq` on such a host.
pub(crate) fn warm(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "add");
    let (here, there, other) = (town.host(1)?, town.host(2)?, town.host(3)?);
    let config = town.config("blue", &["10.77.0.0/16".to_owned()]);
    let bridge = json!({
        "cniVersion": "1.1.0", "name": "bench", "type": "bridge", "bridge": "bench0",
        "isGateway": true, "ipMasq": true, "ipam": pool(&scratch.path("overlay-add-leases")),
    });
    there.plugin("overlay", &town.container("there"), &config).call("ADD")?;
    here.plugin("overlay", &town.container("here"), &config).call("ADD")?;
    other.plugin("bridge", &town.container("other"), &bridge).call("ADD")?;
    let ours = here.plugin("overlay", &town.container("ours"), &config);
    let peer = other.plugin("bridge", &town.container("peer"), &bridge);
    for subject in [&ours, &peer] {
        subject.call("ADD")?;
        subject.call("DEL")?;
    }
    let before = town.operations();
    let verbs = ["ADD", "DEL"];
    let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
    let operations = town.operations() - before;
    for ((verb, [ours, peer]), goal) in
        verbs.iter().zip(&series).zip([Goal::Beyond(0.3), Goal::None])
    {
        let wall = |all: &[Sample]| -> Vec<f64> { all.iter().map(|one| ms(one.wall)).collect() };
        let what = format!("overlay {verb} beyond our bridge with ipMasq");
        report.measured((&what, "ms"), &wall(ours), &wall(peer), goal);
        let cpu = |all: &[Sample]| -> Vec<f64> { all.iter().map(|one| ms(one.cpu)).collect() };
        let what = format!("… {verb}, CPU");
        report.measured((&what, "ms"), &cpu(ours), &cpu(peer), Goal::None);
    }
    let what = format!("etcd operations of {} ADDs and DELs", options.runs);
    report.counted(&what, "", (operations, None), Goal::AtMost(0.0));
    Ok(())
}

/// The first container of a network on a host whose daemon runs, which makes the network as well.
pub(crate) fn first(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "first");
    let host = town.host(1)?;
    let container = town.container("c");
    let mut took = Vec::new();
    for run in 0..=options.runs.min(30) {
        let pools = [format!("10.{run}.0.0/16"), format!("fd77:{run}::/48")];
        let plugin = host.plugin("overlay", &container, &town.config(&format!("n{run}"), &pools));
        let sample = plugin.call("ADD")?;
        plugin.call("DEL")?;
        took.push(ms(sample.wall));
    }
    let cold = took.remove(0);
    report.counted("first ADD of a host, which starts the daemon", "ms", (cold, None), Goal::None);
    let what = "first ADD in a network, which is made, both families";
    report.measured((what, "ms"), &took, &[], Goal::AtMost(50.0));
    let p99 = quantile(&took, 0.99);
    report.counted("… p99", "ms", (p99, None), Goal::None);
    Ok(())
}

/// ADDs while etcd does not answer, and then while it is dead.
pub(crate) fn outage(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let mut town = Town::new(options, scratch, "outage");
    let count = if options.smoke { 4 } else { 100 };
    let (here, there) = (town.host(1)?, town.host(2)?);
    let config = town.config("blue", &["10.77.0.0/16".to_owned()]);
    there.plugin("overlay", &town.container("there"), &config).call("ADD")?;
    here.plugin("overlay", &town.container("here"), &config).call("ADD")?;
    let containers: Vec<_> = (0..count).map(|n| town.container(&format!("c{n}"))).collect();
    let mut took = Vec::new();
    town.etcd.stop(0);
    for (number, container) in containers.iter().enumerate() {
        if number == count / 2 {
            town.etcd.kill(0);
        }
        if let Ok(sample) = here.plugin("overlay", container, &config).call("ADD") {
            took.push(ms(sample.wall));
        }
    }
    let what = format!("of {count} ADDs while etcd hangs, then is dead, succeed");
    let (added, wanted) = (took.len() as f64, count as f64);
    report.counted(&what, "", (added, None), Goal::AtLeast(wanted));
    report.measured(("… each", "ms"), &took, &[], Goal::None);
    town.etcd.restart(0);
    Ok(())
}
