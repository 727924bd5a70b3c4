//! Where the binaries under test are.
//!
//! Cargo hands paths of binaries only to tests of the same package, and does not even build those of
//! another. So they are built here, once per run and behind a lock.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::report::target_directory;

/// In the environment: the directory of the plugins to be tested, instead of ours.
const GIVEN: &str = "CAIS_TEST_BIN";
/// In the environment: where the Go reference plugins are, if not where Debian puts them.
const REFERENCE: &str = "CAIS_REFERENCE_BIN";
const REFERENCE_OF_DEBIAN: &str = "/usr/lib/cni";
/// How the outer process tells the inner one.
pub(crate) const DIRECTORY: &str = "CAIS_LAB_BIN";

/// Packages that are no plugins and whose binaries a user installs.
const PROGRAMS: [&str; 4] = ["cli", "overlay-agent", "proxy", "resolver"];

/// The directory with the plugins and the command under test: the one that `CAIS_TEST_BIN` names,
/// else our own, freshly built.
///
/// # Panics
/// When the build fails, with what cargo said.
#[must_use]
#[track_caller]
pub fn ready() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| match env::var_os(GIVEN) {
        Some(given) => absolute(&given),
        None => build_once(),
    })
}

/// Where the Go reference plugins are, if they are installed.
#[must_use]
pub fn reference() -> PathBuf {
    env::var_os(REFERENCE).map_or_else(|| PathBuf::from(REFERENCE_OF_DEBIAN), PathBuf::from)
}

/// What the outer process said, in the inner one.
pub(crate) fn directory_given() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

fn absolute(given: &OsStr) -> PathBuf {
    match fs::canonicalize(given) {
        Ok(path) => path,
        Err(error) => panic!("{GIVEN}={}: {error}", given.display()),
    }
}

/// Builds behind a lock, and not again in the same run of nextest, where each case is a process:
/// neither when it went well nor when it failed.
#[track_caller]
fn build_once() -> PathBuf {
    let target = target_directory();
    let lab = target.join("lab");
    let lock = fs::create_dir_all(&lab).and_then(|()| File::create(lab.join("build.lock")));
    let lock = lock.unwrap_or_else(|error| panic!("lock {}: {error}", lab.display()));
    lock.lock().unwrap_or_else(|error| panic!("lock {}: {error}", lab.display()));
    let run = env::var("NEXTEST_RUN_ID").ok();
    let mark = lab.join("built");
    let marked = fs::read_to_string(&mark).unwrap_or_default();
    let outcome = match (&run, marked.split_once('\n')) {
        (Some(run), Some((of, said))) if of == run => said.to_owned(),
        _ => build(&target),
    };
    if let Some(run) = run {
        let text = format!("{run}\n{outcome}");
        fs::write(&mark, text).unwrap_or_else(|error| panic!("{}: {error}", mark.display()));
    }
    assert!(outcome.is_empty(), "build what is to be tested: {outcome}");
    target.join("debug")
}

/// What cargo said when it failed, nothing when it succeeded.
#[track_caller]
fn build(target: &Path) -> String {
    let mut build = cargo();
    build.arg("build").arg("--target-dir").arg(target);
    for package in shipped_packages() {
        build.args(["--package", &package]);
    }
    let done = build.output().unwrap_or_else(|error| panic!("start cargo: {error}"));
    if done.status.success() {
        return String::new();
    }
    format!("{}\n{}", done.status, String::from_utf8_lossy(&done.stderr))
}

/// Packages with a binary that a user installs: the plugins, the command and the daemons.
#[track_caller]
fn shipped_packages() -> Vec<String> {
    let done = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .unwrap_or_else(|error| panic!("start cargo: {error}"));
    let metadata: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let shipped: Vec<String> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .filter(|name| name.starts_with("plugin-") || PROGRAMS.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(!shipped.is_empty(), "this workspace has no plugins: set {GIVEN} to a directory");
    shipped
}

fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo
}
