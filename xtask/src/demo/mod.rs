//! The whole suite at work: `cargo xtask demo`.
//!
//! In a lab that vanishes afterwards, three containers with processes are attached to one bridge,
//! TCP and UDP go both ways between all of them and the host over IPv4 and IPv6, one plugin is
//! killed midway and its call repeated, and everything is taken away again.
//!
//! `cais` does all that; what is judged is read by iproute2 and by sockets. Needs no root where
//! users may make user namespaces.

use std::process::Command;

use anyhow::{Result, bail};

use crate::debian::{self, Tool};
use crate::{run, test, workspace};

mod cais;
mod story;
mod traffic;

const TOOLS: &[Tool] =
    &[Tool { proof: "ip", package: "iproute2", without: "nobody can judge what was made" }];

/// `cargo xtask demo`. The words after it are for ourselves: the demo runs this program again in
/// the lab and, as their processes, in the containers.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => outside(),
        ["inside"] => story::tell(),
        ["peer", name] => traffic::answer_as(name),
        ["talk", ref peers @ ..] => traffic::talk_to(peers),
        _ => bail!("the demo takes no arguments"),
    }
}

/// Builds what is needed and goes into the lab.
fn outside() -> Result<()> {
    if !debian::ensure(TOOLS).is_empty() {
        bail!("packages are missing");
    }
    test::build_binaries()?;
    let mut command = Command::new(workspace::target().join("debug/cais"));
    command.args(["lab", "--"]).arg(std::env::current_exe()?).args(["demo", "inside"]);
    run::run(command.env("PATH", run::path_with_sbin()))
}
