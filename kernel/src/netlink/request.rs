use super::Action;
use super::encoder::Encoder;

/// A message to the kernel, ready to send, and what it attempts.
///
/// Made by the functions of [`link`](crate::link), [`addr`](crate::addr),
/// [`route`](crate::route), [`neigh`](crate::neigh) and [`rule`](crate::rule); sent alone or in a
/// batch by [`Socket`](super::Socket).
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
    pub(super) action: Action,
}

/// `NLM_F_CREATE | NLM_F_EXCL`: make it, or fail with `EEXIST`.
pub(crate) const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// `NLM_F_CREATE | NLM_F_REPLACE`: make it so, whatever was there.
pub(crate) const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
/// `NLM_F_CREATE | NLM_F_APPEND`: one more beside what is there.
pub(crate) const APPEND: u16 = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
/// `NLM_F_CREATE`: one more before what is there.
pub(crate) const PREPEND: u16 = libc::NLM_F_CREATE as u16;

const HEADER_BYTES: usize = 16;

impl Request {
    /// `kind` is an `RTM_` number, or netfilter's subsystem and verb; `flags` are those beyond `NLM_F_REQUEST` and `NLM_F_ACK`.
    pub(crate) fn new(kind: u16, flags: u16, message: Encoder, action: Action) -> Self {
        Self { kind, flags, body: message.into_bytes(), action }
    }

    /// The same message under another name in errors.
    pub(crate) fn acting(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// What this request attempts.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// `RTM_` number, or netfilter's subsystem and verb.
    pub(crate) fn kind(&self) -> u16 {
        self.kind
    }

    /// Whether it asks for the same as `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.flags == other.flags && self.body == other.body
    }

    /// Whether the kernel answers with a message (or an error) even when no acknowledgement is
    /// asked for: the lowest bits of `RTM_GET` numbers are 2, those of nf_tables come in threes with
    /// the query second. Each message less is a system call less.
    pub(super) fn is_query(&self) -> bool {
        const NF_TABLES: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
        match self.kind {
            ..0x100 => self.kind % 4 == 2,
            kind => kind & 0xff00 == NF_TABLES && (kind & 0xff) % 3 == 1,
        }
    }

    /// How much of it the kernel sends back once it is done (`NLM_F_ECHO`), about.
    pub(crate) fn echo_bytes(&self) -> usize {
        /// What an echo has beyond its request: a handle, a position.
        const MORE: usize = 64;
        match self.flags & libc::NLM_F_ECHO as u16 {
            0 => 0,
            _ => HEADER_BYTES + self.body.len() + MORE,
        }
    }

    /// The message alone, in wire form, to be acknowledged.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(sequence, libc::NLM_F_ACK as u16, &mut bytes);
        bytes
    }

    /// Appends the message in wire form: header of netlink(7), body, padding to four bytes.
    pub(crate) fn write(&self, sequence: u32, extra_flags: u16, out: &mut Vec<u8>) {
        let length = HEADER_BYTES + self.body.len();
        let flags = libc::NLM_F_REQUEST as u16 | self.flags | extra_flags;
        out.extend_from_slice(&(length as u32).to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&0_u32.to_ne_bytes());
        out.extend_from_slice(&self.body);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}
