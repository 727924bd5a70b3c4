//! Formatting, clippy and rustdoc, each with warnings denied.

use anyhow::Result;

use crate::report::Outcome;
use crate::{dist, run, workspace};

/// `cargo fmt --check` over all members.
pub(crate) fn fmt() -> Result<()> {
    run::run(run::cargo().args(["fmt", "--all", "--check"]).current_dir(workspace::root()))
}

/// Clippy for this machine's own target: products, tests, examples, benches.
pub(crate) fn clippy() -> Result<()> {
    let mut command = run::cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--locked"]);
    run::run(command.args(["--", "--deny", "warnings"]).current_dir(workspace::root()))
}

/// Clippy for musl, whose libc types differ from glibc's.
pub(crate) fn clippy_musl() -> Result<Outcome> {
    if !dist::musl_installed() {
        return Ok(Outcome::Skipped(format!("target {} is not installed", dist::MUSL)));
    }
    let mut command = run::cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--locked", "--target", dist::MUSL]);
    run::run(command.args(["--", "--deny", "warnings"]).current_dir(workspace::root()))?;
    Ok(Outcome::Passed)
}

/// Rustdoc, private items too: that is where the reasons are written.
pub(crate) fn doc() -> Result<()> {
    run::run(
        run::cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
            .env("RUSTDOCFLAGS", "--deny warnings")
            .current_dir(workspace::root()),
    )
}
