//! Whether names can be given on this node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Error;
use names::{Client, PROGRAM, Topic};

/// How long STATUS waits for a daemon; runtimes hold locks while they ask.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the daemon whether it is there; where none runs, its program has to be, so that ADD can
/// start it.
///
/// # Errors
/// Code 50 and what has to be repaired.
pub fn available(run_dir: &Path, plugin_path: &[PathBuf]) -> Result<(), Error> {
    let client = Client::new(run_dir, plugin_path).with_deadline(PATIENCE);
    match client.about(Topic::Status) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => control::find(PROGRAM, plugin_path)
            .map(drop)
            .map_err(|error| error.unavailable().with_hint("install cais-dnsd beside the plugins")),
        Err(error) => Err(error.unavailable()),
    }
}
