//! Feeding generated input to every parser: `cargo xtask fuzz [seconds] [target…]`.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{run, workspace};

/// How long each target runs when nothing is said.
const SECONDS: u64 = 60;

/// Runs each target of the workspace in `fuzz/` for some seconds; a crash ends the run and leaves
/// its input under `fuzz/artifacts`.
///
/// What is found on the way is kept under `fuzz/target/corpus`, for the next run. `fuzz/corpus`
/// holds what somebody chose, and what once broke something: every test run replays it.
///
/// cargo-fuzz needs flags that only a nightly compiler takes. A stable one takes them when it is
/// told to bootstrap itself, which is fine for a build that is never shipped.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let folder = workspace::root().join("fuzz");
    if !folder.join("Cargo.toml").exists() {
        bail!("there is no workspace in {}", folder.display());
    }
    if run::find_program("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing: cargo install --locked cargo-fuzz");
    }
    let (seconds, wanted) = split(arguments);
    let listed = run::output(cargo_fuzz().arg("list").current_dir(workspace::root()))
        .context("list the targets")?;
    for target in listed.lines().filter(|target| wanted.is_empty() || names(wanted, target)) {
        let found = folder.join("target/corpus").join(target);
        std::fs::create_dir_all(&found)
            .with_context(|| format!("make the folder {}", found.display()))?;
        let mut command = cargo_fuzz();
        command.args(["run", target]).arg(found).arg(folder.join("corpus").join(target));
        command.args(["--", &format!("-max_total_time={seconds}")]);
        run::run(command.current_dir(workspace::root()))?;
    }
    Ok(())
}

fn cargo_fuzz() -> Command {
    let mut command = run::cargo();
    command.arg("fuzz").env("RUSTC_BOOTSTRAP", "1");
    command
}

fn names(wanted: &[String], target: &str) -> bool {
    wanted.iter().any(|name| name == target)
}

/// The seconds, when the first argument is a number, and the names of targets.
fn split(arguments: &[String]) -> (u64, &[String]) {
    match arguments.split_first() {
        Some((first, rest)) => match first.parse() {
            Ok(seconds) => (seconds, rest),
            Err(_) => (SECONDS, arguments),
        },
        None => (SECONDS, arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_come_first_and_may_be_left_out() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(split(&words("10 config")), (10, &words("config")[..]));
        assert_eq!(split(&words("config result")), (SECONDS, &words("config result")[..]));
        assert_eq!(split(&[]), (SECONDS, &[][..]));
    }
}
