//! Beside what administrators and other programs have in the same tables.

use netfilter::Protocol;
use netfilter::reference::{portmap, tidy};
use netns_fixtures::{Feature, lab};

use crate::ground::{asked, done, mapping, publication, removed, saved_with, sh, tried, usual};

/// A table that iptables would call incompatible.
const NATIVE: &str = "
    nft add table ip nat
    nft add chain ip nat prerouting '{ type nat hook prerouting priority -100; }'
    nft add set ip nat ports '{ type inet_service; }'
    nft add rule ip nat prerouting tcp dport @ports redirect to 22
";

#[test]
fn an_administrators_native_rules_stay_and_ours_are_beside_them() {
    lab(|lab| {
        let host = lab.host();
        sh(host, NATIVE);
        let before = sh(host, "nft list ruleset");
        let publication = publication("c1", vec![mapping(Protocol::Tcp, 8080, 80)]);
        let handles =
            done(host, |socket, batch| portmap::add(socket, batch, &publication, &usual(), &[]));
        asked(host, |socket| portmap::check(socket, &publication, &usual(), &handles)).unwrap();
        assert!(sh(host, "nft list table ip nat").contains("tcp dport @ports redirect to :22"));
        let whose = ("mynet", "c1");
        assert!(removed(host, |socket, batch| portmap::remove(socket, batch, whose, &handles)));
        assert!(asked(host, |socket| tidy(socket, None)).unwrap());
        assert_eq!(sh(host, "nft list ruleset"), before);
    });
}

#[test]
fn a_native_chain_in_the_place_of_a_base_chain_is_refused_and_nothing_is_changed() {
    lab(|lab| {
        let host = lab.host();
        sh(host, "nft add table ip nat; nft add chain ip nat PREROUTING");
        let before = sh(host, "nft list ruleset");
        let publication = publication("c1", vec![mapping(Protocol::Tcp, 8080, 80)]);
        let refused =
            tried(host, |socket, batch| portmap::add(socket, batch, &publication, &usual(), &[]));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("use chain ip nat PREROUTING: it is no base chain"), "{text}");
        assert_eq!(sh(host, "nft list ruleset"), before);
    });
}

#[test]
fn what_iptables_restores_after_a_reboot_is_known_again() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let host = lab.host();
        let mut publication = publication(
            "c1",
            vec![mapping(Protocol::Tcp, 8080, 80), mapping(Protocol::Sctp, 9, 9)],
        );
        publication.mappings[0].count = 3;
        done(host, |socket, batch| portmap::add(socket, batch, &publication, &usual(), &[]));
        sh(
            host,
            "iptables-save >/run/v4; ip6tables-save >/run/v6; nft flush ruleset; \
             iptables-restore </run/v4; ip6tables-restore </run/v6",
        );
        asked(host, |socket| portmap::check(socket, &publication, &usual(), &[])).unwrap();
        assert!(removed(host, |socket, batch| {
            portmap::remove(socket, batch, ("mynet", "c1"), &[])
        }));
        assert_eq!(saved_with(host, "CNI-DN"), [""; 0]);
    });
}
