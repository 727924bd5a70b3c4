//! Ethernet frames around DHCP messages: written by hand, since a link has no address yet when it
//! begins to ask for one (RFC 2131 §4.1).

use std::net::Ipv4Addr;

use types::MacAddr;

/// Port of servers and relays.
const SERVER: u16 = 67;
/// Port of clients.
pub(crate) const CLIENT: u16 = 68;

/// Everybody on the wire.
pub(crate) const ALL: MacAddr = MacAddr::from_bytes([0xff; 6]);

/// Between whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The client's Ethernet address.
    pub(crate) from_mac: MacAddr,
    /// The client's address, if it has one already.
    pub(crate) from: Ipv4Addr,
    /// Who takes the frame off the wire.
    pub(crate) to_mac: MacAddr,
    /// Who it is for.
    pub(crate) to: Ipv4Addr,
}

impl Way {
    /// From somebody without an address to everybody.
    #[must_use]
    pub(crate) fn to_all(from_mac: MacAddr) -> Self {
        Self { from_mac, from: Ipv4Addr::UNSPECIFIED, to_mac: ALL, to: Ipv4Addr::BROADCAST }
    }
}

const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const IPV4: [u8; 2] = [0x08, 0x00];
const UDP: u8 = 17;

/// The frame of a client's `message`.
#[must_use]
pub(crate) fn encode(way: &Way, message: &[u8]) -> Vec<u8> {
    let udp_length = (UDP_BYTES + message.len()) as u16;
    let mut ip = Vec::with_capacity(IP_BYTES);
    ip.extend([0x45, 0x10]); // low delay, as other clients have it
    ip.extend((IP_BYTES as u16 + udp_length).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, UDP, 0, 0]); // no fragments; 64 hops
    ip.extend(way.from.octets());
    ip.extend(way.to.octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    let mut udp = Vec::with_capacity(UDP_BYTES);
    udp.extend(CLIENT.to_be_bytes());
    udp.extend(SERVER.to_be_bytes());
    udp.extend(udp_length.to_be_bytes());
    udp.extend([0, 0]);
    let [high, low] = udp_length.to_be_bytes();
    let pseudo_header = [0, UDP, high, low];
    let sum = match checksum(&[&ip[12..], &pseudo_header, &udp, message]) {
        0 => 0xffff, // zero would say that there is none
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());

    let mut frame = Vec::with_capacity(ETHERNET_BYTES + IP_BYTES + usize::from(udp_length));
    frame.extend(way.to_mac.bytes());
    frame.extend(way.from_mac.bytes());
    frame.extend(IPV4);
    frame.extend(ip);
    frame.extend(udp);
    frame.extend(message);
    frame
}

/// What a frame to a client carries, and the Ethernet address it came from; `None` for others.
///
/// The checksum of UDP is not looked at: between containers of one host it is left to a network
/// card that none of them has.
#[must_use]
pub(crate) fn decode(frame: &[u8]) -> Option<(MacAddr, &[u8])> {
    let (ethernet, packet) = frame.split_at_checked(ETHERNET_BYTES)?;
    let sender = MacAddr::from_bytes(*ethernet[6..].first_chunk()?);
    let header_bytes = usize::from(packet.first()? & 0xf) * 4;
    let length = u16::from_be_bytes(*packet.get(2..)?.first_chunk()?);
    // Short frames are padded.
    let packet = packet.get(..length.into())?;
    if ethernet[12..] != IPV4 || packet[0] >> 4 != 4 || header_bytes < IP_BYTES {
        return None;
    }
    let (ip, datagram) = packet.split_at_checked(header_bytes)?;
    let is_whole = ip[6] & 0x3f == 0 && ip[7] == 0;
    if ip[9] != UDP || !is_whole || checksum(&[ip]) != 0 {
        return None;
    }
    let (udp, message) = datagram.split_at_checked(UDP_BYTES)?;
    let ports = [u16::from_be_bytes([udp[0], udp[1]]), u16::from_be_bytes([udp[2], udp[3]])];
    (ports == [SERVER, CLIENT]).then_some((sender, message))
}

/// The Internet checksum (RFC 1071) of all parts but the last of which have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
