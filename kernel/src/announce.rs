//! Telling neighbours that an address has (again) a new Ethernet address behind it.
//!
//! Two ways. [`by_kernel`] makes the kernel announce every address of a link, in one netlink
//! message. [`gratuitous_arp`] and [`unsolicited_na`] send one frame for one address; closing a
//! packet socket waits for an RCU grace period (`packet_release`; up to 20 ms at HZ=250), which is
//! why the first way is for plugins and the second for daemons.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use types::MacAddr;

use crate::link::{Dev, set};
use crate::netlink::{Action, Request};
use crate::sys;

/// A frame that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("announce {ip} on {link}: {source}")]
pub struct AnnounceError {
    /// The address.
    pub ip: std::net::IpAddr,
    /// The link.
    pub link: String,
    /// Why.
    pub source: io::Error,
}

/// The request that makes the kernel announce the addresses of `dev`, whose Ethernet address is
/// `mac`: IPv4 by gratuitous ARP where the link's `arp_notify` is set, IPv6 by unsolicited
/// neighbour advertisements where `ndisc_notify` is set.
///
/// It sets the Ethernet address to what it is, which the kernel takes for a change
/// (`NETDEV_CHANGEADDR` in `net/ipv4/devinet.c` and `net/ipv6/ndisc.c`). Send it when the link is
/// operational, else the frames are lost.
#[must_use]
pub fn by_kernel(dev: &Dev, mac: MacAddr) -> Request {
    set(dev).mac(mac).request().acting(Action::Announce { link: dev.name.clone() })
}

/// Sends one ARP announcement (RFC 5227 §2.3): a request for `ip` by `ip`.
///
/// # Errors
/// [`AnnounceError`]: `CAP_NET_RAW` is needed; the link must be up.
pub fn gratuitous_arp(dev: &Dev, mac: MacAddr, ip: Ipv4Addr) -> Result<(), AnnounceError> {
    sys::send_frame(dev.index, &arp_frame(mac, ip)).map_err(|source| AnnounceError {
        ip: ip.into(),
        link: dev.name.clone(),
        source,
    })
}

/// Sends one unsolicited neighbour advertisement (RFC 4861 §7.2.6) for `ip` to all nodes, with
/// the override flag, so that caches take it over.
///
/// # Errors
/// [`AnnounceError`]: `CAP_NET_RAW` is needed; the link must be up.
pub fn unsolicited_na(dev: &Dev, mac: MacAddr, ip: Ipv6Addr) -> Result<(), AnnounceError> {
    sys::send_frame(dev.index, &na_frame(mac, ip)).map_err(|source| AnnounceError {
        ip: ip.into(),
        link: dev.name.clone(),
        source,
    })
}

/// Ethernet header and ARP packet (RFC 826).
fn arp_frame(mac: MacAddr, ip: Ipv4Addr) -> Vec<u8> {
    const ETHERNET_IPV4_REQUEST: [u8; 8] = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
    let mut frame = Vec::with_capacity(42);
    frame.extend([0xff; 6]);
    frame.extend(mac.bytes());
    frame.extend([0x08, 0x06]);
    frame.extend(ETHERNET_IPV4_REQUEST);
    frame.extend(mac.bytes());
    frame.extend(ip.octets());
    frame.extend([0; 6]);
    frame.extend(ip.octets());
    frame
}

/// Ethernet header, IPv6 header, neighbour advertisement with the target's Ethernet address.
fn na_frame(mac: MacAddr, ip: Ipv6Addr) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
    const ICMPV6: u8 = 58;
    const OVERRIDE: u8 = 0x20;
    let mut icmp = vec![136, 0, 0, 0, OVERRIDE, 0, 0, 0];
    icmp.extend(ip.octets());
    icmp.extend([2, 1]); // option: target link-layer address, in units of eight bytes
    icmp.extend(mac.bytes());
    let length = icmp.len() as u16;

    let mut pseudo_header = Vec::with_capacity(40 + icmp.len());
    pseudo_header.extend(ip.octets());
    pseudo_header.extend(ALL_NODES.octets());
    pseudo_header.extend(u32::from(length).to_be_bytes());
    pseudo_header.extend([0, 0, 0, ICMPV6]);
    pseudo_header.extend(&icmp);
    icmp[2..4].copy_from_slice(&checksum(&pseudo_header).to_be_bytes());

    let mut frame = Vec::with_capacity(14 + 40 + icmp.len());
    frame.extend(ALL_NODES_MAC);
    frame.extend(mac.bytes());
    frame.extend([0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([ICMPV6, 255]); // RFC 4861: receivers drop any other hop limit
    frame.extend(ip.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(icmp);
    frame
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 1071 §3: the sum of these words is ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[1]), !0x0100);
    }
}
