//! The two ends against what ADD promised. Addresses of the host's end may change (udev), and a
//! packet capture may set it promiscuous: neither keeps the attachment from working.

use attach::error::refused;
use attach::verify::differs;
use cni::Error;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use types::IfName;

/// The container's end, which the thread of `inside` sees, with the address that was promised.
///
/// # Errors
/// Code 101 with the first difference.
pub fn container_end(inside: &Socket, ifname: &IfName, promised_mac: &str) -> Result<Link, Error> {
    let link = link::find(inside, ifname).map_err(|e| refused(&e))?;
    let place = inside.place();
    let link = link.ok_or_else(|| differs(format!("link {ifname} is missing in {place}")))?;
    if !link.is_kind("veth") {
        return Err(differs(format!("link {ifname} in {place} is no veth")));
    }
    let mac = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
    if !promised_mac.is_empty() && !mac.eq_ignore_ascii_case(promised_mac) {
        let text = format!("link {ifname} in {place} has address {mac}, promised {promised_mac}");
        return Err(differs(text));
    }
    Ok(link)
}

/// Claims that the container's end is up.
///
/// # Errors
/// Code 101.
pub fn is_up(container: &Link, inside: &Socket) -> Result<(), Error> {
    match container.is_up() {
        true => Ok(()),
        false => Err(differs(format!("link {} in {} is down", container.dev.name, inside.place()))),
    }
}

/// The host's end of the pair that `container` belongs to.
///
/// # Errors
/// Code 101 when there is none.
pub fn host_end(host: &Socket, container: &Link) -> Result<Link, Error> {
    let peer = match container.link {
        Some(index) => link::find(host, index).map_err(|e| refused(&e))?,
        None => None,
    };
    peer.ok_or_else(|| differs(format!("the host's end of {} is missing", container.dev)))
}
