//! DNS messages (RFC 1035, RFC 6891), written and read here anew: what the daemon reads and writes
//! them with must not be its own judge.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU16, Ordering};

/// Types of records.
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const MX: u16 = 15;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const DS: u16 = 43;
    pub(crate) const RRSIG: u16 = 46;
    pub(crate) const SVCB: u16 = 64;
    pub(crate) const HTTPS: u16 = 65;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const ANY: u16 = 255;
    pub(crate) const CAA: u16 = 257;
}

/// How a query ended.
pub(crate) mod rcode {
    pub(crate) const NOERROR: u16 = 0;
    pub(crate) const FORMERR: u16 = 1;
    pub(crate) const SERVFAIL: u16 = 2;
    pub(crate) const NXDOMAIN: u16 = 3;
    pub(crate) const NOTIMP: u16 = 4;
    pub(crate) const REFUSED: u16 = 5;
    pub(crate) const BADVERS: u16 = 16;
}

/// Bits of the second word of a header.
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 0x8000;
    pub(crate) const AUTHORITATIVE: u16 = 0x0400;
    pub(crate) const TRUNCATED: u16 = 0x0200;
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(crate) const AUTHENTIC: u16 = 0x0020;
    pub(crate) const OPCODE: u16 = 0x7800;
    pub(crate) const RCODE: u16 = 0x000f;
}

pub(crate) const IN: u16 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) questions: Vec<Question>,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) class: u16,
}

/// A record. Names within its data stand there in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

/// What an OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) wants_signatures: bool,
}

impl Message {
    /// Asks for records of a name.
    pub(crate) fn query(name: &str, kind: u16) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0x1357);
        let question = Question { name: name.to_owned(), kind, class: IN };
        Self {
            id: NEXT.fetch_add(0x101, Ordering::Relaxed),
            flags: flag::RECURSION_DESIRED,
            questions: vec![question],
            ..Self::default()
        }
    }

    /// With an OPT record of that size, and nothing else in it.
    pub(crate) fn edns(self, size: u16) -> Self {
        self.opt(Edns { size, version: 0, wants_signatures: false })
    }

    /// With this OPT record.
    pub(crate) fn opt(mut self, edns: Edns) -> Self {
        let bit = if edns.wants_signatures { 0x8000 } else { 0 };
        let ttl = u32::from(edns.version) << 16 | bit;
        let record =
            Record { name: ".".to_owned(), kind: kind::OPT, class: edns.size, ttl, data: vec![] };
        self.additional.push(record);
        self
    }

    /// With more flags.
    pub(crate) fn flags(self, flags: u16) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// As an operation of another kind.
    pub(crate) fn opcode(self, opcode: u16) -> Self {
        Self { flags: self.flags & !flag::OPCODE | opcode << 11, ..self }
    }

    /// A reply to it that says nothing yet.
    pub(crate) fn reply(&self) -> Self {
        let copied = self.flags & (flag::RECURSION_DESIRED | flag::OPCODE);
        Self {
            id: self.id,
            flags: copied | flag::RESPONSE | flag::RECURSION_AVAILABLE,
            questions: self.questions.clone(),
            ..Self::default()
        }
    }

    /// A reply with these answers.
    pub(crate) fn answered(&self, answers: Vec<Record>) -> Self {
        Self { answers, ..self.reply() }
    }

    /// A reply with this code alone.
    pub(crate) fn refused(&self, rcode: u16) -> Self {
        self.reply().flags(rcode)
    }

    /// Its code, with the part that is in the OPT record.
    pub(crate) fn rcode(&self) -> u16 {
        let high = self.opt_record().map_or(0, |opt| (opt.ttl >> 24) as u16);
        high << 4 | self.flags & flag::RCODE
    }

    pub(crate) fn is(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The one question that nearly all messages have.
    pub(crate) fn question(&self) -> &Question {
        assert_eq!(self.questions.len(), 1, "{self}");
        &self.questions[0]
    }

    pub(crate) fn edns_said(&self) -> Option<Edns> {
        self.opt_record().map(|opt| Edns {
            size: opt.class,
            version: (opt.ttl >> 16) as u8,
            wants_signatures: opt.ttl & 0x8000 != 0,
        })
    }

    fn opt_record(&self) -> Option<&Record> {
        self.additional.iter().find(|record| record.kind == kind::OPT)
    }

    /// The message as it is sent, no name compressed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sections = [&self.answers, &self.authority, &self.additional];
        let counts = sections.map(|records| records.len() as u16);
        let counts = [self.id, self.flags, self.questions.len() as u16].into_iter().chain(counts);
        counts.for_each(|word| bytes.extend(word.to_be_bytes()));
        for question in &self.questions {
            bytes.extend(encoded(&question.name));
            bytes.extend(question.kind.to_be_bytes());
            bytes.extend(question.class.to_be_bytes());
        }
        for record in sections.into_iter().flatten() {
            bytes.extend(encoded(&record.name));
            bytes.extend(record.kind.to_be_bytes());
            bytes.extend(record.class.to_be_bytes());
            bytes.extend(record.ttl.to_be_bytes());
            bytes.extend((record.data.len() as u16).to_be_bytes());
            bytes.extend(&record.data);
        }
        bytes
    }

    /// Reads a message; what is wrong with it otherwise, bytes behind it included.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.word()?, reader.word()?);
        let counts = [reader.word()?, reader.word()?, reader.word()?, reader.word()?];
        let questions = (0..counts[0]).map(|_| reader.question()).collect::<Result<_, _>>()?;
        let mut section =
            |count| (0..count).map(|_| reader.record()).collect::<Result<Vec<_>, String>>();
        let [answers, authority, additional] =
            [section(counts[1])?, section(counts[2])?, section(counts[3])?];
        match bytes.len() - reader.at {
            0 => Ok(Self { id, flags, questions, answers, authority, additional }),
            more => Err(format!("{more} bytes behind the message")),
        }
    }
}

impl Record {
    pub(crate) fn new(name: &str, kind: u16, ttl: u32, data: Vec<u8>) -> Self {
        Self { name: name.to_owned(), kind, class: IN, ttl, data }
    }

    /// An address of either family.
    pub(crate) fn address(name: &str, address: &str, ttl: u32) -> Self {
        match address.parse::<Ipv4Addr>() {
            Ok(v4) => Self::new(name, kind::A, ttl, v4.octets().to_vec()),
            Err(_) => {
                let v6: Ipv6Addr = address.parse().expect("an address");
                Self::new(name, kind::AAAA, ttl, v6.octets().to_vec())
            }
        }
    }

    /// Text of `length` bytes.
    pub(crate) fn text_of(name: &str, length: usize, ttl: u32) -> Self {
        let whole = vec![b'x'; length];
        let parts = whole.chunks(255).flat_map(|part| {
            std::iter::once(part.len() as u8).chain(part.iter().copied()).collect::<Vec<_>>()
        });
        Self::new(name, kind::TXT, ttl, parts.collect())
    }

    pub(crate) fn pointer(name: &str, target: &str, ttl: u32) -> Self {
        Self::new(name, kind::PTR, ttl, encoded(target))
    }

    /// What tells for how long a zone's silence may be kept: `ttl` and `minimum` in seconds.
    pub(crate) fn soa(zone: &str, ttl: u32, minimum: u32) -> Self {
        let mut data = [encoded("ns.test"), encoded("admin.test")].concat();
        for number in [1, 3600, 600, 86400, minimum] {
            data.extend(u32::to_be_bytes(number));
        }
        Self::new(zone, kind::SOA, ttl, data)
    }

    /// The address or name that its data are, or their bytes.
    pub(crate) fn said(&self) -> String {
        match (self.kind, &*self.data) {
            (kind::A, &[a, b, c, d]) => Ipv4Addr::new(a, b, c, d).to_string(),
            (kind::AAAA, data) if data.len() == 16 => {
                let octets: [u8; 16] = data.try_into().expect("it has 16 bytes");
                Ipv6Addr::from(octets).to_string()
            }
            (kind::PTR | kind::CNAME | kind::NS, data) => {
                let name = Reader { bytes: data, at: 0 }.name();
                name.unwrap_or_else(|why| why)
            }
            (_, data) if data.len() > 24 => format!("{} bytes", data.len()),
            (_, data) => format!("{data:02x?}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {:04x} flags {:04x} rcode {}", self.id, self.flags, self.rcode())?;
        for Question { name, kind, class } in &self.questions {
            write!(f, "; question {name} type {kind} class {class}")?;
        }
        let sections =
            [("answer", &self.answers), ("authority", &self.authority), ("more", &self.additional)];
        for (title, records) in sections {
            for record in records {
                let Record { name, kind, class, ttl, .. } = record;
                let said = record.said();
                write!(f, "; {title} {name} type {kind} class {class} ttl {ttl} {said}")?;
            }
        }
        Ok(())
    }
}

/// A name as labels. `.` is the root; a dot at the end changes nothing.
pub(crate) fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes.get(self.at..self.at + length);
        let taken = taken.ok_or_else(|| format!("ends within {length} bytes at {}", self.at))?;
        self.at += length;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().expect("two bytes were taken")))
    }

    fn name(&mut self) -> Result<String, String> {
        let (mut name, mut back) = (String::new(), None);
        loop {
            let length = self.take(1)?[0];
            match length {
                0 => break,
                0xc0.. => {
                    let low = self.take(1)?[0];
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    back.get_or_insert(self.at);
                    if target >= self.at - 2 {
                        return Err(format!("a name at {} points forward", self.at));
                    }
                    self.at = target;
                }
                1..=63 => {
                    let label = self.take(usize::from(length))?;
                    name.push_str(&String::from_utf8_lossy(label));
                    name.push('.');
                }
                _ => return Err(format!("a label of {length} bytes")),
            }
        }
        self.at = back.unwrap_or(self.at);
        let name = name.strip_suffix('.').unwrap_or(".");
        Ok(name.to_owned())
    }

    fn question(&mut self) -> Result<Question, String> {
        Ok(Question { name: self.name()?, kind: self.word()?, class: self.word()? })
    }

    fn record(&mut self) -> Result<Record, String> {
        let (name, kind, class) = (self.name()?, self.word()?, self.word()?);
        let ttl = u32::from(self.word()?) << 16 | u32::from(self.word()?);
        let length = usize::from(self.word()?);
        let end = self.at + length;
        let data = match kind {
            kind::PTR | kind::CNAME | kind::NS => encoded(&self.name()?),
            kind::SOA => {
                let names = [encoded(&self.name()?), encoded(&self.name()?)].concat();
                [names, self.take(20)?.to_vec()].concat()
            }
            _ => self.take(length)?.to_vec(),
        };
        if self.at != end {
            return Err(format!("data of {name} are not {length} bytes long"));
        }
        Ok(Record { name, kind, class, ttl, data })
    }
}
