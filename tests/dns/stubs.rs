//! The resolver of the C library, which asks for both families at once and follows search domains.

use std::fs;

use netns_fixtures::{Namespace, lab_with_plugins};

use super::resident::{cli, db, inner};
use super::town::Town;

/// What a program finds with this resolv.conf: the lab's `/etc` is private, and the host's daemon
/// has its list from elsewhere.
fn found(place: &Namespace, program: &str, options: &str) -> String {
    fs::write("/etc/resolv.conf", format!("nameserver 127.0.0.11\n{options}")).unwrap();
    fs::write("/etc/nsswitch.conf", "hosts: dns\n").unwrap();
    place.run(program)
}

#[test]
fn case_74_glibc_finds_a_name_whatever_it_searches() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.configure(&serde_json::json!({ "servers": ["203.0.113.1"] }));
        let _db = town.receive(db());
        for person in [town.receive(cli()), town.receive(inner())] {
            for dots in ["", "options ndots:0\n", "options ndots:1\n"] {
                for search in ["", "search corp.example\n", "search dns.podman\n"] {
                    let options = format!("{search}{dots}");
                    for program in ["getent ahostsv4 db", "getent hosts db", "getent ahosts db"] {
                        let text = found(person.namespace(), program, &options);
                        assert!(text.contains("10.90.2.4"), "{program}: {options}: {text}");
                    }
                }
            }
        }
    });
}
