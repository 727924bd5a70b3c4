//! CHECK: whether the interface is still in its VRF, with its routes in that table.

use attach::error::no_netns;
use attach::layer3::route_of;
use attach::locked::Inside;
use attach::verify::differs;
use cni::{AddResult, Call, Error};
use kernel::link::Dev;
use kernel::netns::Netns;
use kernel::route::{ADVERTISED, MAIN, OF_THE_KERNEL, Route};

use crate::config::Config;
use crate::plan::there;

/// Compares member, table and routes with what ADD made of `result`.
///
/// # Errors
/// Code 101 with the first difference; code 4 when there is no namespace.
pub(crate) fn compare(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    let (ifname, name, place) = (&call.attachment.ifname, &config.vrf, netns.path().display());
    let inside = Inside::lock(&netns)?;
    let link = inside.link(ifname)?;
    let link = link.ok_or_else(|| differs(format!("{ifname} is missing in {place}")))?;
    let vrf = inside.link(name)?;
    let vrf = vrf.ok_or_else(|| differs(format!("VRF {name} is missing in {place}")))?;
    let vrf = there(config, &vrf, inside.socket.place()).map_err(|error| differs(error.msg))?;
    if !vrf.is_up {
        return Err(differs(format!("VRF {name} in {place} is down")));
    }
    if link.master != Some(vrf.dev.index) {
        return Err(differs(format!("{ifname} in {place} is not in VRF {name}")));
    }
    match misplaced(&inside.routes()?, &link.dev, vrf.table, result) {
        Some(what) => Err(differs(format!("{what} in {place}"))),
        None => Ok(()),
    }
}

/// The first route of `result` that is not by `dev` in its table, or the first of the interface's
/// that is still in the main table, among `routes`.
pub(crate) fn misplaced(
    routes: &[Route],
    dev: &Dev,
    table: u32,
    result: &AddResult,
) -> Option<String> {
    let is_there = |wanted: &Route| {
        routes.iter().any(|route| {
            (route.dst, route.dev, route.table) == (wanted.dst, wanted.dev, wanted.table)
                && (wanted.gw.is_none() || route.gw == wanted.gw)
        })
    };
    for wanted in &result.routes {
        let mut wanted = route_of(wanted, dev, result);
        if wanted.table == MAIN {
            wanted.table = table;
        }
        if !is_there(&wanted) {
            let via = wanted.gw.map(|gw| format!(" via {gw}")).unwrap_or_default();
            let (dst, table) = (wanted.dst, wanted.table);
            return Some(format!("table {table} has no route {dst}{via} by {dev}"));
        }
    }
    let stayed = routes.iter().find(|route| {
        (route.table, route.dev) == (MAIN, Some(dev.index))
            && table != MAIN
            && ![OF_THE_KERNEL, ADVERTISED].contains(&route.protocol)
    });
    stayed.map(|route| format!("route {} by {dev} is in the main table", route.dst))
}
