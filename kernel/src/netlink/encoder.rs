//! Builds the body of a request: a fixed header, then attributes (rtattr, see rtnetlink(7)); the
//! counterpart of [`attributes`](super::attributes).

use std::net::IpAddr;

use types::MacAddr;

/// A piece of a message under construction. Each method appends one attribute whose number is
/// `kind`; numbers are native-endian unless the name says otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    /// An attribute is longer than 64 KiB, which its length cannot say.
    overlong: bool,
}

/// Most requests fit without growing.
const ROOM_BYTES: usize = 128;

impl Encoder {
    /// A message that begins with `header`, whose length is a multiple of four.
    pub(crate) fn after(header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ROOM_BYTES);
        bytes.extend_from_slice(header);
        Self { bytes, overlong: false }
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(start);
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    pub(crate) fn u16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number in network order, as ports and ethertypes are.
    pub(crate) fn u16_be(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number in network order, as all of netfilter's are.
    pub(crate) fn u32_be(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A number in network order, as all of netfilter's are.
    pub(crate) fn u64_be(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A switch as the kernel wants it: one byte, 1 for on.
    pub(crate) fn switch(&mut self, kind: u16, on: bool) {
        self.u8(kind, on.into());
    }

    /// A text with its NUL.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.close(start);
    }

    /// An address: 4 or 16 bytes.
    pub(crate) fn ip(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.bytes(kind, &ip.octets()),
            IpAddr::V6(ip) => self.bytes(kind, &ip.octets()),
        }
    }

    pub(crate) fn mac(&mut self, kind: u16, mac: MacAddr) {
        self.bytes(kind, &mac.bytes());
    }

    /// An attribute whose value is what `fill` appends.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.open(kind);
        fill(self);
        self.close(start);
    }

    /// Appends attributes, or a header with its attributes, that were built apart.
    pub(crate) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.overlong |= other.overlong;
    }

    /// Whether nothing was appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The message's body. With an attribute that is too long it is empty, which the kernel
    /// refuses (`EINVAL`), instead of one that says something else.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        if self.overlong { Vec::new() } else { self.bytes }
    }

    /// Appends the header of an attribute and tells where it begins. Its length follows when it
    /// is known.
    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// Fills in the length of the attribute at `start`, and pads to four bytes. The length leaves
    /// the padding out.
    fn close(&mut self, start: usize) {
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.overlong = true,
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{Attribute, Attributes};
    use super::*;

    #[test]
    fn what_is_encoded_is_what_the_reader_reads() {
        let mut message = Encoder::after(&[9; 8]);
        message.text(1, "eth0");
        message.switch(2, true);
        message.nested(3, |inner| {
            inner.u16(4, 0x1234);
            inner.nested(5, |innermost| innermost.u32(6, 0x1234_5678));
            inner.ip(7, [10, 0, 0, 1].into());
        });
        message.nested(8, |_| {});
        message.mac(9, MacAddr::from_bytes([1, 2, 3, 4, 5, 6]));
        let bytes = message.into_bytes();

        let found: Vec<_> = Attributes::after(8, &bytes).collect();
        let kinds: Vec<_> = found.iter().map(|attribute| attribute.kind).collect();
        assert_eq!(kinds, [1, 2, 3, 8, 9]);
        assert_eq!(found[0].text(), "eth0");
        assert!(found[1].switch());
        let inner: Vec<_> = found[2].nested().collect();
        assert_eq!(inner[0].u16(), Some(0x1234));
        assert_eq!(inner[1].nested().next().and_then(Attribute::u32), Some(0x1234_5678));
        assert_eq!(inner[2].ip(), Some([10, 0, 0, 1].into()));
        assert_eq!(found[3].nested().count(), 0);
        assert_eq!(found[4].mac(), Some(MacAddr::from_bytes([1, 2, 3, 4, 5, 6])));
    }

    #[test]
    fn a_message_with_an_attribute_that_cannot_say_its_length_is_empty() {
        let longest = usize::from(u16::MAX) - 4;
        for (length, whole) in [(longest, true), (longest + 1, false)] {
            let mut inner = Encoder::default();
            inner.bytes(1, &vec![7; length]);
            let mut message = Encoder::after(&[0; 16]);
            message.append(&inner);
            assert_eq!(!message.into_bytes().is_empty(), whole, "value of {length} bytes");
        }
    }

    #[test]
    fn every_attribute_begins_at_a_multiple_of_four_and_its_length_leaves_the_padding_out() {
        for length in 0..9 {
            let mut message = Encoder::default();
            message.bytes(1, &vec![0xff; length]);
            let bytes = message.into_bytes();
            assert_eq!(bytes.len() % 4, 0, "value of {length} bytes");
            assert_eq!(usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])), 4 + length);
            assert!(bytes[4 + length..].iter().all(|&byte| byte == 0), "padding is zero");
        }
    }
}
