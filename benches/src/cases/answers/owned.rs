//! Names of containers, which every server knows by itself.

use anyhow::Result;

use super::load::{Load, Pace};
use super::rounds::{compare, questions};
use super::server::{Kind, Place, Server, name_of};
use crate::host::Host;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Questions in a second: few enough for all.
const STEADY: Pace = Pace::Steady(5_000);

/// Memory in MiB with one name, and with as many as a host may ever have.
const IDLE: Goal = Goal::AtMost(5.0);
const FULL: Goal = Goal::AtMost(15.0);

/// The room in dnsmasq's cache that it has by itself; its own names need none.
pub(super) const CACHE: u32 = 150;

/// A step that has no factor in common with how many names there are, so that all get asked for.
const STRIDE: usize = 7_919;

/// CPU time, latency and memory with one name, with some and with many.
pub(super) fn measure(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let levels: [u16; 3] = if options.smoke { [1, 5, 20] } else { [1, 100, 10_000] };
    for (level, held) in levels.into_iter().enumerate() {
        let host = Host::new(&options.ours, &format!("owned-{held}"), scratch)?;
        let place = Place::with_dnsname(host)?;
        let kinds = Kind::all(options, CACHE).into_iter();
        let servers: Vec<Server> =
            kinds.map(|kind| Server::start(&place, kind, options, held)).collect::<Result<_>>()?;
        if level == 0 {
            memory(report, "idle", &servers, IDLE)?;
        }
        for (pace, how) in [(STEADY, ""), (Pace::Full, ", without rest")] {
            let names: Vec<String> = (0..questions(options, pace))
                .map(|turn| name_of((turn * STRIDE % usize::from(held)) as u16))
                .collect();
            let load = Load::new(&scratch.path("questions"), &names, pace)?;
            let what = format!("one of {held} own names{how}");
            compare(options, (&what, &load), &servers, |_| Goal::Ratio(1.0), report)?;
        }
        let goal = if level + 1 == levels.len() { FULL } else { Goal::None };
        memory(report, &format!("after questions, {held} own names"), &servers, goal)?;
    }
    Ok(())
}

/// Resident memory of all processes of each server.
fn memory(report: &mut Report, when: &str, servers: &[Server], goal: Goal) -> Result<()> {
    let Some((ours, peers)) = servers.split_first() else { return Ok(()) };
    let own = ours.memory()?;
    for (number, peer) in peers.iter().enumerate() {
        let what = format!("memory {when}, beside {}", peer.kind.name());
        // It is judged once.
        let goal = if number == 0 { goal } else { Goal::None };
        report.counted(&what, "MiB", (own, Some(peer.memory()?)), goal);
    }
    Ok(())
}
