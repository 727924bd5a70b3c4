//! The everyday test run, all of it, and the doc tests.

use std::num::NonZero;
use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use crate::debian::Tool;
use crate::dist::Kind;
use crate::{debian, run, workspace};

const TOOLS: &[Tool] = &[
    Tool { proof: "ip", package: "iproute2", without: "every case in a namespace fails" },
    Tool { proof: "ping", package: "iputils-ping", without: "cases of traffic fail" },
    Tool { proof: "nft", package: "nftables", without: "firewall cases fail" },
    Tool {
        proof: "iptables",
        package: "iptables",
        without: "comparisons with iptables are skipped",
    },
    Tool { proof: "conntrack", package: "conntrack", without: "cases of tracked connections fail" },
    Tool { proof: "iperf3", package: "iperf3", without: "limits of bandwidth are not measured" },
    Tool { proof: "unshare", package: "util-linux", without: "every case in a namespace fails" },
    Tool {
        proof: "dnsmasq",
        package: "dnsmasq-base",
        without: "cases with a DHCP server are skipped",
    },
    Tool { proof: "strace", package: "strace", without: "crash cases are skipped" },
    Tool {
        proof: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        without: "comparisons with the Go plugins are skipped",
    },
];

/// Real runtimes and daemons, for CI alone: where there is systemd, installing them starts services.
const RUNTIMES: &[Tool] = &[
    Tool { proof: "containerd", package: "containerd", without: "its cases are skipped" },
    Tool { proof: "podman", package: "podman", without: "its cases are skipped" },
    // What Podman needs without root.
    Tool { proof: "crun", package: "crun", without: "Podman's cases without root are skipped" },
    Tool {
        proof: "slirp4netns",
        package: "slirp4netns",
        without: "Podman's cases without root are skipped",
    },
    Tool {
        proof: "newuidmap",
        package: "uidmap",
        without: "Podman's cases without root are skipped",
    },
    Tool { proof: "runc", package: "runc", without: "cases with runtimes are skipped" },
    Tool {
        proof: "busybox",
        package: "busybox-static",
        without: "cases with runtimes are skipped",
    },
    Tool { proof: "etcd", package: "etcd-server", without: "cases with etcd are skipped" },
    Tool { proof: "etcdctl", package: "etcd-client", without: "cases with etcd are skipped" },
    Tool { proof: "musl-gcc", package: "musl-tools", without: "cases with musl are skipped" },
    Tool { proof: "nginx", package: "nginx-light", without: "cases with nginx are skipped" },
    // Beside it come dbus-daemon and its tools.
    Tool { proof: "firewalld", package: "firewalld", without: "cases with firewalld are skipped" },
];

/// Batteries that put every plugin through hundreds of calls: most of the time of all tests. CI runs
/// them, and whoever asks for all tests or for these.
const BATTERIES: &[&str] = &["crash::kills::", "bad_input::"];

/// `cargo xtask test [--all | arguments of the test runner]`.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    install_tools();
    let ending = match arguments {
        [] => everyday(),
        [only] if only == "--all" => all(&[]),
        _ => all(arguments),
    };
    ending?.verdict()
}

/// Runs every test but the batteries and the doc tests, and says so.
fn everyday() -> Result<Ending> {
    let skipped = BATTERIES.iter().flat_map(|battery| ["--skip", battery]);
    let arguments: Vec<String> = ["--"].into_iter().chain(skipped).map(str::to_owned).collect();
    let ending = all(&arguments)?;
    println!("left out, which `cargo xtask test --all` and CI run: {}", BATTERIES.join(" "));
    Ok(ending)
}

/// Makes present what tests need, and says what is left out.
pub(crate) fn install_tools() {
    debian::ensure(TOOLS);
}

/// Makes present what only CI has to run.
pub(crate) fn install_runtimes() {
    debian::ensure(RUNTIMES);
}

/// How a test run ended.
#[derive(Default)]
pub(crate) struct Ending {
    success: bool,
    /// The runner's own closing lines, failed cases first.
    pub(crate) lines: Vec<String>,
}

impl Ending {
    /// An error unless every case passed.
    pub(crate) fn verdict(&self) -> Result<()> {
        match (self.success, self.lines.is_empty()) {
            (true, false) => Ok(()),
            (true, true) => bail!("the test runner did not say how it ended"),
            (false, _) => bail!("tests failed"),
        }
    }
}

/// Runs every test but the doc tests.
pub(crate) fn all(arguments: &[String]) -> Result<Ending> {
    build_binaries()?;
    let done = run::stream(runner().args(arguments), is_closing_line)?;
    Ok(Ending { success: done.success, lines: done.kept })
}

/// Runs the examples in the documentation.
pub(crate) fn doc() -> Result<()> {
    run::run(run::cargo().args(["test", "--workspace", "--doc"]).current_dir(workspace::root()))
}

/// Builds the plugins, the command and the daemons: cargo does so by itself only for tests of the same package.
pub(crate) fn build_binaries() -> Result<()> {
    let packages = workspace::packages()?;
    let shipped: Vec<_> = packages
        .iter()
        // The bundle is the same plugins once more.
        .filter(|package| Kind::of(package).is_some_and(|kind| kind != Kind::Bundle))
        .flat_map(|package| ["--package", &package.name])
        .collect();
    if shipped.is_empty() {
        return Ok(());
    }
    run::run(run::cargo().arg("build").args(shipped).current_dir(workspace::root()))
}

/// nextest when it is installed (a process per case), else cargo's own runner.
fn runner() -> Command {
    let mut command = run::cargo();
    command.current_dir(workspace::root());
    match run::find_program("cargo-nextest") {
        Some(_) => command
            .args(["nextest", "run", "--workspace", "--no-fail-fast"])
            .args(["--test-threads", &at_once().to_string()]),
        None => {
            command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
        }
    };
    command
}

/// How many cases run at once: each waits for others half of its time.
fn at_once() -> usize {
    2 * thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lines by which the runners sum up, and those that name a failed case.
fn is_closing_line(line: &str) -> bool {
    let line = line.trim_start();
    ["Summary [", "test result: ", "FAIL [", "SIGABRT [", "SIGSEGV [", "TIMEOUT ["]
        .iter()
        .any(|start| line.starts_with(start))
        || (line.starts_with("test ") && line.trim_end().ends_with("FAILED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_recognised() {
        for line in [
            "     Summary [   0.012s] 3 tests run: 3 passed, 0 skipped\n",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            "        FAIL [   0.006s] types ids::tests::a_case\n",
            "test ids::tests::a_case ... FAILED\n",
        ] {
            assert!(is_closing_line(line), "{line}");
        }
        for line in ["test ids::tests::a_case ... ok\n", "        PASS [   0.006s] types a\n"] {
            assert!(!is_closing_line(line), "{line}");
        }
    }
}
