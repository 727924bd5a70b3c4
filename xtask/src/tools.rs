//! Programs of crates.io that a step needs: our own copies, under `target/tools`.

use std::path::PathBuf;

use anyhow::Result;

use crate::{run, workspace};

/// Where our copy of a program is, whether there is one or not.
pub(crate) fn place_of(program: &str) -> PathBuf {
    workspace::target().join("tools/bin").join(program)
}

/// Our copy of `program`, which is built unless it is there. `what` are the arguments of
/// `cargo install` that name it.
pub(crate) fn installed(program: &str, what: &[&str]) -> Result<PathBuf> {
    let place = place_of(program);
    if !place.exists() {
        let tools = workspace::target().join("tools");
        run::run(
            run::cargo()
                .args(["install", "--locked"])
                .args(what)
                .arg("--root")
                .arg(&tools)
                .env("CARGO_TARGET_DIR", tools.join("build"))
                .current_dir(workspace::root()),
        )?;
        // A gigabyte of intermediate files that nothing will use again.
        std::fs::remove_dir_all(tools.join("build"))?;
    }
    Ok(place)
}
