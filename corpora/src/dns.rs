//! A query that comes in at a door of the daemon of names, and a server's reply that goes out by
//! one: whatever a client is sent must be readable to somebody else's code, too.

use std::net::IpAddr;
use std::time::Instant;

use hickory_proto::op::Message;
use names::Record;
use resolver::pipeline::{self, Door, Outcome, Policy};
use resolver::wire::{self, Query, Unanswerable};
use resolver::zone::Zone;
use types::Attachment;

/// Who asks: the door, the source, and whether it is on internal networks alone.
const ASKERS: &[(Option<&str>, &str, bool)] = &[
    (Some("n1"), "10.90.1.2", false),
    (Some("n1"), "10.90.3.3", true),
    (Some("int1"), "10.90.3.2", true),
    // An address that nobody was given.
    (Some("int1"), "10.90.3.77", true),
    (Some("int1"), "fe80::1", true),
    (None, "127.0.0.1", true),
];

/// What a client sends.
pub(crate) fn query(data: &[u8]) {
    let zone = zone();
    let query = match Query::read(data) {
        Ok(query) => query,
        Err(Unanswerable::Drop) => return,
        Err(Unanswerable::Only(rcode, query)) => {
            return answers(&wire::only(&query, rcode), data);
        }
    };
    for (network, source, internal) in ASKERS {
        let door = match network {
            Some(network) => Door::Network((*network).into()),
            None => Door::Container("iso".into()),
        };
        let source: IpAddr = source.parse().expect("an address");
        let asker = (&door, source);
        match pipeline::answer(&zone, &Policy::default(), asker, &query, Instant::now()) {
            Outcome::Outside => {}
            Outcome::Forward(whom) => assert!(!internal, "{whom:?} asked for {door:?} {source}"),
            Outcome::Reply(reply, _) => {
                answers(&reply, data);
                answers(&resolver::upstream::fit(reply, query.limit()), data);
            }
        }
    }
}

/// What a server sends.
pub(crate) fn reply(data: &[u8]) {
    let _ = resolver::fuzzing::reply(data);
}

/// Whether `reply` is one to `query`.
fn answers(reply: &[u8], query: &[u8]) {
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
    assert_eq!(reply[..2], query[..2], "the id");
    assert!(reply[2] & 0x80 != 0, "no reply");
    assert!(!message.truncation || message.answers.is_empty(), "cut in the middle");
    match message.queries.len() {
        0 => {}
        1 => {
            let end = end_of_question(reply);
            assert_eq!(reply[12..end], query[12..end], "the question");
        }
        more => panic!("{more} questions"),
    }
}

fn end_of_question(packet: &[u8]) -> usize {
    let mut at = 12;
    while packet[at] != 0 {
        at += 1 + usize::from(packet[at]);
    }
    at + 5
}

/// `web` on n1 with everything a name can have, and `iso` on int1, which is internal.
fn zone() -> Zone {
    let mut zone = Zone::default();
    let suffix = Some("dns.podman".parse().expect("a name"));
    let web = Record { suffix, ..record("n1", "web", &["web", "a.b", "*.shop"]) };
    let web = Record { addresses: cidrs(&["10.90.1.2/24", "fd00:90:1::2/64"]), ..web };
    let iso = Record { internal: true, ..record("int1", "iso", &["iso", "app"]) };
    let iso = Record { addresses: cidrs(&["10.90.3.2/24"]), ..iso };
    for record in [web, iso] {
        zone.put(&record, Instant::now());
    }
    zone
}

fn record(network: &str, container: &str, names: &[&str]) -> Record {
    let key = Attachment {
        network: network.parse().expect("the name of a network"),
        container: container.parse().expect("a container id"),
        ifname: "eth0".parse().expect("the name of an interface"),
    };
    let names = names.iter().map(|name| name.parse().expect("a name")).collect();
    Record { names, ..Record::bare(key, Vec::new()) }
}

fn cidrs(texts: &[&str]) -> Vec<types::Cidr> {
    texts.iter().map(|text| text.parse().expect("an address and a prefix")).collect()
}
