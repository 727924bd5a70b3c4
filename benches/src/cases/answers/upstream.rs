//! Whom the servers ask what is no name of theirs: a machine of its own on a wire, where everything
//! has an address.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kernel::netns::Netns;

use super::message;
use crate::host::Host;
use crate::isolation::Container;

/// Where it is asked, at port 53.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The address of every name.
pub(super) const ANSWER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// What names begin with that may be kept for [`KEPT`] seconds; others may not be kept at all.
pub(super) const KEPT_LETTER: char = 'c';
const KEPT: u32 = 300;

/// It answers until this process ends.
pub(super) struct Upstream {
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    /// Makes the machine and a wire to it from `host`.
    pub(super) fn beside(host: &Host) -> Result<Upstream> {
        let machine = Container::new(&format!("{}-u", host.namespace.name))?;
        let wire = format!("ip link add up0 type veth peer name eth0 netns {}", machine.name);
        host.namespace.run(&wire)?;
        host.namespace.run(&format!("ip address add {HOST_ADDRESS}/24 dev up0"))?;
        host.namespace.run("ip link set up0 up")?;
        machine.run(&format!("ip address add {ADDRESS}/24 dev eth0"))?;
        machine.run("ip link set eth0 up")?;
        let socket = Netns::open(&machine.path)?
            .run(|| UdpSocket::bind((ADDRESS, 53)))?
            .context("listen where servers ask")?;
        let asked = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || answer(&socket, &counter));
        Ok(Upstream { asked })
    }

    /// How many questions came in so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(socket: &UdpSocket, asked: &AtomicUsize) {
    let mut buffer = [0; 1500];
    loop {
        // An error is one that an earlier reply met, and gone with the next call.
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        asked.fetch_add(1, Ordering::Relaxed);
        let query = &buffer[..length];
        let is_kept = message::first_letter(query) == Some(KEPT_LETTER as u8);
        let ttl = if is_kept { KEPT } else { 0 };
        if let Some(reply) = message::reply(query, ANSWER, ttl) {
            // Who is gone has no use for it.
            let _ = socket.send_to(&reply, client);
        }
    }
}
