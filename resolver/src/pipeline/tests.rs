use std::net::IpAddr;
use std::time::Instant;

use hickory_proto::op::Message;
use names::Record;

use super::*;
use crate::wire::UDP_SIZE;
use crate::zone::tests::{key, record};

/// Bytes of a query with RD set.
fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    if let Some(size) = edns {
        bytes.extend_from_slice(&[0, 0, 41]);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    }
    bytes
}

fn zone(records: &[Record]) -> Zone {
    let mut zone = Zone::default();
    for record in records {
        zone.put(record, Instant::now());
    }
    zone
}

fn town() -> Vec<Record> {
    let internal = |record: Record| Record { internal: true, ..record };
    vec![
        Record {
            suffix: Some("dns.podman".parse().unwrap()),
            ..record("n1", "web", "web", "10.90.1.2/24 fd00:90:1::2/64")
        },
        internal(record("int1", "iso", "iso", "10.90.3.2/24")),
        internal(record("int1", "both", "both", "10.90.3.3/24")),
        record("n2", "both", "both", "10.90.2.8/24"),
    ]
}

struct Asked<'a> {
    zone: &'a Zone,
    door: &'a str,
    source: &'a str,
}

impl Asked<'_> {
    fn packet(&self, packet: &[u8]) -> Outcome {
        let query = Query::read(packet).unwrap();
        let source: IpAddr = self.source.parse().unwrap();
        let door = Door::Network(self.door.into());
        answer(self.zone, &Policy::default(), (&door, source), &query, Instant::now())
    }

    fn reply(&self, name: &str, kind: u16) -> Vec<u8> {
        match self.packet(&query(name, kind, None)) {
            Outcome::Reply(reply, _) => {
                // Somebody else's code understands it, too.
                let message = Message::from_vec(&reply).unwrap();
                assert_eq!(message.queries.len(), 1);
                reply
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Rcode and number of answers.
    fn gist(&self, name: &str, kind: u16) -> (u8, u16) {
        let reply = self.reply(name, kind);
        (reply[3] & 0x0f, u16::from_be_bytes([reply[6], reply[7]]))
    }
}

#[test]
fn a_name_of_ours_has_its_addresses_and_nothing_of_any_other_type() {
    let zone = zone(&town());
    let asked = Asked { zone: &zone, door: "n1", source: "10.90.1.2" };
    let reply = asked.reply("wEb", kind::A);
    // Id, QR AA RD, RA NOERROR, one question, one answer.
    assert_eq!(reply[..12], [0xab, 0xcd, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(reply[12..16], *b"\x03wEb");
    let answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 90, 1, 2];
    assert_eq!(reply[reply.len() - answer.len()..], answer);
    assert_eq!(asked.gist("web", kind::AAAA), (0, 1));
    assert_eq!(asked.gist("web", kind::ANY), (0, 2));
    for other in [2, 6, 15, 16, 33, 43, 64, 65, 257] {
        assert_eq!(asked.gist("web", other), (0, 0), "{other}");
        assert_eq!(asked.gist("web.dns.podman", other), (0, 0), "{other}");
    }
}

#[test]
fn what_is_below_our_names_and_does_not_exist_is_asked_nobody() {
    let zone = zone(&town());
    let asked = Asked { zone: &zone, door: "n1", source: "10.90.1.2" };
    assert_eq!(asked.gist("nope.n2", kind::A), (3, 0));
    let reply = asked.reply("NOPE.dns.PODMAN", kind::A);
    // NXDOMAIN with one authority.
    assert_eq!((reply[3] & 15, reply[9]), (3, 1));
    assert_eq!(asked.gist("dns.podman", kind::SOA), (0, 0));
    assert_eq!(asked.gist("x.invalid", kind::A), (3, 0));
    assert_eq!(asked.gist("x.localhost", kind::A), (0, 1));
    assert_eq!(asked.gist("localhost", kind::AAAA), (0, 1));
    for name in ["nope", "example.com", "notlocalhost", "n2"] {
        let outcome = asked.packet(&query(name, kind::A, None));
        assert_eq!(outcome, Outcome::Forward(Whom::Host), "{name}");
    }
}

#[test]
fn addresses_of_ours_are_asked_nobody_and_private_ones_only_who_may_know() {
    let mut records = town();
    let zone_of = |records: &[Record]| zone(records);
    let zone = zone_of(&records);
    let asked = Asked { zone: &zone, door: "n1", source: "10.90.1.2" };
    assert_eq!(asked.gist("2.1.90.10.in-addr.arpa", kind::PTR), (0, 1));
    assert_eq!(asked.gist("2.1.90.10.in-addr.arpa", kind::A), (0, 0));
    for nobody in ["77.1.90.10.in-addr.arpa", "8.2.90.10.in-addr.arpa", "1.90.10.in-addr.arpa"] {
        assert_eq!(asked.gist(nobody, kind::PTR), (3, 0), "{nobody}");
    }
    for outside in ["8.8.8.8.in-addr.arpa", "1.1.168.192.in-addr.arpa"] {
        let outcome = asked.packet(&query(outside, kind::PTR, None));
        assert_eq!(outcome, Outcome::Forward(Whom::Host), "{outside}");
    }
    records[0].own_servers = vec!["8.8.8.8".parse().unwrap()];
    let zone = zone_of(&records);
    let asked = Asked { zone: &zone, door: "n1", source: "10.90.1.2" };
    assert_eq!(asked.gist("1.1.168.192.in-addr.arpa", kind::PTR), (3, 0));
}

#[test]
fn an_internal_network_asks_nobody_whoever_its_packets_say_they_are_from() {
    let zone = zone(&town());
    let names = ["example.com", "nope", "8.8.8.8.in-addr.arpa", "exfil.example"];
    for source in ["10.90.3.2", "10.90.3.77", "fe80::1"] {
        let asked = Asked { zone: &zone, door: "int1", source };
        for (name, kind) in names.iter().flat_map(|name| [(name, kind::A), (name, 16), (name, 12)])
        {
            let Outcome::Reply(reply, answered) = asked.packet(&query(name, kind, Some(4096)))
            else {
                panic!("{name} {kind} from {source} is asked others");
            };
            assert_eq!((reply[3] & 15, answered), (3, Answered::Refused));
            // OPT with EDE 18.
            assert_eq!(reply[reply.len() - 6..], [0, 15, 0, 2, 0, 18]);
        }
        assert_eq!(asked.gist("iso", kind::A), (0, 1));
    }
    for source in ["10.90.2.8", "192.0.2.1"] {
        let asked = Asked { zone: &zone, door: "int1", source };
        assert_eq!(asked.packet(&query("iso", kind::A, None)), Outcome::Outside, "{source}");
    }
    let both = Asked { zone: &zone, door: "int1", source: "10.90.3.3" };
    assert_eq!(both.packet(&query("example.com", 1, None)), Outcome::Forward(Whom::Host));
}

#[test]
fn a_stranger_on_a_network_learns_of_nothing_but_this_network() {
    let zone = zone(&town());
    let asked = Asked { zone: &zone, door: "n2", source: "10.90.2.77" };
    assert_eq!(asked.gist("both", kind::A), (0, 1));
    assert_eq!(asked.gist("web.n1", kind::A), (3, 0));
    assert_eq!(asked.gist("example.com", kind::A), (3, 0));
}

#[test]
fn a_container_asks_by_its_own_door_wherever_the_packet_is_from() {
    let zone = zone(&town());
    let door = Door::Container("web".into());
    let packet = query("web", kind::A, Some(512));
    let query = Query::read(&packet).unwrap();
    let source = IpAddr::from([127, 0, 0, 1]);
    let Outcome::Reply(reply, Answered::Owned) =
        answer(&zone, &Policy::default(), (&door, source), &query, Instant::now())
    else {
        panic!("no answer");
    };
    assert_eq!(reply[reply.len() - 11..][..5], [0, 0, 41, (UDP_SIZE >> 8) as u8, UDP_SIZE as u8]);
    let mut zone = zone;
    zone.drop(&key("n1", "web"), Instant::now());
    let outcome = answer(&zone, &Policy::default(), (&door, source), &query, Instant::now());
    assert_eq!(outcome, Outcome::Outside);
}

#[test]
fn policies_keep_queries_here() {
    let zone = zone(&town());
    let door = Door::Network("n1".into());
    let asks = |policy: &Policy, name: &str| {
        let packet = query(name, kind::A, None);
        let query = Query::read(&packet).unwrap();
        let source = "10.90.1.2".parse().unwrap();
        let outcome = answer(&zone, policy, (&door, source), &query, Instant::now());
        matches!(outcome, Outcome::Forward(_))
    };
    let single = Policy { forward_single_labels: false, ..Policy::default() };
    assert!(!asks(&single, "nas") && asks(&single, "nas.example") && asks(&single, ""));
    let none = Policy { forward: false, ..Policy::default() };
    assert!(!asks(&none, "nas") && !asks(&none, "nas.example"));
}
