//! DEL: the link, the addresses, the record; each is tried whatever the others did.

use std::path::Path;

use attach::error::refused;
use attach::ipam::Addresses;
use attach::{inside, record};
use cni::{Call, Error};
use kernel::netlink::Socket;

use crate::made::Users;

/// Removes the attachment of `call`, whose link is of `kind`.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(
    call: &Call,
    kind: &str,
    addresses: Option<&dyn Addresses>,
    run_dir: &Path,
) -> Result<(), Error> {
    let leaving = Users::under(run_dir);
    // Before the thread is in the container.
    let host = match leaving.has(&call.attachment) {
        true => Some(Socket::open("the host's namespace").map_err(|e| refused(&e))?),
        false => None,
    };
    let mut errors = inside::detach(call, kind, addresses, run_dir);
    let left = match host {
        Some(host) => leaving.leave(&host, &call.attachment),
        None => leaving.forget(&call.attachment),
    };
    errors.extend([left, record::remove(call, run_dir)].into_iter().filter_map(Result::err));
    Error::joined(errors).map_or(Ok(()), Err)
}
