//! Removing what is left of attachments that are no longer valid, by their records.

use attach::host::identity;
use attach::validity::Validity;
use cni::record::Record;
use cni::{Error, NetworkCall};
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::place::{Pair, host, state_dir};
use crate::remove::{clear, delete_shaper};

/// Removes everything of the network that is not valid; without a list, what is proven dead.
pub(crate) fn sweep(call: &NetworkCall) -> Result<(), Error> {
    let validity = Validity::of(call, &state_dir())?;
    let host = host()?;
    let mut errors: Vec<Error> =
        validity.dead().filter_map(|record| bury(&host, record).err()).collect();
    if errors.is_empty() {
        errors.extend(validity.remove_records());
    }
    Error::joined(errors).map_or(Ok(()), Err)
}

fn bury(host: &Socket, record: &Record) -> Result<(), Error> {
    let shaper = Some(record.host_ifname.as_str()).filter(|name| !name.is_empty());
    // Somebody may keep the namespace of a container that is gone.
    if let Ok(netns) = Netns::open(&record.netns)
        && identity(&netns).is_ok_and(|id| id == record.netns_id)
        && let Some(end) = Pair::find(host, &netns, &record.key.ifname)?.host
    {
        clear(host, &end.dev, shaper)?;
    }
    delete_shaper(host, shaper)
}
