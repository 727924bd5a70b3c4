use nix::errno::Errno;

use super::Error;
use super::attributes::{Attributes, u16_at, u32_at};

/// One message of a datagram, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

const HEADER_BYTES: usize = 16;
const ERROR_HEADER_BYTES: usize = 4 + HEADER_BYTES;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

impl<'a> Message<'a> {
    /// Takes the first message off `datagram`; `None` at its end or where it makes no sense.
    pub(crate) fn take(datagram: &mut &'a [u8]) -> Option<Self> {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let message = Self {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            body: datagram.get(HEADER_BYTES..length)?,
        };
        *datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }

    /// For `NLMSG_ERROR` and `NLMSG_DONE`: the verdict with the kernel's words.
    pub(crate) fn verdict(&self) -> Result<(), Error> {
        let code = u32_at(self.body, 0).ok_or(Error::Malformed("verdict without a number"))?;
        match (code as i32).wrapping_neg() {
            0 => Ok(()),
            errno => Err(Error::Kernel { errno: Errno::from_raw(errno), text: self.text() }),
        }
    }

    /// The extended acknowledgement's text, which follows the echoed request.
    fn text(&self) -> Option<Box<str>> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let before = match i32::from(self.kind) {
            libc::NLMSG_DONE => 4,
            _ if self.flags & NLM_F_CAPPED != 0 => ERROR_HEADER_BYTES,
            // Without NETLINK_CAP_ACK the whole request is echoed; its length is in its header.
            _ => 4 + (u32_at(self.body, 4)? as usize).next_multiple_of(4),
        };
        Attributes::after(before, self.body)
            .find(|attribute| attribute.kind == NLMSGERR_ATTR_MSG)
            .map(|attribute| attribute.text().into_boxed_str())
    }
}
