//! The link `lo`, which every network namespace has and which is down in a new one.

use cni::{AddResult, Call, Error, Interface, Ip, code};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::{RequestError, addr};
use types::{Cidr, Family, IfName};

use crate::error::{no_netns, refused};
use crate::steps;
use crate::verify::differs;

/// Its name. The kernel gives it no other, so `CNI_IFNAME` does not count here.
pub const NAME: &str = "lo";

/// Code of an error of ADD: `lo` has an address that is not a loopback one.
pub const FOREIGN_ADDRESS: u32 = 102;

/// Moves the calling thread into the container's namespace, for good, and opens a socket there.
///
/// # Errors
/// Code 4 when `CNI_NETNS` leads to no namespace, code 5 when it cannot be entered.
pub fn enter(call: &Call) -> Result<Socket, Error> {
    let path = call.netns.clone().unwrap_or_default();
    let netns = Netns::open(path).map_err(|e| no_netns(&e))?;
    enter_opened(&netns)
}

/// As [`enter`], for DEL: `None` when the namespace is gone, and `lo` with it.
///
/// # Errors
/// Code 5 when it is there and cannot be entered.
pub fn enter_if_there(call: &Call) -> Result<Option<Socket>, Error> {
    let Some(path) = &call.netns else { return Ok(None) };
    match Netns::open(path) {
        Ok(netns) => enter_opened(&netns).map(Some),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(no_netns(&error)),
    }
}

/// Sets `lo` up and returns its addresses, which the kernel gives it then. An `lo` that is refused
/// is left as it was.
///
/// # Errors
/// Code 102 when one of the addresses is not a loopback one, else what the kernel said.
pub fn set_up(socket: &Socket) -> Result<Vec<Cidr>, Error> {
    let lo = find(socket).map_err(|e| refused(&e))?;
    let step = "set lo up";
    let before = addresses(socket, &lo, step)?;
    if lo.is_up() {
        return Ok(before);
    }
    steps::run(|undo| {
        socket.run(&link::set(&lo).up().request()).map_err(|e| refused(&e))?;
        let down = link::set(&lo).down().request();
        undo.push("set lo down", move || Ok(socket.run(&down)?));
        addresses(socket, &lo, step)
    })
}

/// Sets `lo` down. The kernel takes `::1` away then and keeps `127.0.0.1`, which nobody can use.
///
/// # Errors
/// What the kernel said.
pub fn set_down(socket: &Socket) -> Result<(), Error> {
    socket.run(&link::set(&name()).down().request()).map_err(|e| refused(&e))
}

/// Whether `lo` is up and has loopback addresses only, for CHECK.
///
/// # Errors
/// Code 101 when it is down, or with the address that should not be there.
pub fn check(socket: &Socket) -> Result<(), Error> {
    let lo = check_up(socket)?;
    addresses(socket, &lo, "check lo").map(drop).map_err(|error| match error.code {
        FOREIGN_ADDRESS => Error { code: code::DIFFERS, ..error },
        _ => error,
    })
}

/// Whether `lo` is up, for CHECK.
///
/// # Errors
/// Code 101 when it is down.
pub fn check_up(socket: &Socket) -> Result<Link, Error> {
    let lo = find(socket).map_err(|e| refused(&e))?;
    if lo.is_up() {
        return Ok(lo);
    }
    // The reference's words first: people search for them.
    Err(differs(format!("loopback interface is down: lo in {}", socket.place())))
}

/// Whether the kernel answers at all, for STATUS: in the namespace of the calling thread.
///
/// # Errors
/// Code 50.
pub fn status() -> Result<(), Error> {
    let answered = Socket::open("the host's namespace").and_then(|socket| find(&socket));
    answered.map(drop).map_err(|e| refused(&e).unavailable())
}

/// `lo` as a result tells it: with its first address of each family.
#[must_use]
pub fn result(addresses: &[Cidr], sandbox: String) -> AddResult {
    let first = |family| addresses.iter().copied().find(|address| address.family() == family);
    let ips = [Family::V4, Family::V6].into_iter().filter_map(first);
    AddResult {
        interfaces: vec![Interface {
            name: NAME.to_owned(),
            mac: "00:00:00:00:00:00".to_owned(),
            sandbox,
            ..Interface::default()
        }],
        ips: ips.map(|address| Ip { interface: Some(0), address, gateway: None }).collect(),
        ..AddResult::default()
    }
}

fn enter_opened(netns: &Netns) -> Result<Socket, Error> {
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    Socket::open(netns.path().to_string_lossy()).map_err(|e| refused(&e))
}

fn find(socket: &Socket) -> Result<Link, RequestError> {
    link::get(socket, &name())
}

fn addresses(socket: &Socket, lo: &Link, step: &str) -> Result<Vec<Cidr>, Error> {
    let found = addr::list(socket, &lo.dev).map_err(|e| refused(&e))?;
    let addresses: Vec<Cidr> = found.into_iter().map(|found| found.cidr).collect();
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        None => Ok(addresses),
        Some(foreign) => Err(Error::new(
            FOREIGN_ADDRESS,
            format!(
                "{step} in {}: loopback interface found with non-loopback address \"{}\"",
                socket.place(),
                foreign.ip()
            ),
        )
        .with_hint(format!("take it away: `ip addr del {foreign} dev lo` in that namespace"))),
    }
}

fn name() -> IfName {
    NAME.parse().expect("lo is an interface name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_the_first_address_of_each_family_and_ipv4_first() {
        let all = ["::1/128", "127.0.0.1/8", "127.0.0.2/8"].map(|text| text.parse().unwrap());
        let result = result(&all, "/ns".into());
        let shown: Vec<_> = result.ips.iter().map(|ip| ip.address.to_string()).collect();
        assert_eq!(shown, ["127.0.0.1/8", "::1/128"]);
        assert!(result.interface("lo", "/ns").is_some());
    }
}
