//! Who listens on the host (sock_diag(7)), as ss(8) tells it: a published port must not take the
//! traffic of a program that is there already.
//!
//! ```no_run
//! use kernel::listeners::{listeners, owner_of};
//! use kernel::netlink::Socket;
//! use types::Family;
//!
//! const TCP: u8 = 6;
//! let socket = Socket::open_sock_diag("the host's namespace")?;
//! let wanted = [192, 0, 2, 1].into();
//! for listener in listeners(&socket, TCP, Family::V4)? {
//!     if listener.port == 80 && listener.serves(wanted) {
//!         println!("taken by {:?}", owner_of(listener.inode));
//!     }
//! }
//! # Ok::<(), kernel::RequestError>(())
//! ```

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use types::{Family, canonical};

use crate::addr::family;
use crate::netlink::attributes::{Attribute, Attributes, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, Request, RequestError, Socket};

/// A socket that waits for whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it waits; unspecified (`0.0.0.0`, `::`) for all addresses of the host.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Of an IPv6 socket: that it takes no IPv4 (`IPV6_V6ONLY`).
    pub v6only: bool,
    /// Names the socket on the whole machine until it is closed; for [`owner_of`].
    pub inode: u32,
    /// Who made it, as the caller's user namespace counts.
    pub uid: u32,
}

impl Listener {
    /// Whether what is sent to `address` on the listener's port would reach it. An unspecified
    /// `address` stands for all of its family that the host has.
    #[must_use]
    pub fn serves(&self, address: IpAddr) -> bool {
        let (own, wanted) = (canonical(self.address), canonical(address));
        let all_families = own == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !self.v6only;
        let same_family = own.is_ipv4() == wanted.is_ipv4();
        all_families
            || same_family && (own == wanted || own.is_unspecified() || wanted.is_unspecified())
    }

    /// `None` for what is no socket of either family.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (&message, _) = body.split_first_chunk::<MESSAGE_BYTES>()?;
        let address: IpAddr = match i32::from(message[0]) {
            libc::AF_INET => <[u8; 4]>::try_from(&message[8..12]).ok()?.into(),
            libc::AF_INET6 => <[u8; 16]>::try_from(&message[8..24]).ok()?.into(),
            _ => return None,
        };
        let v6only = |attribute: &Attribute<'_>| attribute.kind == INET_DIAG_SKV6ONLY;
        Some(Self {
            address,
            port: u16::from_be_bytes([message[4], message[5]]),
            v6only: Attributes::after(MESSAGE_BYTES, body)
                .find(v6only)
                .is_some_and(Attribute::switch),
            uid: u32_at(&message, 64)?,
            inode: u32_at(&message, 68)?,
        })
    }
}

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `struct inet_diag_req_v2`
const REQUEST_BYTES: usize = 56;
/// `struct inet_diag_msg`
const MESSAGE_BYTES: usize = 72;
/// `linux/inet_diag.h`: the kernel sends it unasked of what waits.
const INET_DIAG_SKV6ONLY: u16 = 11;
/// States of `net/tcp_states.h`. A UDP socket that is bound and not connected counts as closed.
const TCP_CLOSE: u32 = 7;
const TCP_LISTEN: u32 = 10;

/// The sockets of `family` that wait on a port of `protocol` (`IPPROTO_TCP`, `IPPROTO_UDP` or
/// `IPPROTO_SCTP`) in the namespace of `socket`; none when the kernel has no SCTP.
///
/// A socket of IPv6 may serve IPv4 as well: ask for both families, and for each
/// [`Listener::serves`]. Needs no capability.
///
/// # Errors
/// When they cannot be read, such as without the kernel's module `tcp_diag` or `udp_diag`.
///
/// See sock_diag(7).
pub fn listeners(
    socket: &Socket,
    protocol: u8,
    family: Family,
) -> Result<Vec<Listener>, RequestError> {
    let request = request(protocol, family);
    match socket.dump(&request, Listener::parse) {
        // Who cannot be asked for has no sockets.
        Err(error) if i32::from(protocol) == libc::IPPROTO_SCTP && error.is_missing() => {
            Ok(Vec::new())
        }
        result => result,
    }
}

fn request(protocol: u8, of: Family) -> Request {
    let states: u32 = match i32::from(protocol) {
        libc::IPPROTO_UDP => 1 << TCP_CLOSE,
        _ => 1 << TCP_LISTEN,
    };
    let mut body = [0; REQUEST_BYTES];
    body[0] = family(of);
    body[1] = protocol;
    body[4..8].copy_from_slice(&states.to_ne_bytes());
    let action = Action::Listeners { protocol: name(protocol), family: of };
    Request::new(SOCK_DIAG_BY_FAMILY, 0, Encoder::after(&body), action)
}

fn name(protocol: u8) -> &'static str {
    match i32::from(protocol) {
        libc::IPPROTO_TCP => "tcp",
        libc::IPPROTO_UDP => "udp",
        libc::IPPROTO_SCTP => "sctp",
        _ => "other",
    }
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id in the caller's PID namespace.
    pub pid: u32,
    /// Its name, of at most 15 bytes (proc(5), `comm`).
    pub comm: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.comm)
    }
}

/// Looking through the descriptors of all processes stops after this.
const SEARCH: Duration = Duration::from_secs(1);

/// The first process found to hold the socket `inode`, as far as the caller may look: root sees
/// all processes of its PID namespace, others see their own. Ends after a second.
///
/// Looks at every descriptor of every process, so ask only about what stands in the way.
#[must_use]
pub fn owner_of(inode: u32) -> Option<Process> {
    let deadline = Instant::now() + SEARCH;
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pid = pids
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .take_while(|_| Instant::now() < deadline)
        .find(|&pid| holds(pid, &wanted, deadline))?;
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(Process { pid, comm: comm.trim_end().to_owned() })
}

/// Whether a descriptor of `pid` leads to `wanted`.
fn holds(pid: u32, wanted: &str, deadline: Instant) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .flatten()
        .take_while(|_| Instant::now() < deadline)
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_serves_its_address_and_an_unspecified_one_all_of_its_family() {
        for (own, v6only, wanted, serves) in [
            ("192.0.2.1", false, "192.0.2.1", true),
            ("192.0.2.1", false, "192.0.2.2", false),
            ("192.0.2.1", false, "0.0.0.0", true),
            ("0.0.0.0", false, "192.0.2.1", true),
            ("0.0.0.0", false, "2001:db8::1", false),
            ("192.0.2.1", false, "::", false),
            ("::", false, "192.0.2.1", true),
            ("::", true, "192.0.2.1", false),
            ("::", true, "2001:db8::1", true),
            ("2001:db8::1", true, "::", true),
            ("::ffff:192.0.2.1", false, "192.0.2.1", true),
            ("::ffff:192.0.2.1", false, "192.0.2.2", false),
        ] {
            let listener =
                Listener { address: own.parse().unwrap(), port: 80, v6only, inode: 1, uid: 0 };
            let wanted = wanted.parse().unwrap();
            assert_eq!(listener.serves(wanted), serves, "{own} for {wanted}");
        }
    }
}
