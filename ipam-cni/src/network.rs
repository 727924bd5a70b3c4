//! Leases of networks that hand out addresses themselves: one table for each, the only truth.

use std::path::Path;
use std::time::Duration;

use cni::keyed::short;
use cni::{Call, Error, NetworkCall, state};
use ipam::{Durability, Host, Lease, Store};
use types::{Cidr, NetworkName};

use crate::leases::{Known, broken, is_of, owner_of};

/// Longest part of a file name that is written out.
const NAME_MAX_BYTES: usize = 180;

/// STATUS does not wait for its turn behind ADDs; a store that is in use is one that works.
const STATUS_DEADLINE: Duration = Duration::from_millis(200);

/// The table of `network`. No directory of host-local has an index with such a name.
#[must_use]
pub fn store(network: &NetworkName) -> Store {
    store_below(&state::lib_dir(), network)
}

/// The same below another directory than [`state::lib_dir`].
#[must_use]
pub fn store_below(lib_dir: &Path, network: &NetworkName) -> Store {
    let name = format!("{}.network", short(network.as_str(), NAME_MAX_BYTES));
    Store::table(lib_dir.join("index").join(name))
}

/// Gives back what the attachment of `call` holds.
///
/// # Errors
/// When the table cannot be written.
pub fn release(call: &Call) -> Result<(), Error> {
    store(&call.attachment.network)
        .release(&owner_of(call), Durability::Lazy, &Host::current())
        .map(drop)
        .map_err(|e| broken(&e))
}

/// The addresses that the attachment of `call` holds.
///
/// # Errors
/// When the table cannot be read.
pub fn held(call: &Call) -> Result<Vec<Cidr>, Error> {
    let leases = store(&call.attachment.network).leases_of(&owner_of(call), &Host::current());
    Ok(leases.map_err(|e| broken(&e))?.iter().map(|lease| Cidr::host(lease.address)).collect())
}

/// Releases the addresses of all that is not valid; without a list, of what is proven dead.
///
/// # Errors
/// When the table cannot be written.
pub fn sweep(call: &NetworkCall) -> Result<(), Error> {
    let network = call.config.name();
    let valid = call.config.valid_attachments()?;
    let known = Known::of(network);
    let keep = |lease: &Lease| match &valid {
        None => !lease.is_dead(known.life(lease)),
        Some(valid) => valid.iter().any(|entry| is_of(lease, entry)),
    };
    let swept = store(network).gc(&keep, Durability::Lazy, &Host::current());
    swept.map(drop).map_err(|e| broken(&e))
}

/// Whether the table can be used.
///
/// # Errors
/// Code 50.
pub fn serviceable(network: &NetworkName) -> Result<(), Error> {
    match store(network).with_deadline(STATUS_DEADLINE).held(&Host::current()) {
        Err(error) if !error.is_passing() => Err(broken(&error).unavailable()),
        _ => Ok(()),
    }
}
