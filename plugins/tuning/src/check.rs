//! CHECK: what was asked for, and what is there now.

use attach::error::{no_netns, refused};
use attach::host::identity;
use attach::verify::differs;
use cni::{Call, Error, state};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::config::Config;
use crate::record::{Record, Store};
use crate::sysctl::{Sysctl, is_same_value};

/// Compares the configuration with the container.
///
/// # Errors
/// Code 101 with the first difference; code 4 when there is no namespace.
pub(crate) fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    if config.is_empty() {
        return Ok(());
    }
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let record = record(call, &netns);
    for sysctl in &config.sysctls {
        compare_sysctl(call, sysctl, record.as_ref())?;
    }
    if config.attributes.is_empty() {
        return Ok(());
    }
    let ifname = &call.attachment.ifname;
    let socket = Socket::open(netns.path().display().to_string()).map_err(|e| refused(&e))?;
    let link = link::find(&socket, ifname).map_err(|e| refused(&e))?;
    let link = link.ok_or_else(|| differs(format!("{ifname} is missing in {}", call.sandbox())))?;
    match config.attributes.difference(&link) {
        None => Ok(()),
        Some(words) => Err(differs(format!("{words}, in {}", call.sandbox()))),
    }
}

/// The record of this attachment in this very namespace.
fn record(call: &Call, netns: &Netns) -> Option<Record> {
    let id = identity(netns).ok()?;
    let record = Store::under(&state::run_dir()).read(&call.attachment)?;
    (record.netns_id == id).then_some(record)
}

fn compare_sysctl(call: &Call, sysctl: &Sysctl, record: Option<&Record>) -> Result<(), Error> {
    let name = &sysctl.name;
    let Some(key) = sysctl.key(&call.attachment.ifname) else {
        return Err(differs(format!("sysctl {name} is missing in {}", call.sandbox())));
    };
    // One that cannot be read has nothing to compare.
    let Ok(present) = key.read() else { return Ok(()) };
    let as_made = record.is_some_and(|record| {
        let mut saved = record.sysctls.iter();
        saved.any(|saved| saved.path == key.as_path() && is_same_value(&saved.after, &present))
    });
    if as_made || is_same_value(&sysctl.value, &present) {
        return Ok(());
    }
    let text =
        format!("sysctl {name} is {present:?}, not {:?}, in {}", sysctl.value, call.sandbox());
    Err(differs(text))
}
