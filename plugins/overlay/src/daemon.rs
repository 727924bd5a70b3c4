//! The daemon of this host, as far as this plugin needs it: for the first container of a network, and
//! for one that finds all addresses taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Error;
use overlays::Client;
use peers::message::Request;
use types::NetworkName;

use crate::config::Etcd;

/// How long the daemon may take for a network that is new to this host.
const READY: Duration = Duration::from_secs(10);
/// How long an ADD waits for more addresses.
const MORE: Duration = Duration::from_secs(2);

/// Lets the daemon take part in `network`; it is started where none runs.
///
/// # Errors
/// What the daemon says; code 11 at the deadline, 50 where there is no such program.
pub(crate) fn ensure(
    network: &NetworkName,
    etcd: &Etcd,
    run_dir: &Path,
    plugin_path: &[PathBuf],
) -> Result<(), Error> {
    let network = network.clone();
    let (store, create) = (etcd.store.clone(), etcd.create.clone());
    let request = Request::Ensure { network, store, create };
    Client::new(run_dir, plugin_path).ask(&request, READY).map(drop)
}

/// Lets the daemon get more addresses of `network`.
///
/// # Errors
/// Why there are none.
pub(crate) fn more(
    network: &NetworkName,
    run_dir: &Path,
    plugin_path: &[PathBuf],
) -> Result<(), Error> {
    let request = Request::More { network: network.clone() };
    Client::new(run_dir, plugin_path).ask(&request, MORE).map(drop)
}

/// Starts the daemon again where it was killed. The way to the others does not depend on it at the
/// moment, so what goes wrong is only said.
pub(crate) fn revive(run_dir: &Path, plugin_path: &[PathBuf]) {
    if let Err(error) = Client::new(run_dir, plugin_path).revive() {
        cni::warn(crate::NAME, &format!("cais-overlayd does not run: {error}"));
    }
}
