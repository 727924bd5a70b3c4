//! Licences, sources and duplicates of what we depend on, judged by `deny.toml`.

use std::process::Command;

use anyhow::Result;

use crate::{run, tools, workspace};

/// `cargo xtask deny`. Advisories are left out: they need a database from the network, and a gate
/// must give the same answer for the same commit.
pub(crate) fn task(_: &[String]) -> Result<()> {
    let deny = match run::find_program("cargo-deny") {
        Some(installed) => installed,
        // An unoptimised build takes a minute on two cores, an optimised one several, and the check
        // itself takes a second either way.
        None => {
            tools::installed("cargo-deny", &["--debug", "--no-default-features", "cargo-deny"])?
        }
    };
    run::run(
        Command::new(deny)
            .args(["--workspace", "check", "bans", "licenses", "sources"])
            .current_dir(workspace::root()),
    )
}
