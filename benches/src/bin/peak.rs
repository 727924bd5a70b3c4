//! Runs a program and says on standard error how much memory it had at most: `peak PROGRAM`.
//!
//! The kernel starts the count of a new program with what its parent had when it spawned it, so a
//! parent that asks must be small itself: hence this static program and nothing else in it.

use std::process::{Command, ExitCode};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1) else {
        eprintln!("usage: peak PROGRAM");
        return ExitCode::from(2);
    };
    let status = match Command::new(&program).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("run {}: {error}", program.display());
            return ExitCode::FAILURE;
        }
    };
    match getrusage(UsageWho::RUSAGE_CHILDREN) {
        Ok(usage) => eprintln!("\npeak: {} kB", usage.max_rss()),
        Err(error) => eprintln!("\nask for the use of resources: {error}"),
    }
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
