//! The record of an attachment, written before the kernel's objects so that GC knows what a killed
//! ADD began, and removed after them.

use std::path::Path;

use cni::record::{Record, Records};
use cni::{Call, Error, code};
use kernel::netns::Netns;
use kernel::undo::Undo;

use crate::host::identity;

/// What is known of an earlier attachment of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Its namespace is gone; what it left may go, too.
    Dead,
    /// There was none, or nobody has proven it dead.
    NotDead,
}

/// The record of the attachment of `call` in `netns`, with no link on the host.
///
/// # Errors
/// Code 5 when the namespace cannot be told from others.
pub fn of(call: &Call, netns: &Netns) -> Result<Record, Error> {
    let netns_id = identity(netns)
        .map_err(|e| Error::new(code::IO, format!("identify {}: {e}", netns.path().display())))?;
    Ok(Record {
        key: call.attachment.clone(),
        netns: call.sandbox(),
        netns_id,
        host_ifname: String::new(),
        succeeds_dead: false,
        device: None,
    })
}

/// Writes `record` below `run_dir`, and tells what is known of an earlier attachment of its key.
/// One that is there already has its record again when this ADD fails.
///
/// # Errors
/// Code 5 with the file system's words.
pub fn write<'a>(
    mut record: Record,
    run_dir: &'a Path,
    undo: &mut Undo<'a>,
) -> Result<Earlier, Error> {
    let records = Records::under(run_dir);
    let key = record.key.clone();
    let earlier = records.read(&key);
    let is_dead = |earlier: &Record| earlier.is_dead(&record.netns_id.boot);
    record.succeeds_dead = earlier.as_ref().is_some_and(is_dead);
    records
        .write(&record)
        .map_err(|e| Error::new(code::IO, format!("record {key} in {}: {e}", run_dir.display())))?;
    let known = if record.succeeds_dead { Earlier::Dead } else { Earlier::NotDead };
    undo.push(format!("remove record of {key}"), move || {
        match earlier {
            Some(earlier) => records.write(&earlier)?,
            None => records.remove(&key)?,
        }
        Ok(())
    });
    Ok(known)
}

/// Removes the record of the attachment of `call`; none there is success.
///
/// # Errors
/// Code 5 with the file system's words.
pub fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let key = &call.attachment;
    Records::under(run_dir)
        .remove(key)
        .map_err(|e| Error::new(code::IO, format!("remove record of {key}: {e}")))
}
