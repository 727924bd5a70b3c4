//! The resolvers of C libraries, which ask for both families at once and follow search domains.

use std::fs;

use netns_fixtures::{Feature, Namespace, lab_with_plugins};

use super::resident::{cli, db, inner, web};
use super::town::Town;

/// What a program finds with this resolv.conf: the lab's `/etc` is private, and the host's daemon
/// has its list from elsewhere.
fn found(place: &Namespace, program: &str, options: &str) -> String {
    fs::write("/etc/resolv.conf", format!("nameserver 127.0.0.11\n{options}")).unwrap();
    fs::write("/etc/nsswitch.conf", "hosts: dns\n").unwrap();
    place.run(program)
}

/// What musl finds: both families at once, and either missing name would be final.
const MUSL: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int count, char **names) {
    struct addrinfo *found, hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int error = getaddrinfo(names[count - 1], 0, &hints, &found);
    if (error) {
        printf("%s\n", gai_strerror(error));
        return 0;
    }
    for (; found; found = found->ai_next) {
        char text[64];
        int is_v4 = found->ai_family == AF_INET;
        void *address = is_v4 ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
                              : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        puts(inet_ntop(found->ai_family, address, text, sizeof text));
    }
    return 0;
}
"#;

#[test]
fn case_73_musl_finds_a_name_that_has_one_family() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Musl);
        fs::write("/run/stub.c", MUSL).unwrap();
        lab.host().run("musl-gcc -static -o /run/stub /run/stub.c");
        let town = Town::new(lab);
        town.configure(&serde_json::json!({ "servers": ["203.0.113.1"] }));
        let (_db, _web) = (town.receive(db()), town.receive(web()));
        for person in [town.receive(cli()), town.receive(inner())] {
            for options in ["", "search corp.example\noptions ndots:1\n"] {
                let text = found(person.namespace(), "/run/stub db", options);
                assert_eq!(text.trim(), "10.90.2.4", "{} {options}", person.name());
                let text = found(person.namespace(), "/run/stub web", options);
                let mut both: Vec<&str> = text.lines().collect();
                both.sort_unstable();
                assert_eq!(both, ["10.90.1.2", "fd00:90:1::2"], "{} {options}", person.name());
            }
        }
    });
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
