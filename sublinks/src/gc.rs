//! Removing what is left of attachments that are no longer valid: links in namespaces that are still
//! there, and records.

use std::path::Path;

use attach::validity::Validity;
use cni::{Error, NetworkCall};

use crate::remove::delete_recorded;

/// Removes everything of the network, whose links are of `kind`, that is not valid; without a list,
/// what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, kind: &str, run_dir: &Path) -> Result<(), Error> {
    let validity = Validity::of(call, run_dir)?;
    let left = validity.dead().filter(|record| validity.has_namespace(record));
    let mut errors: Vec<Error> =
        left.filter_map(|record| delete_recorded(record, kind, run_dir).err()).collect();
    errors.extend(validity.remove_records());
    Error::joined(errors).map_or(Ok(()), Err)
}
