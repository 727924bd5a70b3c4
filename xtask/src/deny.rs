//! Licences, sources and duplicates of what we depend on, judged by `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{run, workspace};

/// `cargo xtask deny`. Advisories are left out: they need a database from the network, and a gate
/// must give the same answer for the same commit.
pub(crate) fn task(_: &[String]) -> Result<()> {
    let deny = match run::find_program("cargo-deny") {
        Some(installed) => installed,
        None => installed_below_target()?,
    };
    run::run(
        Command::new(deny)
            .args(["--workspace", "check", "bans", "licenses", "sources"])
            .current_dir(workspace::root()),
    )
}

/// Our own copy under `target/tools`. An unoptimised build takes a minute on two cores, an
/// optimised one several, and the check itself takes a second either way.
fn installed_below_target() -> Result<PathBuf> {
    let tools = workspace::target().join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.exists() {
        run::run(
            run::cargo()
                .args(["install", "--locked", "--debug", "--no-default-features", "cargo-deny"])
                .arg("--root")
                .arg(&tools)
                .env("CARGO_TARGET_DIR", tools.join("build"))
                .current_dir(workspace::root()),
        )?;
        // A gigabyte of intermediate files that nothing will use again.
        std::fs::remove_dir_all(tools.join("build"))?;
    }
    Ok(deny)
}
