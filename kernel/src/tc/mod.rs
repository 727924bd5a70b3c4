//! Traffic control, as in tc(8): what queues packets of a link, and what sorts them.

mod filter;
mod qdisc;

use std::fmt;

use crate::netlink::attributes::u32_at;
use crate::netlink::encoder::Encoder;

#[cfg(test)]
pub(crate) use filter::list_request;
pub use filter::{End, Filter, Match, filters};
pub use qdisc::{Bucket, Class, Qdisc, Queue, class, qdisc};

/// Names a queue, a class of one, or a place for one: two numbers, as in `1:30`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handle(u32);

impl Handle {
    /// The place of the queue that packets leave by.
    pub const ROOT: Self = Self(u32::MAX);
    /// The place of what packets that arrive pass by.
    pub const INGRESS: Self = Self(0xffff_fff1);

    /// The handle `major:minor`; a queue's own has minor 0.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }

    /// Whether it is none: what a queue has that the kernel chose by itself.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Handle {
    /// As tc(8) writes it, in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ROOT => f.write_str("root"),
            Self::INGRESS => f.write_str("ingress"),
            Self(number) if number & 0xffff == 0 => write!(f, "{:x}:", number >> 16),
            Self(number) => write!(f, "{:x}:{:x}", number >> 16, number & 0xffff),
        }
    }
}

/// `struct tcmsg` of `linux/rtnetlink.h`.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    /// Index of the link.
    link: u32,
    handle: Handle,
    parent: Handle,
    /// Of filters: priority and protocol.
    info: u32,
}

const HEADER_BYTES: usize = 20;

impl Header {
    fn encode(self) -> Encoder {
        let mut header = [0; HEADER_BYTES];
        header[4..8].copy_from_slice(&self.link.to_ne_bytes());
        header[8..12].copy_from_slice(&self.handle.0.to_ne_bytes());
        header[12..16].copy_from_slice(&self.parent.0.to_ne_bytes());
        header[16..].copy_from_slice(&self.info.to_ne_bytes());
        Encoder::after(&header)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        Some(Self {
            link: u32_at(body, 4)?,
            handle: Handle(u32_at(body, 8)?),
            parent: Handle(u32_at(body, 12)?),
            info: u32_at(body, 16)?,
        })
    }
}

/// What a fuzzer may throw at the readers.
pub(crate) fn parse_any(body: &[u8]) {
    let _ = (Qdisc::parse(body), Class::parse(body), Filter::parse(body));
}

/// `linux/rtnetlink.h`.
mod tca {
    pub(super) const KIND: u16 = 1;
    pub(super) const OPTIONS: u16 = 2;
}
