//! A network and mount namespace of our own, with a place for files that goes away afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Set once we are inside.
const INSIDE: &str = "CAIS_BENCH_INSIDE";

/// Goes on in fresh namespaces: replaces this process by itself under unshare(1) the first time,
/// and prepares the namespaces the second time.
pub(crate) fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        let root = Path::new("/proc/self").metadata()?.uid() == 0;
        let namespaces = if root { "-nm" } else { "-Urnm" };
        let error = Command::new("unshare")
            .arg(namespaces)
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(INSIDE, "yes")
            .exec();
        return Err(error).context("start unshare (package util-linux)");
    }
    // `ip netns` keeps its names in /run, where ours must not meet the machine's.
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    run("ip", &["link", "set", "lo", "up"])
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
    /// The path that `CNI_NETNS` carries.
    pub(crate) path: String,
}

impl Container {
    /// Makes it with its `lo` up, as runtimes do.
    pub(crate) fn new(name: &str) -> Result<Container> {
        run("ip", &["netns", "add", name])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        Ok(Container { path: format!("/run/netns/{name}") })
    }
}
