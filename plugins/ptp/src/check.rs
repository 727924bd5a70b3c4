//! Reality against what ADD promised, on both sides. Only what keeps the attachment from working is
//! a difference.

use attach::error::{no_netns, refused};
use attach::forwarding;
use attach::verify::{self, addresses, differs, is_up, prev_result, promised_interface, routes};
use cni::{Call, Error};
use kernel::addr;
use kernel::link::Link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::route::{self, Filter};
use netfilter::kind;
use pairs::check::host_end;
use pairs::claim;

use crate::config::Config;
use crate::plan::Layer3;

/// Compares everything of one attachment. The calling thread is in the container's namespace
/// afterwards.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub(crate) fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let result = prev_result(call)?;
    let (ifname, sandbox) = (&call.attachment.ifname, call.sandbox());
    let (index, promised) = promised_interface(&result, ifname.as_str(), &sandbox)?;
    let plan = Layer3::of_result(&result, index);
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    for family in plan.families() {
        forwarding::is_on(family)?;
    }
    if config.masquerade {
        claim::compare(&kind::Interface, call, |filter| {
            claim::is_masqueraded_by_reference(filter, &call.attachment, &result)
        })?;
    }
    let netns = Netns::open(&sandbox).map_err(|e| no_netns(&e))?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(sandbox).map_err(|e| refused(&e))?;
    let container = verify::link(&inside, ifname, (Some("veth"), &promised.mac))?;
    is_up(&container, &inside)?;
    outside(&host, &host_end(&host, &container)?, &plan)?;
    addresses(&inside, &container.dev, &result, index)?;
    routes(&inside, &result)
}

/// The host's end: the gateways' addresses, and a route to each of the container's.
fn outside(host: &Socket, end: &Link, plan: &Layer3) -> Result<(), Error> {
    let dev = &end.dev;
    if !end.is_up() {
        return Err(differs(format!("the host's end {dev} is down")));
    }
    let there = addr::list(host, dev).map_err(|e| refused(&e))?;
    for gateway in &plan.gateways {
        if !there.iter().any(|found| found.cidr.ip() == gateway.ip()) {
            return Err(differs(format!("gateway address {gateway} is missing on {dev}")));
        }
    }
    let there = route::list(host, Filter { dev: Some(dev.index), ..Filter::default() });
    let there = there.map_err(|e| refused(&e))?;
    for peer in &plan.peers {
        if !there.iter().any(|route| route.dst == *peer) {
            return Err(differs(format!("the host's route to {peer} by {dev} is missing")));
        }
    }
    Ok(())
}
