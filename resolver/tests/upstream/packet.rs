//! Packets as clients and servers write and read them, by nothing of the product.

use std::net::Ipv4Addr;

pub(crate) const A: u16 = 1;
pub(crate) const TXT: u16 = 16;
pub(crate) const OPT: u16 = 41;
pub(crate) const RRSIG: u16 = 46;

pub(crate) const FORMERR: u8 = 1;
pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;
pub(crate) const NOTIMP: u8 = 4;
pub(crate) const REFUSED: u8 = 5;

pub(crate) const RD: u16 = 0x0100;
pub(crate) const RA: u16 = 0x0080;
pub(crate) const AA: u16 = 0x0400;
pub(crate) const TC: u16 = 0x0200;
pub(crate) const AD: u16 = 0x0020;
pub(crate) const CD: u16 = 0x0010;
const QR: u16 = 0x8000;

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A query for `name`, with id 0x1234 and RD.
pub(crate) fn query(name: &str, kind: u16) -> Packet {
    let mut bytes = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(wire_name(name));
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    Packet(bytes)
}

/// A reply to `query`, with RD, RA and AA, that repeats the question.
pub(crate) fn reply(query: &[u8]) -> Packet {
    let end = question_end(query);
    let mut bytes = query[..end].to_vec();
    bytes[6..12].fill(0);
    Packet(bytes).flags(QR | RD | RA | AA)
}

fn question_end(packet: &[u8]) -> usize {
    let mut at = 12;
    while packet[at] != 0 {
        at += 1 + usize::from(packet[at]);
    }
    at + 5
}

/// A packet that is being written.
#[derive(Clone)]
pub(crate) struct Packet(pub(crate) Vec<u8>);

impl Packet {
    pub(crate) fn id(mut self, id: u16) -> Self {
        self.0[..2].copy_from_slice(&id.to_be_bytes());
        self
    }

    fn flags(mut self, flags: u16) -> Self {
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self
    }

    /// Sets these flags beside what is set.
    pub(crate) fn with(mut self, flags: u16) -> Self {
        let now = u16::from_be_bytes([self.0[2], self.0[3]]);
        self.0[2..4].copy_from_slice(&(now | flags).to_be_bytes());
        self
    }

    pub(crate) fn without(mut self, flags: u16) -> Self {
        let now = u16::from_be_bytes([self.0[2], self.0[3]]);
        self.0[2..4].copy_from_slice(&(now & !flags).to_be_bytes());
        self
    }

    pub(crate) fn code(self, rcode: u8) -> Self {
        self.with(rcode.into())
    }

    fn count(&mut self, section: usize) {
        let at = 4 + 2 * section;
        let count = u16::from_be_bytes([self.0[at], self.0[at + 1]]) + 1;
        self.0[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }

    fn record(mut self, section: usize, kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.count(section);
        self.0.extend([0xc0, 12]);
        self.0.extend(kind.to_be_bytes());
        self.0.extend([0, 1]);
        self.0.extend(ttl.to_be_bytes());
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
        self
    }

    pub(crate) fn a(self, address: &str, ttl: u32) -> Self {
        let address: Ipv4Addr = address.parse().unwrap();
        self.record(1, A, ttl, &address.octets())
    }

    /// An answer of any kind.
    pub(crate) fn answer(self, kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.record(1, kind, ttl, data)
    }

    /// A SOA among the authorities, that lets absences be kept for `minimum` seconds.
    pub(crate) fn soa(self, ttl: u32, minimum: u32) -> Self {
        let mut data = [wire_name("ns.example"), wire_name("root.example")].concat();
        for number in [1, 2, 3, 4, minimum] {
            data.extend(number.to_be_bytes());
        }
        self.record(2, 6, ttl, &data)
    }

    /// An OPT of `size`, with DO or without, and with these options as bytes.
    pub(crate) fn opt(mut self, size: u16, dnssec_ok: bool, options: &[u8]) -> Self {
        self.count(3);
        self.0.push(0);
        self.0.extend(OPT.to_be_bytes());
        self.0.extend(size.to_be_bytes());
        self.0.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
        self.0.extend((options.len() as u16).to_be_bytes());
        self.0.extend(options);
        self
    }
}

/// A packet as it is read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) rcode: u8,
    /// Name, type and class.
    pub(crate) question: Vec<u8>,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

/// Reads a packet of one question to its last byte.
#[track_caller]
pub(crate) fn read(packet: &[u8]) -> Read {
    let be16 = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!(be16(4), 1, "one question");
    let mut at = question_end(packet);
    let question = packet[12..at].to_vec();
    let mut section = |count: u16| -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..count {
            while packet[at] != 0 && packet[at] & 0xc0 == 0 {
                at += 1 + usize::from(packet[at]);
            }
            at += if packet[at] == 0 { 1 } else { 2 };
            let length = usize::from(be16(at + 8));
            let ttl = u32::from_be_bytes(packet[at + 4..at + 8].try_into().unwrap());
            let data = packet[at + 10..at + 10 + length].to_vec();
            records.push(Record { kind: be16(at), class: be16(at + 2), ttl, data });
            at += 10 + length;
        }
        records
    };
    let (answers, authorities, additionals) =
        (section(be16(6)), section(be16(8)), section(be16(10)));
    assert_eq!(at, packet.len(), "nothing behind the last record");
    let flags = be16(2);
    let rcode = (flags & 15) as u8;
    Read { id: be16(0), flags, rcode, question, answers, authorities, additionals }
}

impl Read {
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Addresses of the A records among the answers.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let of_kind = self.answers.iter().filter(|record| record.kind == A);
        of_kind
            .map(|record| Ipv4Addr::from(<[u8; 4]>::try_from(&*record.data).unwrap()).to_string())
            .collect()
    }

    pub(crate) fn opt(&self) -> Option<&Record> {
        self.additionals.iter().find(|record| record.kind == OPT)
    }

    pub(crate) fn dnssec_ok(&self) -> bool {
        self.opt().is_some_and(|opt| opt.ttl & 0x8000 != 0)
    }

    /// The code of the extended error, if there is one.
    pub(crate) fn extended_error(&self) -> Option<u16> {
        let data = &self.opt()?.data;
        (data.len() >= 6 && data[..2] == [0, 15]).then(|| u16::from_be_bytes([data[4], data[5]]))
    }
}
