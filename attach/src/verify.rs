//! CHECK's questions that every interface plugin asks of the container. The calling thread is in
//! its namespace. What chained plugins may change later (MAC by way of their own result, routes
//! moved to other tables) is no difference.

use cni::{AddResult, Call, Error, Interface, code};
use kernel::addr;
use kernel::link::{self, Dev, Link};
use kernel::netlink::Socket;
use kernel::route::{self, Filter};
use types::IfName;

use crate::error::refused;

/// A difference between what ADD promised and what is there.
#[must_use]
pub fn differs(text: impl Into<String>) -> Error {
    Error::new(code::DIFFERS, text)
        .with_hint("something changed it after ADD; DEL and ADD the container again")
}

/// The result of ADD that CHECK is given.
///
/// # Errors
/// Code 7 when there is none.
pub fn prev_result(call: &Call) -> Result<AddResult, Error> {
    call.config.prev_result()?.ok_or_else(|| {
        Error::new(code::INVALID_CONFIG, "required prevResult missing")
            .with_hint("CHECK needs the result of ADD in \"prevResult\"")
    })
}

/// The container's link, with the kind and the address that were promised; none, and an empty
/// address, promise nothing.
///
/// # Errors
/// Code 101 with the first difference.
pub fn link(
    inside: &Socket,
    ifname: &IfName,
    (kind, mac): (Option<&str>, &str),
) -> Result<Link, Error> {
    let link = link::find(inside, ifname).map_err(|e| refused(&e))?;
    let place = inside.place();
    let link = link.ok_or_else(|| differs(format!("link {ifname} is missing in {place}")))?;
    if let Some(kind) = kind.filter(|kind| !link.is_kind(kind)) {
        return Err(differs(format!("link {ifname} in {place} is no {kind}")));
    }
    let there = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
    if !mac.is_empty() && !there.eq_ignore_ascii_case(mac) {
        let text = format!("link {ifname} in {place} has address {there}, promised {mac}");
        return Err(differs(text));
    }
    Ok(link)
}

/// Claims that the container's link is up.
///
/// # Errors
/// Code 101.
pub fn is_up(link: &Link, inside: &Socket) -> Result<(), Error> {
    match link.is_up() {
        true => Ok(()),
        false => Err(differs(format!("link {} in {} is down", link.dev.name, inside.place()))),
    }
}

/// The interface of `result` named `ifname` in `sandbox`; both paths may lead to one namespace in
/// two ways (`/run` and `/var/run`).
///
/// # Errors
/// Code 101 when the result has none.
pub fn promised_interface<'a>(
    result: &'a AddResult,
    ifname: &str,
    sandbox: &str,
) -> Result<(usize, &'a Interface), Error> {
    let one_place = |path: &str| {
        path == sandbox || {
            let real = |p: &str| std::fs::canonicalize(p).ok();
            real(path).is_some_and(|p| Some(p) == real(sandbox))
        }
    };
    result
        .interfaces
        .iter()
        .enumerate()
        .find(|(_, link)| {
            link.name == ifname && !link.sandbox.is_empty() && one_place(&link.sandbox)
        })
        .ok_or_else(|| differs(format!("prevResult has no interface {ifname} in {sandbox}")))
}

/// Compares the addresses of interface number `index` in `result` with those of `dev`.
///
/// # Errors
/// Code 101 naming the missing address.
pub fn addresses(
    socket: &Socket,
    dev: &Dev,
    result: &AddResult,
    index: usize,
) -> Result<(), Error> {
    let there = addr::list(socket, dev).map_err(|e| refused(&e))?;
    for ip in result.ips.iter().filter(|ip| ip.interface == Some(index)) {
        if !there.iter().any(|found| found.cidr == ip.address) {
            return Err(differs(format!("address {} is missing on {dev}", ip.address)));
        }
    }
    Ok(())
}

/// Compares the routes of `result` with those of the namespace, in whatever table they are. A
/// default route counts by destination alone.
///
/// # Errors
/// Code 101 naming the missing route.
pub fn routes(socket: &Socket, result: &AddResult) -> Result<(), Error> {
    if result.routes.is_empty() {
        return Ok(());
    }
    let there = route::list(socket, Filter::default()).map_err(|e| refused(&e))?;
    for wanted in &result.routes {
        let dst = wanted.dst.network();
        let found = there.iter().any(|route| {
            route.dst == dst && (dst.is_default() || wanted.gw.is_none() || route.gw == wanted.gw)
        });
        if !found {
            let via = wanted.gw.map(|gw| format!(" via {gw}")).unwrap_or_default();
            return Err(differs(format!("route {dst}{via} is missing")));
        }
    }
    Ok(())
}
