//! Pairs with the peers: our plugins beside Debian's Go plugins, in one run on one machine.
//!
//! Whole processes are measured, because that is what a runtime pays for: spawn, configuration in,
//! result out, exit. Subjects take turns call by call, so that a slow moment of the machine hits
//! all of them, and what is judged is the ratio of medians with its 95 % interval, never a time.
//!
//! Everything happens in a network and mount namespace of its own. `cargo xtask bench` builds what
//! is needed and starts this; by hand: `benches --ours target/dist/bin --tools DIR`.

use std::process::ExitCode;

use anyhow::Result;

mod call;
mod cases;
mod host;
mod isolation;
mod options;
mod report;
mod statistics;

use options::Options;
use report::Report;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("benches: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    if let Some(status) = isolation::enter()? {
        return Ok(status);
    }
    let goals_met = measure(&options)?;
    Ok(if goals_met { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Runs the chosen cases; `false` when a goal was missed and goals are judged.
fn measure(options: &Options) -> Result<bool> {
    let scratch = isolation::Scratch::new(&options.scratch)?;
    let mut report = Report::default();
    for (name, case) in cases::ALL {
        if options.chosen(name) {
            eprintln!("measuring {name}");
            case(options, &scratch, &mut report)?;
        }
    }
    println!("{}", report.table());
    // What is kept can be compared only when it is whole.
    if let (Some(folder), Some(whole)) = (&options.results, options.whole()) {
        println!("raw results: {}", report.save(folder, whole)?.display());
    }
    Ok(options.smoke || report.goals_met())
}
