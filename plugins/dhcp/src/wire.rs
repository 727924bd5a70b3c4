//! DHCP messages as they are on the wire (RFC 2131 §2, options of RFC 2132 and RFC 3396).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::MacAddr;

/// Numbers of options.
pub(crate) mod option {
    #![allow(missing_docs, reason = "the names are those of the IANA registry")]

    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTERS: u8 = 3;
    pub(crate) const NAME_SERVERS: u8 = 6;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const STATIC_ROUTES: u8 = 33;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER: u8 = 54;
    pub(crate) const REQUEST_LIST: u8 = 55;
    pub(crate) const MAX_SIZE: u8 = 57;
    pub(crate) const RENEWAL_TIME: u8 = 58;
    pub(crate) const REBINDING_TIME: u8 = 59;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const DOMAIN_SEARCH: u8 = 119;
    pub(crate) const CLASSLESS_ROUTES: u8 = 121;
    pub(crate) const END: u8 = 255;
}

/// What a message is for (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who has an address for me?
    Discover = 1,
    /// A server has one.
    Offer = 2,
    /// I want this one, or to keep it.
    Request = 3,
    /// It is yours.
    Ack = 5,
    /// It is not.
    Nak = 6,
    /// I need it no more.
    Release = 7,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        let all = [Self::Discover, Self::Offer, Self::Request, Self::Ack, Self::Nak, Self::Release];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Options by number. One that came in several parts is put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u8, Vec<u8>)>", into = "Vec<(u8, Vec<u8>)>")]
pub(crate) struct Options(BTreeMap<u8, Vec<u8>>);

impl From<Vec<(u8, Vec<u8>)>> for Options {
    fn from(pairs: Vec<(u8, Vec<u8>)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Options> for Vec<(u8, Vec<u8>)> {
    fn from(options: Options) -> Self {
        options.0.into_iter().collect()
    }
}

impl Options {
    /// The value of option `number`.
    #[must_use]
    pub(crate) fn get(&self, number: u8) -> Option<&[u8]> {
        self.0.get(&number).map(Vec::as_slice)
    }

    /// Gives option `number` that value.
    pub(crate) fn set(&mut self, number: u8, value: impl Into<Vec<u8>>) {
        self.0.insert(number, value.into());
    }

    /// The value of an option that is one number of 32 bits.
    #[must_use]
    pub(crate) fn number(&self, number: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(number)?.try_into().ok()?))
    }

    /// The addresses of an option that is a list of them; none where it is not.
    #[must_use]
    pub(crate) fn addresses(&self, number: u8) -> Vec<Ipv4Addr> {
        let value = self.get(number).unwrap_or_default();
        value.as_chunks().0.iter().map(|&octets: &[u8; 4]| octets.into()).collect()
    }

    /// The text of an option that is one, without what ends it in C.
    #[must_use]
    pub(crate) fn text(&self, number: u8) -> Option<&str> {
        let text = str::from_utf8(self.get(number)?).ok()?.trim_end_matches('\0');
        (!text.is_empty()).then_some(text)
    }

    /// Adds what `bytes` hold, up to the end mark or where they are torn.
    fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&number, rest)) = bytes.split_first() {
            match number {
                option::PAD => bytes = rest,
                option::END => return,
                _ => {
                    let Some((&length, rest)) = rest.split_first() else { return };
                    let Some((value, rest)) = rest.split_at_checked(length.into()) else { return };
                    self.0.entry(number).or_default().extend(value);
                    bytes = rest;
                }
            }
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for (&number, value) in &self.0 {
            let parts = value.chunks(255).chain(value.is_empty().then_some(&[][..]));
            for part in parts {
                bytes.extend([number, part.len() as u8]);
                bytes.extend(part);
            }
        }
        bytes.push(option::END);
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is for.
    pub(crate) kind: Kind,
    /// Ties answers to questions.
    pub(crate) xid: u32,
    /// Seconds since the client began.
    pub(crate) secs: u16,
    /// Whether answers must be broadcast.
    pub(crate) broadcast: bool,
    /// The address that the client uses already.
    pub(crate) ciaddr: Ipv4Addr,
    /// The address that the server gives.
    pub(crate) yiaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub(crate) chaddr: MacAddr,
    /// All else; without the kind.
    pub(crate) options: Options,
}

/// What comes before the options, with their mark.
const HEADER_BYTES: usize = 240;
/// RFC 951: some relays drop what is shorter.
const LEAST_BYTES: usize = 300;
const MARK: [u8; 4] = [99, 130, 83, 99];
const BROADCAST: u16 = 0x8000;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: [u8; 2] = [1, 6];

impl Message {
    /// A client's message with nothing but what each has.
    #[must_use]
    pub(crate) fn new(kind: Kind, xid: u32, chaddr: MacAddr) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            kind,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: none,
            yiaddr: none,
            chaddr,
            options: Options::default(),
        }
    }

    /// The message as a client sends it.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEAST_BYTES);
        bytes.push(REQUEST);
        bytes.extend(ETHERNET);
        bytes.push(0); // hops
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend(if self.broadcast { BROADCAST } else { 0 }.to_be_bytes());
        bytes.extend(self.ciaddr.octets());
        bytes.extend([0; 12]); // what servers and relays fill in
        bytes.extend(self.chaddr.bytes());
        bytes.resize(HEADER_BYTES - MARK.len(), 0);
        bytes.extend(MARK);
        // It comes first: there are servers that look no further.
        bytes.extend([option::MESSAGE_TYPE, 1, self.kind as u8]);
        self.options.write(&mut bytes);
        bytes.resize(bytes.len().max(LEAST_BYTES), 0);
        bytes
    }

    /// Reads a server's message; `None` for anything else.
    #[must_use]
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let address =
            |at: usize| Ipv4Addr::from(*header[at..].first_chunk::<4>().expect(IN_HEADER));
        if header[0] != REPLY || header[1..3] != ETHERNET || header[236..] != MARK {
            return None;
        }
        let mut options = Options::default();
        options.read(rest);
        let overload = options.get(option::OVERLOAD).and_then(|value| value.first().copied());
        let (server_name, file) = (&header[44..108], &header[108..236]);
        for (bit, place) in [(1, file), (2, server_name)] {
            if overload.unwrap_or(0) & bit != 0 {
                options.read(place);
            }
        }
        let kind = options.0.remove(&option::MESSAGE_TYPE)?;
        Some(Self {
            kind: Kind::of(*kind.first()?)?,
            xid: u32::from_be_bytes(*header[4..].first_chunk().expect(IN_HEADER)),
            secs: 0,
            broadcast: header[10] & 0x80 != 0,
            ciaddr: address(12),
            yiaddr: address(16),
            chaddr: MacAddr::from_bytes(*header[28..].first_chunk().expect(IN_HEADER)),
            options,
        })
    }
}

const IN_HEADER: &str = "the header has 240 bytes";
