//! Walks the attributes of a reply (rtattr, see rtnetlink(7)) without copying or allocating.
//!
//! Kernels grow attributes all the time: what nobody asked for is skipped, and a length that
//! points outside the message ends the walk. Nothing here can panic on what the kernel sends.

/// One attribute: its type without the flag bits, and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// Iterator over the attributes in a piece of a message.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

const HEADER_BYTES: usize = 4;
/// The two highest bits of a type say "nested" and "big endian"; they are not part of it.
const TYPE_MASK: u16 = 0x3fff;

impl<'a> Attributes<'a> {
    /// Attributes after a fixed header of `header_bytes`; none when the message is shorter.
    pub(crate) fn after(header_bytes: usize, body: &'a [u8]) -> Self {
        Self(body.get(header_bytes..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let value = self.0.get(HEADER_BYTES..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

impl<'a> Attribute<'a> {
    /// The attributes nested in this one.
    pub(crate) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    pub(crate) fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    pub(crate) fn u16(self) -> Option<u16> {
        u16_at(self.value, 0)
    }

    pub(crate) fn u32(self) -> Option<u32> {
        u32_at(self.value, 0)
    }

    /// A number in network order, as ports are.
    pub(crate) fn u16_be(self) -> Option<u16> {
        self.value.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// A number in network order, as all of netfilter's are.
    pub(crate) fn u32_be(self) -> Option<u32> {
        self.value.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// A number in network order, as all of netfilter's are.
    pub(crate) fn u64_be(self) -> Option<u64> {
        self.value.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// A switch as the kernel sends it: one byte, not zero for on.
    pub(crate) fn switch(self) -> bool {
        self.u8().is_some_and(|byte| byte != 0)
    }

    /// A text up to its NUL. Interface names need not be UTF-8; the odd byte becomes U+FFFD.
    pub(crate) fn text(self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// An address of either family, told apart by its length.
    pub(crate) fn ip(self) -> Option<std::net::IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.value) {
            return Some(octets.into());
        }
        <[u8; 16]>::try_from(self.value).ok().map(Into::into)
    }

    /// An Ethernet address.
    pub(crate) fn mac(self) -> Option<types::MacAddr> {
        self.value.try_into().ok().map(types::MacAddr::from_bytes)
    }
}

/// Native-endian number at `offset`, when the message is long enough.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Native-endian number at `offset`, when the message is long enough.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_message_ends_the_walk_and_never_panics() {
        let whole = [8, 0, 3, 0, b'l', b'o', 0, 0, 5, 0, 1, 0x80, 7, 0, 0, 0];
        for end in 0..=whole.len() {
            let seen: Vec<u16> = Attributes(&whole[..end]).map(|found| found.kind).collect();
            let expected: &[u16] = match end {
                0..=7 => &[],
                8..=12 => &[3],
                _ => &[3, 1],
            };
            assert_eq!(seen, expected, "first {end} bytes");
        }
    }

    #[test]
    fn a_length_below_the_header_ends_the_walk() {
        assert_eq!(Attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[4, 0, 1, 0]).count(), 1);
    }
}
