//! The VM lane: `cargo xtask vm` boots Debian kernels under emulation and runs cases inside.
//!
//! It needs no KVM and no root. A boot costs a few seconds, code inside runs about ten times
//! slower: it is the place for drivers that the build machine lacks and for other kernels, never
//! for measurements.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::debian::{self, Tool};
use crate::dist::{self, Kind, StaticBuild, empty_directory};
use crate::report::Outcome;
use crate::{run, workspace};

mod cpio;
mod kernel;
mod power_loss;
mod qemu;
mod root;

use kernel::{Kernel, SERIES, Series};
use qemu::Guest;
use root::Contents;

const TOOLS: &[Tool] = &[
    Tool { proof: "qemu-system-x86_64", package: "qemu-system-x86", without: "no guest can start" },
    Tool { proof: "depmod", package: "kmod", without: "no guest can start" },
    Tool { proof: "xz", package: "xz-utils", without: "no guest can start" },
    Tool { proof: "/bin/busybox", package: "busybox-static", without: "no guest can start" },
    Tool { proof: "ip", package: "iproute2", without: "no guest can start" },
];

/// Packed when they are there.
const WELCOME: &[Tool] = &[
    Tool { proof: "nft", package: "nftables", without: "firewall cases fail in the guest" },
    Tool { proof: "strace", package: "strace", without: "crash cases are skipped in the guest" },
    Tool {
        proof: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        without: "comparisons with the Go plugins are skipped in the guest",
    },
];

/// Packages with cases for the guest.
const PACKAGES: &[&str] = &["kernel", "tests"];

/// Which cases run when none are named: what the build machine's kernel cannot do, what depends on
/// the kernel's version, and one case of each plugin.
const EVERYDAY: &[&str] = &[
    "builders::",
    "bridge::vlan::",
    "vlans",
    "plugins::ipvlan::",
    "plugins::vlan::",
    "plugins::sublinks::",
    "equality::ipvlan::",
    "equality::vlan::",
    "names_are_found_on_ipvlan",
    "an_add_of_ipvlan_that_panics",
    "an_add_of_vlan_that_panics",
    "a_macvlan_is_in_the_mode_asked_for",
    "macvlan::made::",
    "a_tap_is_the_one_that_iproute2_makes",
    "host_device::hardware::",
    "plugins::dummy::",
    "equality::dummy::",
    "an_add_of_dummy_that_panics",
    "plugins::vrf::",
    "an_add_of_vrf_that_panics",
    "deletes::",
    "closes::",
    "connections::",
    "listening::",
    "the_example_of_its_page_works",
    "a_bridge_is_made_and_the_container_plugged_in",
];

/// Where test binaries are in the guest.
const CASES: &str = "/cases";

/// A guest that takes longer is stuck.
const DEADLINE_SECONDS: u32 = 900;

/// What was asked for.
struct Options {
    series: Vec<&'static Series>,
    work: Work,
}

/// What the guest does.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    /// Runs the cases of some packages whose names contain one of the filters.
    Cases { packages: Vec<String>, filters: Vec<String> },
    /// Runs a shell command: to look at a kernel by hand.
    Command(String),
}

/// `cargo xtask vm [--kernel 6.1] [--package tests] [--all | names of cases… | --run COMMAND]`,
/// or `cargo xtask vm --power-loss`.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let outcome = match arguments.first().map(String::as_str) {
        Some("--power-loss") => power_loss()?,
        _ => run_guests(&Options::parse(arguments)?)?,
    };
    match outcome {
        Outcome::Passed => Ok(()),
        Outcome::Skipped(why) | Outcome::Failed(why) => bail!(why),
    }
}

/// Pulls the plug under writers of the lease store and verifies what is left.
pub(crate) fn power_loss() -> Result<Outcome> {
    if let Some(missing) = debian::ensure(TOOLS).first() {
        return Ok(Outcome::Skipped(format!("{} is missing", missing.proof)));
    }
    let folder = workspace::target().join("vm");
    fs::create_dir_all(&folder)?;
    let newest = SERIES.last().context("the guest has no kernel")?;
    power_loss::run(newest, &folder)?;
    Ok(Outcome::Passed)
}

/// The part that CI runs. Without qemu it is skipped, with the reason.
pub(crate) fn everyday() -> Result<Outcome> {
    run_guests(&Options::parse(&[])?)
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let mut series: Vec<_> = SERIES.iter().collect();
        let mut packages: Vec<String> = PACKAGES.iter().map(ToString::to_string).collect();
        let mut filters = Vec::new();
        let mut all = false;
        let mut command = None;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} what?"));
            match &**argument {
                "--kernel" => {
                    let name = value()?;
                    series.retain(|series| series.name == name);
                    if series.is_empty() {
                        bail!("the guest has no kernel {name}");
                    }
                }
                "--package" => packages = vec![value()?.clone()],
                "--run" => command = Some(value()?.clone()),
                "--all" => all = true,
                filter => filters.push(filter.to_owned()),
            }
        }
        if filters.is_empty() && !all {
            filters = EVERYDAY.iter().map(ToString::to_string).collect();
        }
        let work = command.map_or(Work::Cases { packages, filters }, Work::Command);
        Ok(Options { series, work })
    }
}

/// Runs the chosen cases on each kernel that can be had.
fn run_guests(options: &Options) -> Result<Outcome> {
    if let Some(missing) = debian::ensure(TOOLS).first() {
        return Ok(Outcome::Skipped(format!("{} is missing", missing.proof)));
    }
    debian::ensure(WELCOME);
    let folder = workspace::target().join("vm");
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    if let Work::Cases { packages, .. } = &options.work {
        for (number, binary) in binaries_of_tests(packages)?.into_iter().enumerate() {
            files.push((binary, format!("{CASES}/{number}")));
        }
    }
    for shipped in dist::build()?.into_iter().filter(|shipped| shipped.kind != Kind::Bundle) {
        files.push((shipped.path, format!("{}/{}", root::PLUGINS, shipped.name)));
    }
    let job = job(&options.work);
    let mut unreachable = Vec::new();
    let mut failed = Vec::new();
    for series in &options.series {
        let kernel = match Kernel::obtain(series, &folder) {
            Ok(kernel) => kernel,
            Err(error) => {
                println!("Linux {} cannot be had here: {error:#}", series.name);
                unreachable.push(series.name);
                continue;
            }
        };
        let contents = Contents { kernel: &kernel, files: &files, job: &job };
        if let Err(error) = run_guest(&contents, &folder, series.name) {
            failed.push(format!("Linux {}: {error:#}", kernel.release));
        }
    }
    match (failed.is_empty(), unreachable.is_empty()) {
        (false, _) => bail!(failed.join("; ")),
        (true, true) => Ok(Outcome::Passed),
        (true, false) => {
            Ok(Outcome::Skipped(format!("no kernel package for {}", unreachable.join(", "))))
        }
    }
}

/// Boots one guest; initramfs, verdict and log stay in `folder`.
fn run_guest(contents: &Contents<'_>, folder: &Path, name: &str) -> Result<()> {
    let initramfs = folder.join(format!("{name}.initramfs"));
    root::pack(contents, &initramfs)?;
    let guest = Guest {
        kernel: contents.kernel,
        initramfs: &initramfs,
        disk: None,
        spare_nic: true,
        processors: 2,
        deadline_seconds: DEADLINE_SECONDS,
    };
    let log = folder.join(format!("{name}.log"));
    guest.run(&log)?;
    // Names change; filters that match nothing any more must not look like success.
    let log = fs::read_to_string(&log)?;
    let mut runs = log.lines().filter(|line| line.starts_with("running ")).peekable();
    if runs.peek().is_some() && runs.all(|line| line.starts_with("running 0 ")) {
        bail!("no case has a name like those asked for");
    }
    Ok(())
}

/// The script that the guest runs.
fn job(work: &Work) -> String {
    // Here every driver is at hand, so a case that skips itself fails.
    let mut job = String::from("export CI=true CAIS_VM=true\n");
    job.push_str(&format!("export CAIS_TEST_BIN={}\n", root::PLUGINS));
    match work {
        Work::Command(command) => job.push_str(command),
        Work::Cases { filters, .. } => {
            let quoted: Vec<_> =
                filters.iter().map(|f| format!(" '{}'", f.replace('\'', r"'\''"))).collect();
            job.push_str(&format!(
                "failed=0\n\
                 for cases in {CASES}/*; do $cases --test-threads=2{} || failed=$?; done\n\
                 exit $failed",
                quoted.concat()
            ));
        }
    }
    job.push('\n');
    job
}

/// Builds the test binaries of `packages`, static, and returns their paths.
fn binaries_of_tests(packages: &[String]) -> Result<Vec<PathBuf>> {
    let mut command = StaticBuild::choose().cargo("test");
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    let messages = run::output(&mut command)?;
    let binaries: Vec<PathBuf> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    if binaries.is_empty() {
        bail!("no test binary in {}", packages.join(", "));
    }
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Options::parse(&arguments)
    }

    fn filters(arguments: &[&str]) -> Vec<String> {
        match parse(arguments).unwrap().work {
            Work::Cases { filters, .. } => filters,
            Work::Command(command) => panic!("not a command: {command}"),
        }
    }

    #[test]
    fn without_names_the_everyday_cases_run_and_with_all_every_case() {
        assert_eq!(filters(&[]), EVERYDAY);
        assert!(filters(&["--all"]).is_empty());
        assert_eq!(filters(&["--kernel", "6.1", "a_case"]), ["a_case"]);
    }

    #[test]
    fn one_kernel_can_be_chosen_and_an_unknown_one_is_refused() {
        assert_eq!(parse(&["--kernel", "6.1"]).unwrap().series.len(), 1);
        assert!(parse(&["--kernel", "2.4"]).is_err());
        assert!(parse(&["--kernel"]).is_err());
    }

    #[test]
    fn names_of_cases_reach_the_guest_unharmed() {
        let filters = vec!["it's".to_owned(), "two words".to_owned()];
        let job = job(&Work::Cases { packages: Vec::new(), filters });
        assert!(job.contains("--test-threads=2 'it'\\''s' 'two words' || "), "{job}");
    }
}
