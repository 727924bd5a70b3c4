//! A network and mount namespace of our own, with a place for files that goes away afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

/// Set once we are inside.
const INSIDE: &str = "CAIS_BENCH_INSIDE";

/// Goes on in fresh namespaces: starts this program again under unshare(1) the first time, and
/// prepares the namespaces the second time.
///
/// Returns the status to end with in the outer process, `None` in the inner one.
pub(crate) fn enter() -> Result<Option<ExitCode>> {
    if std::env::var_os(INSIDE).is_none() {
        return start_inside().map(Some);
    }
    // `ip netns` keeps its names in /run, where ours must not meet the machine's.
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    run("ip", &["link", "set", "lo", "up"])?;
    Ok(None)
}

/// Starts the inner process and reaps, as runtimes do, whatever its plugins leave behind. Some
/// machines have a PID 1 that looks for orphans once a second only, and there deletes are not
/// detached.
fn start_inside() -> Result<ExitCode> {
    let root = Path::new("/proc/self").metadata()?.uid() == 0;
    prctl::set_child_subreaper(true).context("become a subreaper")?;
    let inside = Command::new("unshare")
        .arg(if root { "-nm" } else { "-Urnm" })
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "yes")
        .spawn()
        .context("start unshare (package util-linux)")?;
    loop {
        match wait().context("wait for the inner process")? {
            WaitStatus::Exited(pid, status) if pid.as_raw().cast_unsigned() == inside.id() => {
                end_daemons()?;
                return Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)));
            }
            WaitStatus::Signaled(pid, signal, _) if pid.as_raw().cast_unsigned() == inside.id() => {
                end_daemons()?;
                bail!("the inner process was ended by {signal}");
            }
            _ => {}
        }
    }
}

/// Ends what our plugins started for ports that are still published: all that is left of the inner
/// process's children are ours by now.
fn end_daemons() -> Result<()> {
    let children = "/proc/thread-self/children";
    let pids = fs::read_to_string(children).with_context(|| format!("read {children}"))?;
    for pid in pids.split_whitespace() {
        // It may have ended by itself, as its place is gone.
        let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGTERM);
    }
    Ok(())
}

/// Runs a command that prepares something.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("start `{program}`"))?;
    if !out.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

/// A folder that is removed at the end.
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes the folder below `parent`.
    pub(crate) fn new(parent: &Path) -> Result<Scratch> {
        let folder =
            std::path::absolute(parent)?.join(format!("cais-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Scratch { folder })
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("benches: {} stays behind: {error}", self.folder.display());
        }
    }
}

/// A named network namespace, as a container has it.
pub(crate) struct Container {
    /// As ip-netns(8) knows it.
    pub(crate) name: String,
    /// The path that `CNI_NETNS` carries.
    pub(crate) path: String,
}

impl Container {
    /// Makes it with its `lo` up, as runtimes do.
    pub(crate) fn new(name: &str) -> Result<Container> {
        run("ip", &["netns", "add", name])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        Ok(Container { name: name.to_owned(), path: format!("/run/netns/{name}") })
    }

    /// Runs a command inside that prepares something.
    pub(crate) fn run(&self, command: &str) -> Result<()> {
        let words = ["netns", "exec", &self.name].into_iter().chain(command.split(' '));
        run("ip", &words.collect::<Vec<_>>())
    }
}
