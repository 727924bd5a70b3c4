//! DEL and GC: devices back to the host.

use std::path::Path;

use attach::error::no_netns;
use attach::inside::release_around;
use attach::ipam::Addresses;
use attach::record;
use attach::validity::Validity;
use cni::record::{Record, Records, boot_id};
use cni::{Call, Error, NetworkCall};
use kernel::netns::Netns;
use types::MacAddr;

use crate::home::{Away, Home};

/// Brings the device of `call` home, and gives back what IPAM gave. The record stays where the device
/// could not come home.
pub(crate) fn remove(
    call: &Call,
    addresses: Option<&dyn Addresses>,
    run_dir: &Path,
) -> Result<(), Error> {
    let mut is_home = false;
    let mut errors = release_around(call, addresses, || {
        take(call, run_dir)?;
        is_home = true;
        Ok(())
    });
    if is_home {
        errors.extend(record::remove(call, run_dir).err());
    }
    Error::joined(errors).map_or(Ok(()), Err)
}

fn take(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let record = Records::under(run_dir).read(&call.attachment);
    let object = call.config.object().ok();
    // A program drives it, so nothing was moved.
    let left = |record: &Record| record.device.is_none();
    if record.as_ref().is_some_and(left)
        || object.as_ref().is_some_and(|o| o.flag("DPDKMode").unwrap_or_default())
    {
        return Ok(());
    }
    let netns = match call.netns.as_ref().map(Netns::open) {
        Some(Ok(netns)) => Some(netns),
        Some(Err(error)) if !error.is_gone() => return Err(no_netns(&error)),
        _ => record.as_ref().and_then(living),
    };
    let configured = object.and_then(|object| object.string("device").ok()?);
    let away = Away {
        ifname: &call.attachment.ifname,
        device: record.as_ref().and_then(|record| record.device.as_ref()),
        promised: promised(call),
        configured: configured.as_deref(),
    };
    Home::open()?.fetch(away, netns.as_ref())
}

/// The address that ADD answered, if the caller tells.
fn promised(call: &Call) -> Option<MacAddr> {
    let result = call.config.prev_result().ok()??;
    let ifname = call.attachment.ifname.as_str();
    let link = result.interfaces.iter().find(|link| link.name == ifname)?;
    link.mac.parse().ok()
}

/// The namespace of a record, where its path still leads there.
fn living(record: &Record) -> Option<Netns> {
    let is_dead = boot_id().is_ok_and(|boot| record.is_dead(&boot));
    if is_dead { None } else { Netns::open(&record.netns).ok() }
}

/// Brings home the devices of attachments that are valid no more; without a list, of those that are
/// proven dead.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let validity = Validity::of(call, run_dir)?;
    let mut errors = Vec::new();
    for record in validity.dead() {
        if let Some(device) = &record.device {
            let away = Away::recorded(&record.key.ifname, device);
            let fetched = Home::open().and_then(|home| home.fetch(away, living(record).as_ref()));
            errors.extend(fetched.err());
        }
    }
    if errors.is_empty() {
        errors = validity.remove_records();
    }
    Error::joined(errors).map_or(Ok(()), Err)
}
