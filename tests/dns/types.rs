//! What is said of names and addresses that are ours, by type: cases 19 to 28.

use netns_fixtures::lab_with_plugins;

use super::asking::at_each_door;
use super::message::Record;
use super::message::kind::{A, AAAA, ANY, CAA, DS, HTTPS, MX, NS, PTR, SOA, SRV, SVCB, TXT};
use super::resident::{db, web};
use super::town::Town;
use super::upstream::knowing;

#[test]
fn case_19_a_name_of_ours_has_nothing_of_other_types() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            for kind in [MX, TXT, SRV, HTTPS, SVCB, CAA, NS, SOA, DS] {
                door.ask("web", kind).nodata().owned();
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_20_asked_for_anything_the_addresses_are_told() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            door.ask("web", ANY).addresses(&["10.90.1.2", "fd00:90:1::2"]).owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_21_with_the_suffix_as_well() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            for name in ["web.dns.podman", "web.n1.dns.podman", "web.n1"] {
                door.ask(name, TXT).nodata().owned();
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_22_23_24_an_address_is_called_by_the_first_name() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        let nibbles = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.9.0.0.0.0.d.f.ip6.arpa";
        at_each_door(&town, |door| {
            for name in ["2.1.90.10.in-addr.arpa", "2.1.90.10.IN-ADDR.ARPA", nibbles] {
                door.ask(name, PTR).pointer("web.n1.dns.podman").owned();
            }
            door.ask("2.1.90.10.in-addr.arpa", A).nodata();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_25_26_addresses_of_ours_that_are_nobodys_or_not_seen_are_not_asked_for_outside() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (web, _db) = (town.receive(web()), town.receive(db()));
        at_each_door(&town, |door| {
            door.ask("77.1.90.10.in-addr.arpa", PTR).nxdomain();
            door.ask("77.1.90.10.in-addr.arpa", TXT).nxdomain();
            door.ask("4.2.90.10.in-addr.arpa", PTR).pointer("db.n2.dns.podman");
        });
        for door in web.doors() {
            door.ask("4.2.90.10.in-addr.arpa", PTR).nxdomain();
        }
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_27_other_addresses_are() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(knowing(vec![Record::pointer("8.8.8.8.in-addr.arpa", "dns.google", 100)]));
        at_each_door(&town, |door| {
            door.ask("8.8.8.8.in-addr.arpa", PTR).pointer("dns.google");
        });
        assert_ne!(town.u1.times("8.8.8.8.in-addr.arpa"), 0, "{}", town.report());
    });
}

#[test]
fn case_28_localhost_is_answered_here() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        at_each_door(&town, |door| {
            for name in ["localhost", "x.localhost", "LocalHost"] {
                door.ask(name, A).addresses(&["127.0.0.1"]);
                door.ask(name, AAAA).addresses(&["::1"]);
            }
            door.ask("something.invalid", A).nxdomain();
            door.ask("something.onion", A).nxdomain();
        });
        town.assert_nobody_was_asked();
    });
}
