//! What the messages of all of netfilter's subsystems share (`linux/netfilter/nfnetlink.h`).

use super::encoder::Encoder;

/// `struct nfgenmsg`, with which each body begins.
pub(crate) const HEADER_BYTES: usize = 4;

/// A message's number within netlink: subsystem (`NFNL_SUBSYS_*`) and verb.
pub(crate) const fn message(subsystem: u16, verb: u16) -> u16 {
    (subsystem << 8) | verb
}

/// The beginning of a body: address family, version 0, no resource.
pub(crate) fn header(family: u8) -> Encoder {
    Encoder::after(&[family, 0, 0, 0])
}

/// The same for where a batch begins or ends: its resource is the subsystem.
pub(crate) fn batch_header(subsystem: u16) -> Encoder {
    let [high, low] = subsystem.to_be_bytes();
    Encoder::after(&[0, 0, high, low])
}
