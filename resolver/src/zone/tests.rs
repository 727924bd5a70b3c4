use std::net::IpAddr;
use std::time::{Duration, Instant};

use cni::record::NetnsId;
use names::{Record, Server};
use types::Attachment;

use super::*;

pub(crate) fn key(network: &str, container: &str) -> Attachment {
    Attachment {
        network: network.parse().unwrap(),
        container: container.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

/// A record with names and addresses, each split at blanks.
pub(crate) fn record(network: &str, container: &str, names: &str, addresses: &str) -> Record {
    Record {
        key: key(network, container),
        netns: String::new(),
        netns_id: NetnsId::default(),
        names: names.split_whitespace().map(|name| name.parse().unwrap()).collect(),
        addresses: addresses.split_whitespace().map(|cidr| cidr.parse().unwrap()).collect(),
        gateways: Vec::new(),
        priority: 0,
        merge: false,
        internal: false,
        suffix: None,
        servers: Vec::new(),
        own_servers: Vec::new(),
        places: Vec::new(),
    }
}

fn zone(records: &[Record]) -> Zone {
    let mut zone = Zone::default();
    for record in records {
        zone.put(record, Instant::now());
    }
    zone
}

/// What `container` finds under `name`, in ascending order; `None` when nobody has it.
fn found(zone: &Zone, container: &str, name: &str) -> Option<Vec<String>> {
    let view = zone.view(container).unwrap();
    let view = view.borrow();
    let mut found = Found::default();
    if !zone.find(view.networks(), view.merges(), name, &mut found) {
        return None;
    }
    let mut all: Vec<IpAddr> = found.v4.iter().map(|a| IpAddr::V4(*a)).collect();
    all.extend(found.v6.iter().map(|a| IpAddr::V6(*a)));
    all.sort_unstable();
    Some(all.iter().map(ToString::to_string).collect())
}

fn town() -> Vec<Record> {
    let suffixed =
        |record: Record| Record { suffix: Some("dns.podman".parse().unwrap()), ..record };
    [
        record("n1", "web", "web www app", "10.90.1.2/24 fd00:90:1::2/64"),
        record("n1", "api", "api app", "10.90.1.3/24 fd00:90:1::3/64"),
        record("n2", "api", "api", "10.90.2.3/24"),
        record("n2", "db", "db a.b dbhost", "10.90.2.4/24"),
        Record { priority: 1, ..record("n1", "cli", "cli", "10.90.1.9/24") },
        record("n2", "cli", "cli", "10.90.2.9/24"),
    ]
    .map(suffixed)
    .into()
}

#[test]
fn every_spelling_of_a_name_is_found_by_who_is_on_its_network() {
    let zone = zone(&town());
    let web = Some(vec!["10.90.1.2".to_owned(), "fd00:90:1::2".to_owned()]);
    for name in ["web", "www", "web.n1", "web.dns.podman", "web.n1.dns.podman"] {
        assert_eq!(found(&zone, "cli", name), web, "{name}");
    }
    let db = Some(vec!["10.90.2.4".to_owned()]);
    for name in ["db", "dbhost", "a.b", "a.b.n2", "a.b.dns.podman"] {
        assert_eq!(found(&zone, "cli", name), db, "{name}");
        assert_eq!(found(&zone, "web", name), None, "{name}");
    }
    for name in ["web.n2", "n1", ".n1", "nope", "nope.dns.podman", ""] {
        assert_eq!(found(&zone, "cli", name), None, "{name}");
    }
}

#[test]
fn the_first_network_answers_alone_or_all_do_when_asked_to() {
    let mut records = town();
    assert_eq!(found(&zone(&records), "cli", "api").unwrap(), ["10.90.1.3", "fd00:90:1::3"]);
    assert_eq!(found(&zone(&records), "cli", "api.n2").unwrap(), ["10.90.2.3"]);
    records.iter_mut().for_each(|record| record.merge = true);
    let both = ["10.90.1.3", "10.90.2.3", "fd00:90:1::3"];
    assert_eq!(found(&zone(&records), "cli", "api").unwrap(), both);
    // Who comes first is not who came first.
    records.iter_mut().for_each(|record| record.merge = false);
    records[5].priority = 2;
    assert_eq!(found(&zone(&records), "cli", "api").unwrap(), ["10.90.2.3"]);
}

#[test]
fn each_answer_begins_with_another_holder_and_has_all_of_them_once() {
    let holders = ["a", "b", "c", "d"];
    let records: Vec<Record> = (1..)
        .zip(holders)
        .map(|(number, id)| record("n1", id, "app", &format!("10.0.0.{number}/24")))
        .collect();
    let zone = zone(&records);
    let view = zone.view("a").unwrap();
    let view = view.borrow();
    let mut last = None;
    let mut firsts = HashMap::<_, u32>::default();
    for _ in 0..200 {
        let mut found = Found::default();
        assert!(zone.find(view.networks(), false, "app", &mut found));
        assert_ne!(last, Some(found.v4[0]));
        last = Some(found.v4[0]);
        *firsts.entry(found.v4[0]).or_default() += 1;
        found.v4.sort_unstable();
        found.v4.dedup();
        assert_eq!(found.v4.len(), holders.len());
    }
    assert_eq!(firsts.values().copied().collect::<Vec<_>>(), [50; 4]);
}

#[test]
fn wildcards_stand_for_all_names_below_and_the_longest_wins() {
    let zone = zone(&[
        record("n1", "web", "web *.foo.local", "10.0.0.1/24"),
        record("n1", "own", "own *.b.foo.local x.foo.local", "10.0.0.2/24"),
    ]);
    let of = |name| found(&zone, "web", name).map(|all| all.join(" "));
    assert_eq!(of("a.foo.local").as_deref(), Some("10.0.0.1"));
    assert_eq!(of("a.c.foo.local").as_deref(), Some("10.0.0.1"));
    assert_eq!(of("a.b.foo.local").as_deref(), Some("10.0.0.2"));
    assert_eq!(of("x.foo.local").as_deref(), Some("10.0.0.2"));
    assert_eq!(of("foo.local"), None);
    assert_eq!(of("*.foo.local").as_deref(), Some("10.0.0.1"));
}

#[test]
fn a_name_is_reserved_for_a_while_after_its_last_holder_left() {
    let mut zone = zone(&town());
    let now = Instant::now();
    let view = zone.view("cli").unwrap();
    let reserved =
        |zone: &Zone, name: &str, at| zone.is_reserved(view.borrow().networks(), name, at);
    assert!(zone.drop(&key("n1", "web"), now));
    assert!(!zone.drop(&key("n1", "web"), now));
    assert_eq!(found(&zone, "cli", "web"), None);
    assert_eq!(found(&zone, "cli", "app").unwrap(), ["10.90.1.3", "fd00:90:1::3"]);
    for name in ["web", "web.n1"] {
        assert!(reserved(&zone, name, now), "{name}");
        assert!(!reserved(&zone, name, now + RESERVED), "{name}");
    }
    assert!(!reserved(&zone, "app", now));
    zone.put(&town()[0], now);
    assert!(!reserved(&zone, "web", now));
}

#[test]
fn addresses_are_called_by_the_first_name_to_those_who_may_know() {
    let zone = zone(&town());
    let reverse = |container: &str, address: &str| {
        let view = zone.view(container).unwrap();
        zone.reverse(view.borrow().networks(), address.parse().unwrap())
    };
    let called = |name: &str| Reverse::Called(name.to_owned());
    assert_eq!(reverse("cli", "10.90.1.2"), called("web.n1.dns.podman"));
    assert_eq!(reverse("cli", "fd00:90:1::2"), called("web.n1.dns.podman"));
    assert_eq!(reverse("cli", "10.90.1.77"), Reverse::Nothing);
    assert_eq!(reverse("web", "10.90.2.4"), Reverse::Nothing);
    assert_eq!(reverse("web", "8.8.8.8"), Reverse::Foreign);
}

#[test]
fn a_container_asks_its_own_servers_then_its_first_networks_then_the_hosts() {
    let servers = |text: &str| -> Vec<Server> { vec![text.parse().unwrap()] };
    let whom = |records: &[Record]| {
        let zone = zone(records);
        let view = zone.view("c").unwrap();
        view.borrow().whom().clone()
    };
    let one = record("n1", "c", "c", "10.0.1.2/24");
    let two = Record { servers: servers("2.2.2.2"), ..record("n2", "c", "c", "10.0.2.2/24") };
    assert_eq!(whom(std::slice::from_ref(&one)), Whom::Host);
    assert_eq!(whom(&[one.clone(), two.clone()]), Whom::These(servers("2.2.2.2").into()));
    let first = Record { servers: servers("1.1.1.1"), ..one.clone() };
    assert_eq!(whom(&[two.clone(), first.clone()]), Whom::These(servers("1.1.1.1").into()));
    let own = Record { own_servers: servers("9.9.9.9"), ..two };
    assert_eq!(whom(&[first, own]), Whom::These(servers("9.9.9.9").into()));
}

#[test]
fn an_internal_network_alone_lets_nobody_be_asked_but_its_own_containers() {
    let whom = |records: &[Record]| {
        let zone = zone(records);
        let view = zone.view("c").unwrap();
        view.borrow().whom().clone()
    };
    let inside: Server = "10.0.1.9".parse().unwrap();
    let record_of = |servers: &[Server]| Record {
        internal: true,
        gateways: vec!["10.0.1.1".parse().unwrap()],
        own_servers: servers.to_vec(),
        ..record("n1", "c", "c", "10.0.1.2/24")
    };
    assert_eq!(whom(&[record_of(&[])]), Whom::Nobody);
    for outside in ["8.8.8.8", "10.0.1.1", "10.0.2.9"] {
        assert_eq!(whom(&[record_of(&[outside.parse().unwrap()])]), Whom::Nobody, "{outside}");
    }
    assert_eq!(whom(&[record_of(&[inside])]), Whom::These([inside].into()));
    // With a network that has a way out, it may ask.
    assert_eq!(whom(&[record_of(&[]), record("n2", "c", "c", "10.0.2.2/24")]), Whom::Host);
}

#[test]
fn what_a_network_becomes_holds_for_all_that_are_on_it_already() {
    let mut zone = zone(&[record("n1", "c", "c", "10.0.1.2/24")]);
    let internal = Record { internal: true, ..record("n1", "d", "d", "10.0.1.3/24") };
    zone.put(&internal, Instant::now());
    assert_eq!(zone.view("c").unwrap().borrow().whom(), &Whom::Nobody);
}

#[test]
fn a_record_that_comes_again_replaces_the_earlier_one_and_nothing_is_left_at_the_end() {
    let mut zone = Zone::default();
    let now = Instant::now();
    for round in 0..3 {
        zone.put(&record("n1", "c", &format!("c{round} c"), &format!("10.0.1.{round}/24")), now);
        zone.put(&record("n1", "d", "c", "10.0.1.9/24"), now);
    }
    assert_eq!(zone.len(), 2);
    assert_eq!(found(&zone, "d", "c").unwrap(), ["10.0.1.2", "10.0.1.9"]);
    assert_eq!(found(&zone, "d", "c1"), None);
    assert!(zone.drop(&key("n1", "c"), now) && zone.drop(&key("n1", "d"), now));
    assert!(zone.is_empty() && zone.view("c").is_none());
    zone.tidy(now + RESERVED + Duration::from_millis(1));
    assert_eq!(zone.networks().count(), 0);
    assert!(!zone.is_managed("10.0.1.2".parse().unwrap()));
}

#[test]
fn names_below_a_network_stay_here_unless_it_may_be_a_domain_of_the_internet() {
    let zone = zone(&[
        record("n1", "a", "a", "10.0.1.2/24"),
        record("my-net", "a", "a", "10.0.2.2/24"),
        record("dev", "a", "a", "10.0.3.2/24"),
        record("shop.example", "a", "a", "10.0.4.2/24"),
    ]);
    for name in ["x.n1", "x.y.my-net", "x.shop.example"] {
        assert!(zone.is_below_a_network(name), "{name}");
    }
    for name in ["n1", "example.dev", "x.example", "x.n12", "n1.x"] {
        assert!(!zone.is_below_a_network(name), "{name}");
    }
}
