//! Publishing ports of a container beside those that are published on the host already.

use anyhow::Result;

use super::in_turns;
use super::published::{Published, Publisher};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

const PUBLISHERS: [Publisher; 3] =
    [Publisher::Ours(None), Publisher::Ours(Some("nftables")), Publisher::Go];

/// Ours beside ours on a host without any other port.
const FLAT: Goal = Goal::Ratio(1.3);

const VERBS: [&str; 2] = ["ADD", "DEL"];

/// `portmap` alone, after a `bridge` that is not measured.
pub(crate) fn publish(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let held: [u16; 3] = if options.smoke { [0, 5, 20] } else { [0, 1_000, 10_000] };
    let hosts = |publisher| -> Result<Vec<Published>> {
        let host = |held| Published::new(options, scratch, ("ports", publisher, held));
        held.into_iter().map(host).collect()
    };
    let hosts: Vec<Vec<Published>> = PUBLISHERS.into_iter().map(hosts).collect::<Result<_>>()?;
    for count in [1, 50] {
        let ports: Vec<(u16, u16)> = (0..count).map(|port| (8_000 + port, 80 + port)).collect();
        let plugin = |publisher: usize, held: usize| hosts[publisher][held].portmap(&ports);
        let noun = if count == 1 { "port" } else { "ports" };
        let what = |verb: &str| format!("portmap {verb}, {count} {noun}");
        for (publisher, backend) in [(0, "default backend"), (1, "backend nftables")] {
            let levels = [0, 1, 2].map(|level| plugin(publisher, level));
            let series = in_turns(&levels.each_ref(), &VERBS, options.runs)?;
            for (verb, [alone, _, among]) in VERBS.into_iter().zip(&series) {
                let what = format!("{}, {backend}: {} published beside none", what(verb), held[2]);
                report.pair(&what, among, alone, FLAT);
            }
        }
        for (level, held) in held.into_iter().enumerate() {
            let Some(runs) = runs_beside_go(options, count, held) else { continue };
            let subjects = [0, 1, 2].map(|publisher| plugin(publisher, level));
            let series = in_turns(&subjects.each_ref(), &VERBS, runs)?;
            for (verb, [ours, nftables, go]) in VERBS.into_iter().zip(&series) {
                let what = format!("{}, {held} published", what(verb));
                report.pair(&what, ours, go, Goal::None);
                report.pair(&format!("{what}, backend nftables"), nftables, go, Goal::None);
            }
        }
    }
    Ok(())
}

/// The Go plugin reads all rules for each one that it adds: seconds for one port beside many, and
/// minutes for 50.
fn runs_beside_go(options: &Options, count: u16, held: u16) -> Option<usize> {
    match (count, held) {
        _ if options.smoke => (held == 0).then_some(1),
        (1, 0) => Some(options.runs),
        (_, 0) | (1, 1..=1_000) => Some(options.runs.min(20)),
        (1, _) | (_, 1..=1_000) => Some(options.runs.min(3)),
        _ => None,
    }
}
