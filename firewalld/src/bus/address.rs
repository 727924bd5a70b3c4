//! Where the system bus listens: "Server Addresses" in the D-Bus specification.

use std::env;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::Failure;

/// Where it is unless told otherwise.
const DEFAULT: &str = "unix:path=/run/dbus/system_bus_socket";
/// Tells otherwise, to every client of the system bus.
const VARIABLE: &str = "DBUS_SYSTEM_BUS_ADDRESS";

/// The address of the system bus: one, or more of them to be tried in turn.
pub(crate) fn system_address() -> String {
    match env::var_os(VARIABLE) {
        Some(given) if !given.is_empty() => given.to_string_lossy().into_owned(),
        _ => DEFAULT.to_owned(),
    }
}

/// A local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A file.
    Path(Vec<u8>),
    /// A name in the network namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

impl Address {
    /// Connects, giving up with `EAGAIN` after `limit`: a socket whose queue is full makes us wait.
    pub(crate) fn connect(&self, limit: Duration) -> nix::Result<UnixStream> {
        let address = match self {
            Self::Path(path) => UnixAddr::new(path.as_slice())?,
            Self::Abstract(name) => UnixAddr::new_abstract(name)?,
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        // Where it is not known yet whom to send to, it limits connect(2), see socket(7).
        let limit = TimeVal::new(
            limit.as_secs().try_into().unwrap_or(i64::MAX),
            limit.subsec_micros().into(),
        );
        setsockopt(&socket, sockopt::SendTimeout, &limit)?;
        connect(socket.as_raw_fd(), &address)?;
        Ok(UnixStream::from(socket))
    }
}

/// Reads a list of addresses.
pub(crate) fn addresses(text: &str) -> Result<Vec<Address>, Failure> {
    let given = text.split(';').filter(|one| !one.is_empty());
    let found: Option<Vec<Address>> = given.map(parse).collect();
    match found {
        Some(found) if !found.is_empty() => Ok(found),
        _ => Err(Failure::Address(text.to_owned())),
    }
}

/// `unix:path=…` or `unix:abstract=…`; other keys, such as `guid`, may follow.
fn parse(text: &str) -> Option<Address> {
    text.strip_prefix("unix:")?.split(',').find_map(|pair| match pair.split_once('=')? {
        ("path", value) => Some(Address::Path(unescaped(value)?)),
        ("abstract", value) => Some(Address::Abstract(unescaped(value)?)),
        _ => None,
    })
}

/// The bytes that `value` stands for; `%20` is a blank. `None` for what no socket is called.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut bytes = value.bytes();
    let mut unescaped = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        unescaped.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    (!unescaped.is_empty() && !unescaped.contains(&0)).then_some(unescaped)
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_libdbus_reads_them() {
        let path = |path: &str| Address::Path(path.as_bytes().to_owned());
        assert_eq!(addresses(DEFAULT).unwrap(), [path("/run/dbus/system_bus_socket")]);
        assert_eq!(
            addresses("unix:path=/a%20b,guid=00;unix:guid=0,abstract=x").unwrap(),
            [path("/a b"), Address::Abstract(b"x".to_vec())]
        );
        for wrong in
            ["", ";", "tcp:host=a", "unix:dir=/tmp", "unix:path=", "unix:path=%0", "unix:path=%00"]
        {
            assert!(matches!(addresses(wrong), Err(Failure::Address(_))), "{wrong:?}");
        }
    }
}
