//! The client beside a real firewalld, judged with `firewall-cmd`.

use firewalld::{Cause, Firewalld as Client, Member, Zone, is_running};
use netns_fixtures as fixtures;
use netns_fixtures::lab;

fn zone(name: &str) -> Zone {
    name.parse().expect("the name of a zone")
}

fn source(ip: &str) -> Member {
    Member::Source(ip.parse().expect("an address"))
}

fn client() -> Client {
    let found = Client::connect().expect("the bus answers");
    found.expect("firewalld runs")
}

#[test]
fn firewalld_is_found_where_it_runs_and_nowhere_else() {
    lab(|lab| {
        assert!(!is_running().unwrap(), "without a bus");
        let bus = fixtures::SystemBus::start(lab);
        assert!(!is_running().unwrap(), "on a bus alone");
        drop(bus);
        assert!(!is_running().unwrap(), "at the socket that a dead bus left");
        let firewalld = fixtures::Firewalld::start(lab);
        assert!(is_running().unwrap());
        let mut client = client();
        let _bus = firewalld.kill();
        let gone = client.contains(&zone("trusted"), &source("10.1.0.2")).unwrap_err();
        assert!(matches!(gone.cause, Cause::Gone(_)) && gone.is_temporary(), "{gone}");
        assert!(!is_running().unwrap(), "after its end");
    });
}

#[test]
fn a_source_is_added_once_and_removed_once() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        let (mut client, trusted) = (client(), zone("trusted"));
        for (ip, written) in [("10.1.0.2", "10.1.0.2/32"), ("fd00::2", "fd00::2/128")] {
            let member = source(ip);
            assert!(!client.contains(&trusted, &member).unwrap());
            assert_eq!(client.zone_of(&member).unwrap(), None);
            assert!(client.add(&trusted, &member).unwrap(), "by this call");
            assert_eq!(firewalld.sources("trusted"), [written]);
            assert!(client.contains(&trusted, &member).unwrap());
            assert!(!client.contains(&zone("public"), &member).unwrap());
            assert_eq!(client.zone_of(&member).unwrap().as_deref(), Some("trusted"));
            assert!(!client.add(&trusted, &member).unwrap(), "there already");
            assert!(client.remove(&trusted, &member).unwrap(), "by this call");
            assert_eq!(firewalld.sources("trusted"), [""; 0]);
            assert!(!client.remove(&trusted, &member).unwrap(), "gone already");
        }
    });
}

#[test]
fn an_interface_is_added_once_and_removed_once() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        let (mut client, trusted) = (client(), zone("trusted"));
        let bridge = Member::Interface("cni0".parse().unwrap());
        assert!(client.add(&trusted, &bridge).unwrap(), "by this call");
        assert!(!client.add(&trusted, &bridge).unwrap(), "there already");
        assert_eq!(firewalld.cmd("--get-zone-of-interface=cni0"), "trusted");
        assert!(client.contains(&trusted, &bridge).unwrap());
        assert_eq!(client.zone_of(&bridge).unwrap().as_deref(), Some("trusted"));
        assert!(client.remove(&trusted, &bridge).unwrap(), "by this call");
        assert!(!client.remove(&trusted, &bridge).unwrap(), "gone already");
        assert!(!client.contains(&trusted, &bridge).unwrap());
    });
}

#[test]
fn what_is_in_another_zone_is_refused_with_its_name_and_never_removed() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        firewalld.cmd("--zone=internal --add-source=10.1.0.2/32");
        firewalld.cmd("--zone=internal --add-interface=cni0");
        let (mut client, trusted) = (client(), zone("trusted"));
        for (member, told, free) in [
            (source("10.1.0.2"), "source 10.1.0.2/32", "--remove-source=10.1.0.2/32"),
            (
                Member::Interface("cni0".parse().unwrap()),
                "interface cni0",
                "--remove-interface=cni0",
            ),
        ] {
            let error = client.add(&trusted, &member).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("add {told} to firewalld zone trusted: it is in zone internal")
            );
            assert!(!error.is_temporary());
            assert!(!client.remove(&trusted, &member).unwrap());
            assert!(client.contains(&zone("internal"), &member).unwrap());
            // What the hint says helps.
            let hint = error.hint().unwrap();
            let (_, command) = hint.split_once("firewall-cmd ").unwrap();
            assert!(command.ends_with(free), "{hint}");
            firewalld.cmd(command);
            assert!(client.add(&trusted, &member).unwrap());
        }
    });
}

#[test]
fn a_zone_that_is_not_there_is_named() {
    lab(|lab| {
        let _firewalld = fixtures::Firewalld::start(lab);
        let (mut client, nowhere) = (client(), zone("nowhere"));
        assert!(client.has_zone(&zone("trusted")).unwrap());
        assert!(!client.has_zone(&nowhere).unwrap());
        let member = source("10.1.0.2");
        for error in [
            client.add(&nowhere, &member).unwrap_err(),
            client.contains(&nowhere, &member).unwrap_err(),
        ] {
            assert!(error.to_string().ends_with("firewalld zone nowhere: there is no such zone"));
            assert!(error.hint().unwrap().contains("--get-zones"));
        }
        assert!(!client.remove(&nowhere, &member).unwrap(), "there is nothing to remove");
    });
}

#[test]
fn a_panic_of_firewalld_is_told_with_its_end() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        firewalld.cmd("--panic-on");
        let mut client = client();
        let error = client.add(&zone("trusted"), &source("10.1.0.2")).unwrap_err();
        assert!(error.to_string().ends_with("zone trusted: PANIC_MODE"), "{error}");
        let hint = error.hint().unwrap();
        firewalld.cmd(hint.split_once("firewall-cmd ").unwrap().1.split('`').next().unwrap());
        assert!(client.add(&zone("trusted"), &source("10.1.0.2")).unwrap());
    });
}

#[test]
fn a_reload_forgets_what_was_added_and_it_can_be_added_again() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        let (mut client, trusted) = (client(), zone("trusted"));
        let members = [source("10.1.0.2"), Member::Interface("cni0".parse().unwrap())];
        for by_whom in ["by us", "by its operator"] {
            for member in &members {
                assert!(client.add(&trusted, member).unwrap(), "{by_whom}");
            }
            match by_whom {
                "by us" => client.reload().unwrap(),
                _ => firewalld.reload(),
            }
            for member in &members {
                assert!(!client.contains(&trusted, member).unwrap(), "{by_whom}");
            }
        }
        assert!(client.add(&trusted, &members[0]).unwrap());
        assert_eq!(firewalld.sources("trusted"), ["10.1.0.2/32"]);
    });
}

/// So a reload costs us the sources alone.
#[test]
fn a_reload_leaves_the_nftables_tables_of_others_alone() {
    lab(|lab| {
        let firewalld = fixtures::Firewalld::start(lab);
        let host = lab.host();
        for family in ["inet", "ip", "ip6", "bridge"] {
            host.run(&format!("nft add table {family} cais"));
            host.run(&format!("nft add chain {family} cais forward"));
            host.run(&format!("nft add rule {family} cais forward meta mark 7 drop"));
        }
        let listed = || {
            ["inet", "ip", "ip6", "bridge"]
                .map(|family| host.run(&format!("nft list table {family} cais")))
        };
        let before = listed();
        firewalld.reload();
        assert_eq!(listed(), before);
        assert!(host.run("nft list tables").contains("table inet firewalld"));
    });
}

/// What `firewall` asks of firewalld is enough for what leaves a container and for published ports.
/// What comes to a container by its own address is another zone's affair.
#[test]
fn a_source_in_the_zone_trusted_is_what_lets_a_container_out() {
    lab(|lab| {
        let _firewalld = fixtures::Firewalld::start(lab);
        let (host, lan, container) = (lab.host(), lab.another_host("lan"), lab.another_host("c"));
        lab.wire((host, "eth0"), (&lan, "eth0"));
        lab.wire((host, "cni0"), (&container, "eth0"));
        for (at, link, address) in [
            (host, "eth0", "192.0.2.1"),
            (&lan, "eth0", "192.0.2.2"),
            (host, "cni0", "10.1.0.1"),
            (&container, "eth0", "10.1.0.2"),
        ] {
            at.run(&format!("ip addr add {address}/24 dev {link}"));
        }
        lan.run("ip route add 10.1.0.0/24 via 192.0.2.1");
        container.run("ip route add default via 10.1.0.1");
        host.set_sysctl("ipv4/ip_forward", "1");
        let outside = "192.0.2.2".parse().unwrap();
        let own = "10.1.0.2".parse().unwrap();
        let (mut client, trusted) = (client(), zone("trusted"));
        container.assert_cannot_reach_at(&lan, outside);
        client.add(&trusted, &source("10.1.0.2")).unwrap();
        container.assert_reaches_at(&lan, outside);
        lan.assert_cannot_reach_at(&container, own);
        client.reload().unwrap();
        container.assert_cannot_reach_at(&lan, outside);
    });
}
