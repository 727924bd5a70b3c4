//! Servers in turns, round by round, under the same load.

use anyhow::Result;

use super::load::{Load, Pace};
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

/// How many questions a round has. Of a server without rest it takes more for about as long.
pub(super) fn questions(options: &Options, pace: Pace) -> usize {
    match pace {
        _ if options.smoke => QUESTIONS_OF_SMOKE,
        Pace::Steady(_) => QUESTIONS,
        Pace::Full => 10 * QUESTIONS,
    }
}

/// Asks the servers in turns and compares the first, which is ours, with each of the others, and with
/// itself where its containers ask it: at port 53, which is redirected. `goal` is what is wanted beside
/// one of the others, for processor time and for the slowest answers.
pub(super) fn compare(
    options: &Options,
    (what, load): (&str, &Load),
    servers: &[Server],
    goal: fn(Kind) -> Goal,
    report: &mut Report,
) -> Result<()> {
    let Some(ours) = servers.first() else { return Ok(()) };
    let ways: Vec<(&Server, u16)> =
        servers.iter().map(|server| (server, server.port)).chain([(ours, 53)]).collect();
    let mut series: Vec<Series> = ways.iter().map(|_| Series::default()).collect();
    for round in 0..options.runs.min(ROUNDS) {
        for turn in 0..ways.len() {
            let number = (round + turn) % ways.len();
            series[number].add(ways[number], load)?;
            settle();
        }
    }
    let redirected = series.pop().unwrap_or_default();
    let Some((ours, peers)) = series.split_first() else { return Ok(()) };
    let row = |figure: &str| format!("{what}: {figure} at port 53, beside our own port");
    report.measured((&row("CPU"), "µs"), &redirected.cpu, &ours.cpu, Goal::None);
    report.measured((&row("p50"), "µs"), &redirected.p50, &ours.p50, Goal::None);
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
    /// One round of one server, asked at a port.
    fn add(&mut self, (server, port): (&Server, u16), load: &Load) -> Result<()> {
        let before = server.cpu()?;
        let latencies = load.ask(&server.place.host.container, (GATEWAY, port).into())?;
        let used = server.cpu()?.saturating_sub(before);
        self.cpu.push(used.as_secs_f64() * 1e6 / latencies.count() as f64);
        self.p50.push(latencies.within(0.5));
        self.p99.push(latencies.within(0.99));
        Ok(())
    }
}
