//! Taking interfaces of attachments that are no longer valid out of their VRF, by their records.

use attach::host::identity;
use attach::validity::Validity;
use cni::record::Record;
use cni::{Error, NetworkCall};
use kernel::netns::Netns;

use crate::config::Config;
use crate::plan::state_dir;
use crate::remove::clear;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
pub(crate) fn sweep(call: &NetworkCall) -> Result<(), Error> {
    let validity = Validity::of(call, &state_dir())?;
    let vrf = Config::vrf_for_del(&call.config);
    let bury = |record: &Record| match (Netns::open(&record.netns), &vrf) {
        // Somebody keeps the namespace of a container that is gone.
        (Ok(netns), Some(vrf)) if identity(&netns).is_ok_and(|id| id == record.netns_id) => {
            clear(&netns, &record.key.ifname, vrf)
        }
        _ => Ok(()),
    };
    let mut errors: Vec<Error> = validity.dead().filter_map(|record| bury(record).err()).collect();
    if errors.is_empty() {
        errors.extend(validity.remove_records());
    }
    Error::joined(errors).map_or(Ok(()), Err)
}
