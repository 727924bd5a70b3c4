//! Taking an interface out of its VRF, which goes with its last member: DEL, and what GC buries.

use attach::error::refused;
use attach::locked::Inside;
use attach::record;
use cni::{Call, Error};
use kernel::link;
use kernel::netlink::{Request, RequestError};
use kernel::netns::Netns;
use types::IfName;

use crate::config::Config;
use crate::plan::{Present, state_dir};

/// Takes the interface of `call` out. A namespace that is gone has taken all with it.
pub(crate) fn remove(call: &Call) -> Result<(), Error> {
    let netns = call.netns.as_deref().and_then(|path| Netns::open(path).ok());
    if let (Some(netns), Some(vrf)) = (netns, Config::vrf_for_del(&call.config)) {
        clear(&netns, &call.attachment.ifname, &vrf)?;
    }
    record::remove(call, &state_dir())
}

/// Takes `ifname` out of the VRF called `vrf`, if it is there and in it, and deletes a VRF that has
/// nobody left.
pub(crate) fn clear(netns: &Netns, ifname: &IfName, vrf: &IfName) -> Result<(), Error> {
    let inside = Inside::lock(netns)?;
    let Some(vrf) = Present::find(&inside.socket, vrf)? else { return Ok(()) };
    let links = link::list(&inside.socket).map_err(|e| refused(&e))?;
    let (ours, others): (Vec<_>, Vec<_>) = links
        .iter()
        .filter(|link| link.master == Some(vrf.dev.index))
        .partition(|link| link.is_named(ifname));
    let mut requests: Vec<Request> =
        ours.into_iter().map(|link| link::set(link).nomaster().request()).collect();
    if others.is_empty() {
        requests.push(link::delete(&vrf.dev));
    }
    let answers = inside.socket.batch(&requests).into_iter().filter_map(Result::err);
    let left = |error: &RequestError| !error.is_missing();
    let errors = answers.filter(left).map(|error| refused(&error)).collect();
    Error::joined(errors).map_or(Ok(()), Err)
}
