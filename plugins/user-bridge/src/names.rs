//! Names: which of the keys matter, and who warns.

use std::path::Path;

use cni::{Call, Error, NetworkCall};
use names::Client;
use naming::Settings;
use netfilter::Class;

use crate::config::Config;

/// Who warns.
pub(crate) const NAME: &str = "user-bridge";

/// Reads the keys of names.
///
/// # Errors
/// Codes 6 and 7, the key named by its path.
pub(crate) fn settings(
    network: &cni::Config,
    args: &str,
    config: &Config,
) -> Result<Settings, Error> {
    let mut settings = Settings::parse(network, args, NAME)?;
    settings.internal |= config.apart.class == Class::Internal;
    Ok(settings)
}

/// Forgets the names of `call`.
pub(crate) fn leave(call: &Call, run_dir: &Path) -> Result<(), Error> {
    naming::forget(&Client::new(run_dir, &call.path), &call.attachment, NAME)
}

/// Forgets the names of all attachments of a network that are not valid.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    naming::sweep(&Client::new(run_dir, &call.path), call, NAME)
}
