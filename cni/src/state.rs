//! Where cais keeps its state. `CAIS_ROOT` is put before every path, for tests and labs.

use std::path::PathBuf;

/// The prefix of all paths: `CAIS_ROOT`, or `/`.
#[must_use]
pub fn root() -> PathBuf {
    match std::env::var_os("CAIS_ROOT") {
        Some(root) if !root.is_empty() => PathBuf::from(root),
        _ => PathBuf::from("/"),
    }
}

/// `/run/cais`: records of attachments and sockets, gone after a reboot like what they describe.
#[must_use]
pub fn run_dir() -> PathBuf {
    root().join("run/cais")
}

/// `/var/lib/cni/cais`: lease tables and network data, kept across reboots.
#[must_use]
pub fn lib_dir() -> PathBuf {
    root().join("var/lib/cni/cais")
}
