//! Pairs with the peers: `cargo xtask bench` builds what is measured and starts package `benches`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::debian::{self, Tool};
use crate::dist::{self, StaticBuild};
use crate::{run, workspace};

const TOOLS: &[Tool] = &[
    Tool {
        proof: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        without: "there is nothing to compare with",
    },
    Tool { proof: "ip", package: "iproute2", without: "no container can be made" },
    Tool { proof: "unshare", package: "util-linux", without: "nothing can be kept apart" },
    Tool {
        proof: "conntrack",
        package: "conntrack",
        without: "there is no table of connections to forget from",
    },
    Tool {
        proof: "/usr/sbin/iptables",
        package: "iptables",
        without: "the Go plugins cannot masquerade or publish ports",
    },
    Tool {
        proof: "/usr/sbin/nft",
        package: "nftables",
        without: "there is nothing to compare cais reload with",
    },
    Tool { proof: "strace", package: "strace", without: "system calls cannot be counted" },
];

/// `cargo xtask bench [--smoke] [--runs N] [case…]`. Raw results of all cases go to
/// `benches/results`; a smoke run is no measurement and leaves none.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let missing = debian::ensure(TOOLS);
    if !missing.is_empty() {
        bail!("packages are missing");
    }
    dist::build()?;
    let build = StaticBuild::choose();
    run::run(build.cargo("build").args(["--release", "--bins", "--package", "benches"]))?;
    for (package, example) in [("ipam", "lease"), ("kernel", "conntrack_flush")] {
        let example = ["--release", "--package", package, "--example", example];
        run::run(build.cargo("build").args(example))?;
    }
    let mut command = Command::new(build.output("release").join("benches"));
    command.arg("--ours").arg(dist::bin());
    command.arg("--scratch").arg(workspace::target());
    if !arguments.iter().any(|argument| argument == "--smoke") {
        command.arg("--results").arg(workspace::root().join("benches/results"));
    }
    run::run(command.args(arguments).current_dir(workspace::root()))
}
