//! The part of the DNS wire format (RFC 1035, RFC 6891) that every query passes: its header, its one
//! question, its OPT record, and replies made of addresses and names.
//!
//! A question's name is never compressed, since nothing stands before it, so that reading it is one
//! walk over its labels. All that is richer, which is only what others answer, is read with
//! `hickory-proto`.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a header.
pub const HEADER: usize = 12;

/// What we receive and send over UDP at most (DNS flag day 2020).
pub const UDP_SIZE: u16 = 1232;

/// What fits into a datagram for a client without EDNS (RFC 1035, 4.2.1).
const PLAIN_SIZE: u16 = 512;

/// Most bytes of a name on the wire.
pub const MOST_NAME: usize = 255;

/// A record's or question's type (`TYPE` and `QTYPE` of the IANA registry).
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the registry")]
    pub const A: u16 = 1;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// `IN`.
pub const CLASS_IN: u16 = 1;

/// How a reply ends (`RCODE`); those above 15 need EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are those of the registry")]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    BadVers = 16,
}

/// Extended error codes (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Extended {
    /// The network may not ask outside.
    Prohibited = 18,
    /// No server answered.
    NoReachableAuthority = 22,
}

/// A query, as far as it is looked at.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    packet: &'a [u8],
    /// Where the question ends; [`HEADER`] when there is none.
    end: usize,
    name: [u8; MOST_NAME],
    name_length: usize,
    /// Type asked for.
    pub kind: u16,
    class: u16,
    /// What the client says about itself (RFC 6891); `None` when it does not know EDNS.
    pub edns: Option<Edns>,
}

/// What a client says in its OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Most bytes of a datagram that it takes.
    pub size: u16,
    /// Version; only 0 exists.
    pub version: u8,
    /// Whether it wants signatures (`DO`).
    pub dnssec: bool,
}

/// What becomes of a packet that is no query to be answered.
#[derive(Debug)]
pub enum Unanswerable<'a> {
    /// Nobody gets a reply: it is a reply itself, or none can be made.
    Drop,
    /// A reply with nothing but this.
    Only(Rcode, Box<Query<'a>>),
}

impl<'a> Query<'a> {
    /// Reads a packet as far as steps 1 to 6 of the pipeline need it.
    ///
    /// # Errors
    /// What to answer instead.
    pub fn read(packet: &'a [u8]) -> Result<Self, Unanswerable<'a>> {
        if packet.len() < HEADER || packet[2] & 0x80 != 0 {
            return Err(Unanswerable::Drop);
        }
        let mut query = Self {
            packet,
            end: HEADER,
            name: [0; MOST_NAME],
            name_length: 0,
            kind: 0,
            class: 0,
            edns: None,
        };
        let only = |rcode, query| Err(Unanswerable::Only(rcode, Box::new(query)));
        if packet[2] & 0x78 != 0 {
            return only(Rcode::NotImp, query);
        }
        if query.count(4) != 1 {
            return only(Rcode::FormErr, query);
        }
        let Some(end) = query.question() else { return Err(Unanswerable::Drop) };
        query.end = end;
        match query.options() {
            None => return only(Rcode::FormErr, query),
            Some(edns) => query.edns = edns,
        }
        match query.edns {
            Some(Edns { version: 1.., .. }) => return only(Rcode::BadVers, query),
            _ if query.class != CLASS_IN => return only(Rcode::Refused, query),
            _ if matches!(query.kind, kind::AXFR | kind::IXFR) => {
                return only(Rcode::Refused, query);
            }
            _ => {}
        }
        Ok(query)
    }

    /// The whole packet.
    #[must_use]
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// The name asked for in lower case, without a dot at its end. A byte that is in no name of ours
    /// stands as a blank, so that such names are nobody's.
    #[must_use]
    pub fn name(&self) -> &str {
        str::from_utf8(&self.name[..self.name_length]).unwrap_or_default()
    }

    /// Most bytes of a reply over UDP.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.edns.map_or(PLAIN_SIZE, |edns| edns.size.clamp(PLAIN_SIZE, UDP_SIZE)).into()
    }

    fn count(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.packet[at], self.packet[at + 1]])
    }

    fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([*self.packet.get(at)?, *self.packet.get(at + 1)?]))
    }

    /// Reads the question; where it ends.
    fn question(&mut self) -> Option<usize> {
        let mut at = HEADER;
        let mut length = 0;
        loop {
            let label = usize::from(*self.packet.get(at)?);
            at += 1;
            if label == 0 {
                break;
            }
            // The two highest bits would be a pointer, and there is nothing to point to.
            if label > 63 || at + label - HEADER >= MOST_NAME {
                return None;
            }
            if length > 0 {
                self.name[length] = b'.';
                length += 1;
            }
            for byte in self.packet.get(at..at + label)? {
                self.name[length] = match byte.to_ascii_lowercase() {
                    byte @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*') => byte,
                    _ => b' ',
                };
                length += 1;
            }
            at += label;
        }
        self.name_length = length;
        self.kind = self.word(at)?;
        self.class = self.word(at + 2)?;
        Some(at + 4)
    }

    /// Finds the OPT record behind the question. `None` when what follows cannot be read.
    fn options(&self) -> Option<Option<Edns>> {
        let records = [6, 8, 10].iter().map(|at| usize::from(self.count(*at))).sum::<usize>();
        let mut at = self.end;
        let mut found = None;
        for _ in 0..records {
            let root = *self.packet.get(at)? == 0;
            at = self.skip_name(at)?;
            let kind = self.word(at)?;
            if kind == kind::OPT {
                if !root || found.is_some() {
                    return None;
                }
                found = Some(Edns {
                    size: self.word(at + 2)?,
                    version: *self.packet.get(at + 5)?,
                    dnssec: *self.packet.get(at + 6)? & 0x80 != 0,
                });
            }
            at += 10 + usize::from(self.word(at + 8)?);
            if at > self.packet.len() {
                return None;
            }
        }
        Some(found)
    }

    fn skip_name(&self, mut at: usize) -> Option<usize> {
        loop {
            match *self.packet.get(at)? {
                0 => return Some(at + 1),
                0xc0.. => return Some(at + 2),
                label @ 1..64 => at += 1 + usize::from(label),
                _ => return None,
            }
        }
    }
}

thread_local! {
    /// Room of the last reply that was sent.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Room for a reply of about so many bytes.
#[must_use]
pub fn room(bytes: usize) -> Vec<u8> {
    let mut room = SPARE.take();
    room.clear();
    room.reserve(bytes);
    room
}

/// Gives back the room of a reply that was sent, for the next one.
pub fn give_back(room: Vec<u8>) {
    SPARE.set(room);
}

/// A reply to a query, being written.
#[derive(Debug)]
pub struct Reply<'a> {
    query: &'a Query<'a>,
    bytes: Vec<u8>,
    answers: u16,
    authorities: u16,
    authoritative: bool,
}

impl<'a> Reply<'a> {
    /// A reply with the question of `query`, spelled as it was.
    #[must_use]
    pub fn new(query: &'a Query<'a>) -> Self {
        let mut bytes = room(query.end + 96);
        bytes.extend_from_slice(&query.packet[..2]);
        bytes.extend_from_slice(&[0; HEADER - 2]);
        bytes.extend_from_slice(&query.packet[HEADER..query.end]);
        Self { query, bytes, answers: 0, authorities: 0, authoritative: false }
    }

    /// The answer is from us, not from others (`AA`).
    #[must_use]
    pub fn authoritative(mut self) -> Self {
        self.authoritative = true;
        self
    }

    /// Adds an address of the name asked for.
    pub fn v4(&mut self, address: Ipv4Addr, ttl: u32) {
        self.answer(kind::A, ttl, &address.octets());
    }

    /// Adds an address of the name asked for.
    pub fn v6(&mut self, address: Ipv6Addr, ttl: u32) {
        self.answer(kind::AAAA, ttl, &address.octets());
    }

    /// Adds what the address asked for is called.
    pub fn ptr(&mut self, name: &str, ttl: u32) {
        let mut data = Vec::with_capacity(name.len() + 2);
        labels(&mut data, name);
        self.answer(kind::PTR, ttl, &data);
    }

    fn answer(&mut self, kind: u16, ttl: u32, data: &[u8]) {
        // The owner is the name of the question.
        self.bytes.extend_from_slice(&[0xc0, HEADER as u8]);
        self.record(kind, ttl, data);
        self.answers += 1;
    }

    fn record(&mut self, kind: u16, ttl: u32, data: &[u8]) {
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(data);
    }

    /// Adds who says that there is nothing, and for how long that holds (RFC 2308).
    pub fn soa(&mut self, zone: &str, ttl: u32) {
        let mut data = Vec::new();
        for host in ["ns", "hostmaster"] {
            labels(&mut data, &format!("{host}.{zone}"));
        }
        for number in [1, 3600, 600, 86_400, ttl] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        let mut owner = Vec::new();
        labels(&mut owner, zone);
        self.bytes.extend_from_slice(&owner);
        self.record(kind::SOA, ttl, &data);
        self.authorities += 1;
    }

    /// The whole reply, with OPT when the client sent one.
    #[must_use]
    pub fn finish(mut self, rcode: Rcode, extended: Option<Extended>) -> Vec<u8> {
        let asked = self.query.packet;
        let code = rcode as u16;
        // Opcode and RD as asked, RA because we ask others; CD as asked.
        self.bytes[2] = 0x80 | (asked[2] & 0x79) | if self.authoritative { 0x04 } else { 0 };
        self.bytes[3] = 0x80 | (asked[3] & 0x10) | (code & 0x0f) as u8;
        self.bytes[5] = u8::from(self.query.end > HEADER);
        self.bytes[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.bytes[8..10].copy_from_slice(&self.authorities.to_be_bytes());
        if let Some(edns) = self.query.edns {
            self.bytes[11] = 1;
            let extended = extended.map(|code| (code as u16).to_be_bytes());
            let data: &[u8] = match &extended {
                // Option 15 with two bytes and no text.
                Some([high, low]) => &[0, 15, 0, 2, *high, *low],
                None => &[],
            };
            self.bytes.push(0);
            self.bytes.extend_from_slice(&kind::OPT.to_be_bytes());
            self.bytes.extend_from_slice(&UDP_SIZE.to_be_bytes());
            let flags = if edns.dnssec { 0x80 } else { 0 };
            self.bytes.extend_from_slice(&[(code >> 4) as u8, 0, flags, 0]);
            self.bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
            self.bytes.extend_from_slice(data);
        }
        self.bytes
    }
}

/// Writes a name of ours.
fn labels(bytes: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
}

/// The reply to a query that says only this.
#[must_use]
pub fn only(query: &Query<'_>, rcode: Rcode) -> Vec<u8> {
    Reply::new(query).finish(rcode, None)
}

/// The reply that tells a client over UDP to come back over TCP.
#[must_use]
pub fn truncated(query: &Query<'_>) -> Vec<u8> {
    let mut bytes = only(query, Rcode::NoError);
    bytes[2] |= 0x02;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `web` with RD set.
    const WEB: &[u8] = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";

    fn with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut packet = WEB.to_vec();
        change(&mut packet);
        packet
    }

    fn rcode(packet: &[u8]) -> Option<Rcode> {
        match Query::read(packet) {
            Ok(_) => Some(Rcode::NoError),
            Err(Unanswerable::Drop) => None,
            Err(Unanswerable::Only(rcode, query)) => {
                let reply = only(&query, rcode);
                assert_eq!(reply[..2], packet[..2]);
                assert_eq!(reply[2] & 0x80, 0x80);
                Some(rcode)
            }
        }
    }

    #[test]
    fn what_is_no_query_is_dropped() {
        for packet in [
            &WEB[..11],
            b"",
            &with(|p| p[2] |= 0x80),
            &WEB[..WEB.len() - 1],
            // A pointer to itself, a label of the reserved kind, a name without end.
            b"\0\0\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01",
            b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x80a\0\0\x01\0\x01",
            &with(|p| p.truncate(16)),
            &[&WEB[..12], &b"\x3f".repeat(64 * 5), b"\0\0\x01\0\x01"].concat(),
        ] {
            assert_eq!(rcode(packet), None, "{packet:x?}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_told_why() {
        let opt = |version: u8| [&[0, 0, 41, 4, 0xd0, 0, version, 0, 0], &[0, 0][..]].concat();
        let edns = |opts: &[Vec<u8>]| {
            with(|p| {
                p[11] = opts.len() as u8;
                p.extend(opts.concat());
            })
        };
        for (packet, expected) in [
            (WEB.to_vec(), Rcode::NoError),
            (with(|p| p[2] |= 5 << 3), Rcode::NotImp),
            (with(|p| p[2] |= 4 << 3), Rcode::NotImp),
            (with(|p| p[5] = 0), Rcode::FormErr),
            (with(|p| p[5] = 2), Rcode::FormErr),
            (with(|p| *p.last_mut().unwrap() = 3), Rcode::Refused),
            (with(|p| p[18] = 252), Rcode::Refused),
            (with(|p| p[18] = 251), Rcode::Refused),
            (edns(&[opt(0)]), Rcode::NoError),
            (edns(&[opt(1)]), Rcode::BadVers),
            (edns(&[opt(0), opt(0)]), Rcode::FormErr),
            (with(|p| p[11] = 1), Rcode::FormErr),
        ] {
            assert_eq!(rcode(&packet), Some(expected), "{packet:x?}");
        }
    }

    #[test]
    fn a_wrong_version_is_told_by_both_halves_of_the_code() {
        let packet = with(|p| {
            p[11] = 1;
            p.extend([0, 0, 41, 4, 0xd0, 0, 1, 0, 0, 0, 0]);
        });
        let Err(Unanswerable::Only(rcode, query)) = Query::read(&packet) else { panic!() };
        let reply = only(&query, rcode);
        assert_eq!(reply[3] & 15, 0);
        // Name, type, size, then the higher half.
        assert_eq!(reply[reply.len() - 11..], [0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn names_are_read_in_lower_case_and_odd_ones_are_nobodys() {
        let name = |packet: &[u8]| Query::read(packet).unwrap().name().to_owned();
        assert_eq!(name(&with(|p| p[13..16].copy_from_slice(b"WeB"))), "web");
        assert_eq!(name(&with(|p| p[13..16].copy_from_slice(b"a.b"))), "a b");
        assert_eq!(name(&with(|p| p[13..16].copy_from_slice(&[0xff, b'\n', b'/']))), "   ");
        assert_eq!(name(b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01"), "");
    }

    #[test]
    fn a_datagram_is_as_large_as_the_client_says_within_bounds() {
        let limit = |size: u16| {
            let packet = with(|p| {
                p[11] = 1;
                p.extend([0, 0, 41]);
                p.extend(size.to_be_bytes());
                p.extend([0; 6]);
            });
            Query::read(&packet).unwrap().limit()
        };
        assert_eq!(Query::read(WEB).unwrap().limit(), 512);
        assert_eq!((limit(100), limit(900), limit(4096)), (512, 900, 1232));
    }
}
