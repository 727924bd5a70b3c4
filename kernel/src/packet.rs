//! Packet sockets, as in packet(7): frames of one link with their Ethernet headers, for protocols
//! that are spoken before a link has an address.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};

use crate::sys;

/// A socket on one link that never waits. It keeps its namespace alive.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

/// Longest frame that is heard, in bytes: what leaves an Ethernet link of the usual MTU.
const MOST_BYTES: usize = 1514;

impl PacketSocket {
    /// Opens one on the link with `index` in the calling thread's namespace. It hears UDP over IPv4
    /// to `port` and nothing else; fragments are left out.
    ///
    /// # Errors
    /// Of the system: `CAP_NET_RAW` is needed.
    pub fn open_udp(index: u32, port: u16) -> io::Result<Self> {
        let socket = sys::packet_socket()?;
        // Before it hears anything at all.
        sys::attach_filter(socket.as_fd(), &mut udp_to(port))?;
        sys::bind_packet_socket(socket.as_fd(), libc::ETH_P_IP, index)?;
        Ok(Self { socket })
    }

    /// Sends one frame, its header included.
    ///
    /// # Errors
    /// Of the system: `ENETDOWN` when the link is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// The next frame that was heard, cut where it is longer than 1514 bytes; `None` when there is
    /// none.
    ///
    /// # Errors
    /// Of the system: `ENETDOWN` when the link went down.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut frame = Vec::with_capacity(MOST_BYTES);
        match sys::receive_now(self.socket.as_fd(), &mut frame) {
            Ok(_) => Ok(Some(frame)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What `tcpdump -dd 'ip and udp dst port <port>'` prints for Ethernet, in the order of tests.
fn udp_to(port: u16) -> [libc::sock_filter; 11] {
    const HALF_AT: u16 = 0x28; // ldh [k]
    const BYTE_AT: u16 = 0x30; // ldb [k]
    const HEADER_AT: u16 = 0xb1; // ldxb 4*([k]&0xf)
    const HALF_BEHIND: u16 = 0x48; // ldh [x + k]
    const EQUALS: u16 = 0x15; // jeq #k
    const HAS: u16 = 0x45; // jset #k
    const RETURN: u16 = 0x06; // ret #k
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let jump = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [
        step(HALF_AT, 12), // EtherType
        jump(EQUALS, 0, 8, libc::ETH_P_IP as u32),
        step(BYTE_AT, 23), // protocol
        jump(EQUALS, 0, 6, libc::IPPROTO_UDP as u32),
        step(HALF_AT, 20), // offset of a fragment
        jump(HAS, 4, 0, 0x1fff),
        step(HEADER_AT, 14),
        step(HALF_BEHIND, 16), // destination port
        jump(EQUALS, 0, 1, port.into()),
        step(RETURN, 0xffff),
        step(RETURN, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_the_one_of_tcpdump() {
        // tcpdump -dd -y EN10MB 'ip and udp dst port 68' (4.99), without its snapshot length.
        let expected: [(u16, u8, u8, u32); 11] = [
            (0x28, 0, 0, 0x0c),
            (0x15, 0, 8, 0x800),
            (0x30, 0, 0, 0x17),
            (0x15, 0, 6, 0x11),
            (0x28, 0, 0, 0x14),
            (0x45, 4, 0, 0x1fff),
            (0xb1, 0, 0, 0x0e),
            (0x48, 0, 0, 0x10),
            (0x15, 0, 1, 0x44),
            (0x06, 0, 0, 0xffff),
            (0x06, 0, 0, 0),
        ];
        let program = udp_to(68).map(|step| (step.code, step.jt, step.jf, step.k));
        assert_eq!(program, expected);
    }
}
