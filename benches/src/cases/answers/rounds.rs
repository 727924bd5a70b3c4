//! Servers in turns, round by round, under the same load.

use anyhow::Result;

use super::load::Load;
use super::server::{GATEWAY, Kind, Server};
use crate::cases::settle;
use crate::options::Options;
use crate::report::{Goal, Report};

/// As many pairs as an interval needs; more would take an hour.
const ROUNDS: usize = 30;

/// Questions of one round.
const QUESTIONS: usize = 2_500;
const QUESTIONS_OF_SMOKE: usize = 100;

/// What one server's answers took, round by round, in microseconds.
#[derive(Default)]
struct Series {
    /// Processor time for each answer.
    cpu: Vec<f64>,
    /// Time within which half of the answers came, and all but one in a hundred.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// How many questions a round has.
pub(super) fn questions(options: &Options) -> usize {
    if options.smoke { QUESTIONS_OF_SMOKE } else { QUESTIONS }
}

/// Asks the servers in turns and compares the first with each of the others. `goal` is what is wanted
/// beside one of them, for processor time and for the slowest answers.
pub(super) fn compare(
    options: &Options,
    (what, load): (&str, &Load),
    servers: &[Server],
    goal: fn(Kind) -> Goal,
    report: &mut Report,
) -> Result<()> {
    let mut series: Vec<Series> = servers.iter().map(|_| Series::default()).collect();
    for round in 0..options.runs.min(ROUNDS) {
        for turn in 0..servers.len() {
            let number = (round + turn) % servers.len();
            series[number].add(&servers[number], load)?;
            settle();
        }
    }
    let Some((ours, peers)) = series.split_first() else { return Ok(()) };
    for (peer, server) in peers.iter().zip(&servers[1..]) {
        let (kind, name) = (server.kind, server.kind.name());
        let row = |figure: &str| format!("{what}: {figure}, beside {name}");
        report.measured((&row("CPU"), "µs"), &ours.cpu, &peer.cpu, goal(kind));
        report.measured((&row("p50"), "µs"), &ours.p50, &peer.p50, Goal::None);
        report.measured((&row("p99"), "µs"), &ours.p99, &peer.p99, goal(kind));
    }
    Ok(())
}

impl Series {
    /// One round of one server.
    fn add(&mut self, server: &Server, load: &Load) -> Result<()> {
        let before = server.cpu()?;
        let latencies = load.ask(&server.host.container, GATEWAY)?;
        let used = server.cpu()?.saturating_sub(before);
        self.cpu.push(used.as_secs_f64() * 1e6 / latencies.count() as f64);
        self.p50.push(latencies.within(0.5));
        self.p99.push(latencies.within(0.99));
        Ok(())
    }
}
