//! Pairs with the peers: `cargo xtask bench` builds what is measured and starts package `benches`.

mod faults;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::debian::{self, Tool};
use crate::dist::{self, StaticBuild};
use crate::{run, tools, workspace};

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
    Tool {
        proof: "dnsmasq",
        package: "dnsmasq-base",
        without: "there is nothing to compare answers about names with",
    },
    Tool { proof: "dnsperf", package: "dnsperf", without: "nobody asks for names" },
    Tool { proof: "strace", package: "strace", without: "system calls cannot be counted" },
    Tool { proof: "etcd", package: "etcd-server", without: "no hosts tell each other of networks" },
    Tool { proof: "etcdctl", package: "etcd-client", without: "nobody looks into etcd" },
    Tool { proof: "ping", package: "iputils-ping", without: "no fault costs a packet" },
];

/// The program that netavark starts, as it is published.
const AARDVARK: &str = "aardvark-dns";
const AARDVARK_VERSION: &str = "=2.1.0";

/// The case that needs it.
const ANSWERS: &str = "answers";

/// `cargo xtask bench [--smoke] [--runs N] [case…]`. Raw results of all cases, of all of overlay
/// networks and of faults go to `benches/results`; a smoke run is no measurement and leaves none.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let missing = debian::ensure(TOOLS);
    if !missing.is_empty() {
        bail!("packages are missing");
    }
    dist::build()?;
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    if chosen(arguments, faults::CASE) {
        faults::measure(!is_smoke)?;
    }
    let all = arguments;
    let arguments: Vec<String> = all.iter().filter(|one| *one != faults::CASE).cloned().collect();
    // Without a name everything is measured, so nothing may be left of the only one.
    if chosen(&arguments, "") && !chosen(all, "") {
        return Ok(());
    }
    let arguments = &arguments[..];
    let build = StaticBuild::choose();
    run::run(build.cargo("build").args(["--release", "--bins", "--package", "benches"]))?;
    for (package, example) in [("ipam", "lease"), ("kernel", "conntrack_flush")] {
        let example = ["--release", "--package", package, "--example", example];
        run::run(build.cargo("build").args(example))?;
    }
    let mut command = Command::new(build.output("release").join("benches"));
    command.arg("--ours").arg(dist::bin());
    command.arg("--scratch").arg(workspace::target());
    if let Some(aardvark) = aardvark(arguments) {
        command.arg("--aardvark").arg(aardvark);
    }
    if !is_smoke {
        command.arg("--results").arg(workspace::root().join("benches/results"));
    }
    run::run(command.args(arguments).current_dir(workspace::root()))
}

/// The real `aardvark-dns`, which takes minutes to build: where it is there already, or answers are
/// measured in earnest.
fn aardvark(arguments: &[String]) -> Option<PathBuf> {
    let place = tools::place_of(AARDVARK);
    let in_earnest = !arguments.iter().any(|argument| argument == "--smoke");
    if place.exists() || !in_earnest || !chosen(arguments, ANSWERS) {
        return place.exists().then_some(place);
    }
    match tools::installed(AARDVARK, &[AARDVARK, "--version", AARDVARK_VERSION]) {
        Ok(place) => Some(place),
        Err(error) => {
            println!("{AARDVARK} cannot be had here: {error:#}");
            None
        }
    }
}

/// Whether the case is measured: it is named, or none is.
fn chosen(arguments: &[String], case: &str) -> bool {
    let mut named = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => {}
            // All others have a value.
            option if option.starts_with("--") => drop(arguments.next()),
            name => named.push(name),
        }
    }
    named.is_empty() || named.contains(&case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_measured_when_it_is_named_or_none_is() {
        let is_chosen = |line: &str| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            chosen(&arguments, "answers")
        };
        for line in ["", "--runs 30", "--smoke", "ports answers", "--runs 30 answers"] {
            assert!(is_chosen(line), "{line}");
        }
        for line in ["ports", "--runs 30 ports", "--smoke ports", "ports --results answers"] {
            assert!(!is_chosen(line), "{line}");
        }
    }
}
