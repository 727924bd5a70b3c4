//! Packets as bytes, RFC 1035 §4: read as far as relaying needs, and never rewritten beyond that.
//!
//! A relay that keeps the sender's bytes cannot lose a record type it does not know. So names are
//! stepped over and not decoded, and what differs between clients (id, flags, spelling of the
//! question, ages, OPT) is patched in place or stands at the end.

use std::ops::Range;
use std::time::Duration;

use crate::wire::room;

/// Length of the fixed header.
pub(super) const HEADER: usize = 12;
/// The largest packet that we take over UDP, RFC 6891 §6.2.3 and DNS flag day 2020.
pub(super) const OWN_SIZE: u16 = 1232;

/// Longest name in wire form, RFC 1035 §3.1.
const LONGEST_NAME: usize = 255;

const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const AUTHENTIC: u16 = 0x0020;
const CHECKING_DISABLED: u16 = 0x0010;
const RCODE: u16 = 0x000f;

/// DO within the lower half of OPT's ttl field, RFC 3225.
const DNSSEC_OK: u16 = 0x8000;

const KIND_SOA: u16 = 6;
const KIND_OPT: u16 = 41;
const KIND_ANY: u16 = 255;
/// Extended errors, RFC 8914.
const OPTION_EXTENDED_ERROR: u16 = 15;
/// "No Reachable Authority", RFC 8914 §4.23.
const NO_REACHABLE_AUTHORITY: u16 = 22;

/// Longest time that a positive answer stays in the cache.
const POSITIVE: Duration = Duration::from_secs(300);
/// Longest time that "no such name" or "no such data" stays in the cache.
const NEGATIVE: Duration = Duration::from_secs(60);

/// Response codes that decide something here, RFC 1035 §4.1.1.
pub(super) mod rcode {
    pub(in super::super) const NOERROR: u8 = 0;
    pub(in super::super) const FORMERR: u8 = 1;
    pub(in super::super) const SERVFAIL: u8 = 2;
    pub(in super::super) const NXDOMAIN: u8 = 3;
    pub(in super::super) const NOTIMP: u8 = 4;
    pub(in super::super) const REFUSED: u8 = 5;
}

/// What the question section of a packet with one question holds: name, type and class.
///
/// A compressed name has nothing to point at there, so it counts as malformed.
fn question(packet: &[u8]) -> Option<Range<usize>> {
    if be16(packet, 4)? != 1 {
        return None;
    }
    let end = name_end(packet, HEADER, false)?;
    if end - HEADER > LONGEST_NAME || packet.len() < end + 4 {
        return None;
    }
    Some(HEADER..end + 4)
}

/// Where the name at `at` ends, if it does within the packet.
fn name_end(packet: &[u8], mut at: usize, compressed: bool) -> Option<usize> {
    loop {
        let length = *packet.get(at)?;
        match length & 0xc0 {
            0 if length == 0 => return Some(at + 1),
            0 => at += 1 + usize::from(length),
            0xc0 if compressed => return (at + 2 <= packet.len()).then_some(at + 2),
            _ => return None,
        }
    }
}

fn be16(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

fn be32(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?))
}

fn put16(packet: &mut [u8], at: usize, value: u16) {
    if let Some(field) = packet.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// A section behind the question, by the number of its count in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Answer = 6,
    Authority = 8,
    Additional = 10,
}

/// One record: where its parts stand in the packet.
struct Record {
    section: Section,
    /// How many records stand before it in its section.
    number: u16,
    start: usize,
    kind: u16,
    class: u16,
    ttl_at: usize,
    ttl: u32,
    data: Range<usize>,
}

/// Shows `visit` each record from `at` on, and gives the end of the last; none when one of them
/// leaves the packet.
fn walk(packet: &[u8], mut at: usize, mut visit: impl FnMut(&Record)) -> Option<usize> {
    for section in [Section::Answer, Section::Authority, Section::Additional] {
        for number in 0..be16(packet, section as usize)? {
            let start = at;
            let fixed = name_end(packet, start, true)?;
            let length = usize::from(be16(packet, fixed + 8)?);
            let data = fixed + 10..fixed + 10 + length;
            packet.get(data.clone())?;
            at = data.end;
            visit(&Record {
                section,
                number,
                start,
                kind: be16(packet, fixed)?,
                class: be16(packet, fixed + 2)?,
                ttl_at: fixed + 4,
                ttl: be32(packet, fixed + 4)?,
                data,
            });
        }
    }
    Some(at)
}

/// Room for the key of any question, see [`Query::write_key`].
pub(super) const LONGEST_KEY: usize = LONGEST_NAME + 5;

/// A client's query, as far as an answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    id: u16,
    flags: u16,
    /// Name, type and class in the client's spelling.
    question: &'a [u8],
    edns: bool,
    dnssec_ok: bool,
}

impl<'a> Query<'a> {
    /// None when there is not exactly one question, or a record leaves the packet.
    pub(super) fn read(packet: &'a [u8]) -> Option<Self> {
        let question = question(packet)?;
        let mut opt = None;
        walk(packet, question.end, |record| {
            if record.section == Section::Additional && record.kind == KIND_OPT {
                opt = Some(record.ttl);
            }
        })?;
        Some(Self {
            id: be16(packet, 0)?,
            flags: be16(packet, 2)?,
            question: &packet[question],
            edns: opt.is_some(),
            dnssec_ok: opt.is_some_and(|ttl| ttl & u32::from(DNSSEC_OK) != 0),
        })
    }

    /// Writes what tells this question from others (name in lower case, type, class, DO, CD, AD)
    /// into `key`, which has room for [`LONGEST_KEY`] bytes, and gives its length.
    pub(super) fn write_key(&self, key: &mut [u8]) -> usize {
        let length = self.question.len();
        let (name, kind) = self.question.split_at(length - 4);
        key[..length - 4].copy_from_slice(name);
        // Lengths of labels are below 64, so only letters change.
        key[..length - 4].make_ascii_lowercase();
        key[length - 4..length].copy_from_slice(kind);
        let wanted = self.flags & (AUTHENTIC | CHECKING_DISABLED);
        key[length] = u8::try_from(wanted).unwrap_or(0) | u8::from(self.dnssec_ok);
        length + 1
    }

    /// The same question as we put it.
    pub(super) fn outgoing(&self) -> Outgoing {
        Outgoing {
            flags: RECURSION_DESIRED | self.flags & (AUTHENTIC | CHECKING_DISABLED),
            question: self.question.into(),
            dnssec_ok: self.dnssec_ok,
        }
    }

    /// Header and question of a reply, with all counts but the question's zero.
    fn head(&self, rcode: u8) -> Vec<u8> {
        let mut reply = Vec::with_capacity(HEADER + self.question.len() + 17);
        let flags = RESPONSE | RECURSION_AVAILABLE | self.kept_flags() | u16::from(rcode);
        reply.extend(self.id.to_be_bytes());
        reply.extend(flags.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        reply.extend(self.question);
        reply
    }

    fn kept_flags(&self) -> u16 {
        self.flags & (RECURSION_DESIRED | CHECKING_DISABLED)
    }

    /// An AD that nobody asked for is withheld, RFC 6840 §5.8.
    fn may_see_authentic(&self) -> bool {
        self.dnssec_ok || self.flags & AUTHENTIC != 0
    }

    /// A reply that holds nothing but a failure, with its reason for who speaks EDNS.
    pub(super) fn failed(&self, rcode: u8) -> Vec<u8> {
        let mut reply = self.head(rcode);
        if self.edns {
            let mut reason = Vec::with_capacity(6);
            reason.extend(OPTION_EXTENDED_ERROR.to_be_bytes());
            reason.extend(2_u16.to_be_bytes());
            reason.extend(NO_REACHABLE_AUTHORITY.to_be_bytes());
            append_opt(&mut reply, self.dnssec_ok, &reason);
        }
        reply
    }
}

/// What to say to a query that [`Query::read`] does not take: FORMERR, or nothing when there is not
/// even a header to answer.
pub(super) fn malformed(query: &[u8]) -> Vec<u8> {
    let Some(flags) = be16(query, 2).filter(|_| query.len() >= HEADER) else {
        return Vec::new();
    };
    let mut reply = query[..HEADER].to_vec();
    let kept = flags & (RECURSION_DESIRED | CHECKING_DISABLED);
    put16(&mut reply, 2, RESPONSE | RECURSION_AVAILABLE | kept | u16::from(rcode::FORMERR));
    reply[4..].fill(0);
    reply
}

/// Puts an OPT behind `packet`, which holds none, and counts it.
fn append_opt(packet: &mut Vec<u8>, dnssec_ok: bool, options: &[u8]) {
    packet.push(0);
    packet.extend(KIND_OPT.to_be_bytes());
    packet.extend(OWN_SIZE.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(if dnssec_ok { DNSSEC_OK } else { 0 }.to_be_bytes());
    packet.extend(u16::try_from(options.len()).unwrap_or(0).to_be_bytes());
    packet.extend(options);
    let count = be16(packet, Section::Additional as usize).unwrap_or(0).saturating_add(1);
    put16(packet, Section::Additional as usize, count);
}

/// A question on its way to a server: the client's, in its spelling, and nothing else of its packet.
///
/// Everything a client can put into OPT is between it and us (RFC 6891 §6.1.1), so only DO is
/// carried over and a client's subnet never leaves. RD is always set: the answer goes into a cache
/// that all clients share.
#[derive(Debug)]
pub(super) struct Outgoing {
    flags: u16,
    question: Box<[u8]>,
    dnssec_ok: bool,
}

impl Outgoing {
    /// The packet with `id`, and with our OPT unless the server has shown that it knows none.
    pub(super) fn packet(&self, id: u16, edns: bool) -> Vec<u8> {
        let mut packet = Vec::with_capacity(HEADER + self.question.len() + 11);
        packet.extend(id.to_be_bytes());
        packet.extend(self.flags.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend(&*self.question);
        if edns {
            append_opt(&mut packet, self.dnssec_ok, &[]);
        }
        packet
    }

    /// Judges whether `reply` answers the packet sent with `id`.
    pub(super) fn judge(&self, id: u16, reply: &[u8]) -> Judged {
        let (Some(reply_id), Some(flags)) = (be16(reply, 0), be16(reply, 2)) else {
            return Judged::Foreign;
        };
        if reply.len() < HEADER || reply_id != id || flags & RESPONSE == 0 {
            return Judged::Foreign;
        }
        let code = (flags & RCODE).to_be_bytes()[1];
        let declined = matches!(code, rcode::FORMERR | rcode::NOTIMP);
        // Who cannot read a packet may not be able to repeat its question either.
        if declined && be16(reply, 4) == Some(0) {
            return Judged::Declined(code);
        }
        if question(reply).is_none_or(|range| reply[range] != *self.question) {
            return Judged::Foreign;
        }
        if declined {
            return Judged::Declined(code);
        }
        if flags & TRUNCATED != 0 {
            return Judged::Truncated;
        }
        match Reply::read(reply) {
            None => Judged::Foreign,
            // A code of 16 and more speaks of EDNS itself, as BADVERS does.
            Some(read) if read.extended => Judged::Declined(rcode::NOTIMP),
            Some(read) if matches!(read.rcode, rcode::NOERROR | rcode::NXDOMAIN) => {
                Judged::Answer(read)
            }
            Some(read) => Judged::Failed(read.rcode),
        }
    }
}

/// What a packet that came to our socket is.
#[derive(Debug)]
pub(super) enum Judged {
    /// Not the answer: forged, late, or garbage.
    Foreign,
    /// The server did not like how it was asked: FORMERR, NOTIMP or an extended code.
    Declined(u8),
    /// There is more than fits; the rest is to be had over TCP.
    Truncated,
    /// The server knows no answer: SERVFAIL, REFUSED and the like.
    Failed(u8),
    /// NOERROR or NXDOMAIN.
    Answer(Reply),
}

/// A server's answer without its OPT, ready to become any client's.
#[derive(Debug)]
pub(super) struct Reply {
    wire: Box<[u8]>,
    /// Where the ttl fields stand in `wire`.
    ttls: Box<[u16]>,
    rcode: u8,
    authentic: bool,
    extended: bool,
    positive: bool,
    lifetime: Option<Duration>,
}

impl Reply {
    fn read(packet: &[u8]) -> Option<Self> {
        let question = question(packet)?;
        let flags = be16(packet, 2)?;
        let asked = be16(packet, question.end - 4)?;
        let (mut ttls, mut life) = (Vec::new(), Lifetime::default());
        let (mut opt, mut extended) = (None, false);
        let end = walk(packet, question.end, |record| {
            if record.kind == KIND_OPT && record.section == Section::Additional {
                extended |= record.ttl >> 24 != 0;
                opt.get_or_insert((record.start, record.number));
            } else if opt.is_none() {
                ttls.extend(u16::try_from(record.ttl_at));
                life.see(packet, record, asked);
            }
        })?;
        // OPT is the last record. What somebody put behind it is not needed for an answer, and
        // taking OPT out before it would break pointers into it.
        let (end, additional) = opt.unwrap_or((end, be16(packet, Section::Additional as usize)?));
        let mut wire: Box<[u8]> = packet[..end].into();
        put16(&mut wire, Section::Additional as usize, additional);
        let rcode = (flags & RCODE).to_be_bytes()[1];
        Some(Self {
            wire,
            ttls: ttls.into(),
            rcode,
            authentic: flags & AUTHENTIC != 0,
            extended,
            positive: life.is_positive(rcode),
            lifetime: life.of(rcode),
        })
    }

    /// Whether it says that there is something, and not that there is nothing.
    pub(super) fn is_positive(&self) -> bool {
        self.positive
    }

    /// How long it may be kept, RFC 2308; none when it may not.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// About what it takes in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.wire.len() + 2 * self.ttls.len()
    }

    /// The reply for the client that sent `query`, which asks the same, when the answer has been
    /// here for `age` seconds.
    pub(super) fn for_client(&self, query: &Query<'_>, age: u32) -> Vec<u8> {
        let mut reply = room(self.wire.len() + 11);
        reply.extend(&*self.wire);
        let authentic = if self.authentic && query.may_see_authentic() { AUTHENTIC } else { 0 };
        let flags = RESPONSE | RECURSION_AVAILABLE | query.kept_flags() | authentic;
        put16(&mut reply, 0, query.id);
        put16(&mut reply, 2, flags | u16::from(self.rcode));
        // The names of both are equal but for the case of letters, so they are of one length.
        if let Some(spelling) = reply.get_mut(HEADER..HEADER + query.question.len()) {
            spelling.copy_from_slice(query.question);
        }
        if age > 0 {
            for &at in &self.ttls {
                let at = usize::from(at);
                let left = be32(&reply, at).unwrap_or(0).saturating_sub(age);
                if let Some(field) = reply.get_mut(at..at + 4) {
                    field.copy_from_slice(&left.to_be_bytes());
                }
            }
        }
        if query.edns {
            append_opt(&mut reply, query.dnssec_ok, &[]);
        }
        reply
    }
}

/// Collects how long an answer may be kept.
#[derive(Default)]
struct Lifetime {
    answers: bool,
    /// Whether one of the answers is of the type that was asked for.
    reached: bool,
    soa_seen: bool,
    shortest: Option<u32>,
    negative: Option<u32>,
}

impl Lifetime {
    fn see(&mut self, packet: &[u8], record: &Record, asked: u16) {
        // A ttl with its highest bit set means none, RFC 2181 §8.
        let ttl = if record.ttl > i32::MAX.unsigned_abs() { 0 } else { record.ttl };
        match record.section {
            Section::Answer => {
                self.answers = true;
                self.reached |= record.kind == asked || asked == KIND_ANY;
                self.shortest = Some(self.shortest.map_or(ttl, |least| least.min(ttl)));
            }
            Section::Authority if record.kind == KIND_SOA && record.class == 1 => {
                // The last field of SOA is how long its absences may be kept, RFC 2308 §4.
                let minimum = record.data.end.checked_sub(4).and_then(|at| be32(packet, at));
                self.soa_seen = true;
                self.negative = minimum.map(|minimum| minimum.min(ttl));
            }
            Section::Authority | Section::Additional => {}
        }
    }

    /// A chain of aliases that ends in a SOA ends in nothing.
    fn is_positive(&self, rcode: u8) -> bool {
        rcode == rcode::NOERROR && (self.reached || self.answers && !self.soa_seen)
    }

    fn of(&self, rcode: u8) -> Option<Duration> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let lifetime = if self.is_positive(rcode) {
            seconds(self.shortest?).min(POSITIVE)
        } else {
            let least = self.negative?.min(self.shortest.unwrap_or(u32::MAX));
            seconds(least).min(NEGATIVE)
        };
        (!lifetime.is_zero()).then_some(lifetime)
    }
}

/// Cuts `reply` to at most `limit` bytes: one that is longer keeps its question and its OPT, loses
/// everything else and says by TC that it did.
///
/// `limit` is what the client takes over the transport it used, 512 over UDP without EDNS. A reply
/// that cannot be read is cut to its header.
#[must_use]
pub fn fit(reply: Vec<u8>, limit: usize) -> Vec<u8> {
    if reply.len() <= limit || reply.len() < HEADER {
        return reply;
    }
    let end = question(&reply).map_or(HEADER, |range| range.end);
    let mut opt = None;
    let whole = walk(&reply, end, |record| {
        if record.kind == KIND_OPT && record.section == Section::Additional {
            opt = Some(record.start..record.data.end);
        }
    });
    let mut short = reply[..end].to_vec();
    short[6..HEADER].fill(0);
    if end == HEADER {
        short[4..6].fill(0);
    }
    let flags = be16(&short, 2).unwrap_or(0) | TRUNCATED;
    put16(&mut short, 2, flags);
    if let Some(opt) = opt.filter(|opt| whole.is_some() && end + opt.len() <= limit.max(512)) {
        short.extend(&reply[opt]);
        put16(&mut short, Section::Additional as usize, 1);
    }
    short
}
