//! Beside what administrators and other programs have in the same tables.

use kernel::nft::Batch;
use netfilter::Protocol;
use netfilter::reference::{portmap, tidy};
use netns_fixtures::{Feature, lab};

use crate::ground::{
    asked, mapping, publication, publish_on, removed, saved_with, sh, tried, usual,
};

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
        let handles = publish_on(host, &publication);
        asked(host, |socket| portmap::check(socket, &publication, &usual(), &handles)).unwrap();
        assert!(sh(host, "nft list table ip nat").contains("tcp dport @ports redirect to :22"));
        let whose = ("mynet", "c1");
        assert!(removed(host, |socket, batch| portmap::remove(socket, batch, whose, &handles)));
        assert!(asked(host, tidy).unwrap());
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
        publish_on(host, &publication);
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

#[test]
fn of_two_first_containers_at_the_same_time_one_is_refused_whole_and_built_again() {
    lab(|lab| {
        let host = lab.host();
        let published = |id| publication(id, vec![mapping(Protocol::Tcp, 8080, 80)]);
        asked(host, |socket| {
            let built = |id| {
                let mut batch = Batch::new();
                let added = portmap::add(socket, &mut batch, &published(id), &usual(), &[]);
                (batch, added.unwrap())
            };
            let ((first, _), (second, _)) = (built("c1"), built("c2"));
            first.commit(socket).unwrap();
            assert!(second.commit(socket).unwrap_err().is_exists());
            assert!(!portmap::owns(socket, "mynet", "c2").unwrap());
            built("c2").0.commit(socket).unwrap();
            for id in ["c1", "c2"] {
                portmap::check(socket, &published(id), &usual(), &[]).unwrap();
            }
        });
        assert_eq!(sh(host, "nft list chain ip nat PREROUTING").matches("jump").count(), 1);
    });
}
