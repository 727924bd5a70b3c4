//! The host's end against what ADD promised. Its address may change (udev), and a packet capture may
//! set it promiscuous: neither keeps the attachment from working.

use attach::error::refused;
use attach::verify::differs;
use cni::Error;
use kernel::link::{self, Link};
use kernel::netlink::Socket;

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
