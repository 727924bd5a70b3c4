//! Removing what is left of attachments that are no longer valid: links in namespaces that are still
//! there, and records.

use std::path::Path;

use attach::error::refused;
use attach::inside;
use attach::validity::Validity;
use cni::{Error, NetworkCall};
use kernel::netlink::Socket;

use crate::made::Users;

/// Removes everything of the network, whose links are of `kind`, that is not valid; without a list,
/// what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, kind: &str, run_dir: &Path) -> Result<(), Error> {
    let validity = Validity::of(call, run_dir)?;
    let mut errors = inside::sweep_links(&validity, kind, run_dir);
    let users = Users::under(run_dir);
    for key in validity.dead().map(|record| &record.key) {
        let left = match users.has(key) {
            true => Socket::open("the host's namespace")
                .map_err(|e| refused(&e))
                .and_then(|host| users.leave(&host, key)),
            false => users.forget(key),
        };
        errors.extend(left.err());
    }
    errors.extend(validity.remove_records());
    Error::joined(errors).map_or(Ok(()), Err)
}
