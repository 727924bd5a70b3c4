//! Who asks for one name until the right answer comes.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kernel::netns::Netns;

use super::message;
use crate::isolation::Container;

/// After how long without an answer it asks again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a name may take to be found.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket in a container, towards one server.
pub(super) struct Asker {
    socket: UdpSocket,
}

impl Asker {
    /// In `container`.
    pub(super) fn new(container: &Container, server: SocketAddr) -> Result<Asker> {
        let bind = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(AGAIN))?;
            Ok(socket)
        };
        let socket = Netns::open(&container.path)?.run(bind)?.context("make the asker's socket")?;
        Ok(Asker { socket })
    }

    /// Asks for `name` until it has this address.
    ///
    /// # Errors
    /// When that takes longer than [`PATIENCE`].
    pub(super) fn must_find(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        let begun = Instant::now();
        let mut buffer = [0; 1500];
        let question = message::question(name);
        let mut last = None;
        while last != Some(address) {
            let waited = begun.elapsed();
            ensure!(waited < PATIENCE, "{name} should be {address} but is {last:?}");
            // Where nobody listens yet, one of both says so. A late answer to an earlier question is
            // as good, since no two containers had this address.
            let _ = self.socket.send(&question);
            if let Ok(length) = self.socket.recv(&mut buffer) {
                last = message::address(&buffer[..length]);
            }
        }
        Ok(())
    }
}
