//! Addresses and routes inside the container. The calling thread is in its namespace.

use std::time::{Duration, Instant};

use cni::{AddResult, Error, Ip, Route, code};
use kernel::addr::{self, Addr, Dad, PrefixRoute};
use kernel::link::{self, Dev};
use kernel::netlink::{Request, Socket};
use kernel::route;
use kernel::sysctl::Key;
use types::{Family, IfName};

use crate::error::refused;

/// Lets neighbours learn of a link's addresses when it comes up; kernels without a switch do without.
pub fn announce_when_up(ifname: &IfName) {
    let _ = Key::conf_v4(ifname, "arp_notify").write("1");
    let _ = Key::conf_v6(ifname, "ndisc_notify").write("1");
}

/// How long the kernel may look for duplicates of IPv6 addresses.
const DAD_DEADLINE: Duration = Duration::from_secs(5);

/// How a link is given its addresses.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Whether duplicates are looked for.
    pub dad: Dad,
    /// Whether the kernel makes a route to each address's subnet, as if all of it were on the link.
    pub prefix_route: PrefixRoute,
    /// Routes that those of the result stand on.
    pub before: Vec<route::Route>,
}

impl From<Dad> for Manner {
    /// As on a link whose neighbours have addresses of the same subnets.
    fn from(dad: Dad) -> Self {
        Self { dad, prefix_route: PrefixRoute::Make, before: Vec::new() }
    }
}

/// Sets the link up with the addresses of `result` that belong to it (index `interface`), then
/// makes its routes: one batch, in this order, since the addresses of a link that comes up are
/// announced (`arp_notify`) and routes need a link that is up.
///
/// # Errors
/// Code 7 for an address of another interface; code 5 or 11 with the kernel's words.
pub fn configure(
    socket: &Socket,
    dev: &Dev,
    ifname: &IfName,
    result: &AddResult,
    manner: impl Into<Manner>,
) -> Result<(), Error> {
    let Manner { dad, prefix_route, before } = manner.into();
    let has_v6 = result.ips.iter().any(|ip| ip.address.family() == Family::V6);
    if has_v6 {
        allow_ipv6(ifname)?;
    }
    let addr = |ip: &Ip| Addr::new(ip.address).dad(dad).prefix_route(prefix_route);
    let mut requests: Vec<Request> = result.ips.iter().map(|ip| addr::add(dev, addr(ip))).collect();
    requests.push(link::set(dev).up().request());
    let wait = has_v6 && dad == Dad::Detect;
    // A container's second network may have a default route as well.
    let wanted = || result.routes.iter().map(|r| route_of(r, dev, result).prepend());
    let routes = || before.iter().map(route::Route::prepend).chain(wanted());
    if !wait {
        requests.extend(routes());
        return socket.run_all(&requests).map_err(|e| refused(&e));
    }
    socket.run_all(&requests).map_err(|e| refused(&e))?;
    settle(socket, dev)?;
    socket.run_all(&routes().collect::<Vec<_>>()).map_err(|e| refused(&e))
}

/// The kernel's form of a route of a result.
#[must_use]
pub fn route_of(wanted: &Route, dev: &Dev, result: &AddResult) -> route::Route {
    let family = wanted.dst.family();
    let first_gateway = || {
        let mut gateways = result.ips.iter().filter_map(|ip| ip.gateway);
        gateways.find(|gw| Family::of(*gw) == family)
    };
    let given = |number: u32| (number != 0).then_some(number);
    let mut route = route::Route::to(wanted.dst).dev(dev);
    route.gw = wanted.gw.or_else(first_gateway);
    route.metric = given(wanted.priority);
    route.mtu = given(wanted.mtu);
    route.advmss = given(wanted.advmss);
    route.table = wanted.table.unwrap_or(route::MAIN);
    // Global unless said otherwise, also without a next hop, as the reference has it.
    route.scope = Some(u8::try_from(wanted.scope.unwrap_or(0)).unwrap_or(0));
    route
}

/// IPv6 addresses need IPv6 on the link, and should outlive the link's going down.
fn allow_ipv6(ifname: &IfName) -> Result<(), Error> {
    let failed = |e: kernel::sysctl::SysctlError| {
        Error::new(code::IO, e.to_string()).with_hint(
            "IPv6 is off on this host or in this namespace; give the network no IPv6 range",
        )
    };
    let lo: IfName = "lo".parse().expect("lo is an interface name");
    for link in [&lo, ifname] {
        let disabled = Key::conf_v6(link, "disable_ipv6");
        if disabled.read().is_ok_and(|value| value != "0") {
            disabled.write("0").map_err(failed)?;
        }
    }
    Key::conf_v6(ifname, "keep_addr_on_down").write("1").map_err(failed)
}

/// Twice the same route is one; the kernel would refuse the second.
pub fn dedup(routes: &mut Vec<Route>) {
    let mut seen: Vec<Route> = Vec::new();
    routes.retain(|route| {
        let new = !seen.contains(route);
        seen.push(route.clone());
        new
    });
}

/// Waits until no IPv6 address of the link is tentative any more. Without a carrier nobody can be
/// asked: the kernel does so when there is one.
fn settle(socket: &Socket, dev: &Dev) -> Result<(), Error> {
    let deadline = Instant::now() + DAD_DEADLINE;
    loop {
        let addrs = addr::list(socket, dev).map_err(|e| refused(&e))?;
        if let Some(duplicate) = addrs.iter().find(|a| a.is_duplicate()) {
            let text = format!("add address {} on {dev}: another host has it", duplicate.cidr);
            return Err(Error::new(code::EXHAUSTED, text)
                .with_hint("find the other owner, or exclude the address from the range"));
        }
        if !addrs.iter().any(addr::Found::is_tentative) {
            return Ok(());
        }
        if !link::get(socket, dev).map_err(|e| refused(&e))?.has_carrier() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let text = format!("addresses of {dev} are still being probed after 5 s");
            return Err(Error::new(code::TRY_AGAIN, text));
        }
        addr::wait_for_change(socket, dev, deadline).map_err(|e| refused(&e))?;
    }
}
