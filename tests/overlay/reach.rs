//! Who reaches whom, with how much in one packet, and under whose address.

use std::fs;
use std::io::Read;

use netns_fixtures::{Namespace, lab_with_plugins};
use serde_json::json;

use super::{Resident, Town, Underlay, blue, network};
use crate::echo::{assert_answers, serve};

/// A container on each host.
fn one_on_each<'town>(town: &'town Town<'town>) -> Vec<Resident<'town>> {
    (1..=town.hosts.len()).map(|n| town.resident(n, &format!("c{n}"), &blue())).collect()
}

fn all_reach_all(town: &Town<'_>) {
    let residents = one_on_each(town);
    for from in &residents {
        assert_eq!(from.addresses().len(), 2);
        for to in residents.iter().filter(|to| to.number != from.number) {
            from.container.assert_reaches(&to.container);
        }
        from.check();
    }
    for resident in &residents {
        resident.del();
    }
    for host in &town.hosts {
        assert!(host.link("ov-001007").is_none() && host.link("ob-001007").is_none());
    }
}

#[test]
fn containers_of_two_hosts_reach_each_other_in_both_families() {
    lab_with_plugins(|lab| all_reach_all(&Town::new(lab, 2, Underlay::V4)));
}

#[test]
fn containers_of_two_hosts_reach_each_other_over_ipv6() {
    lab_with_plugins(|lab| all_reach_all(&Town::new(lab, 2, Underlay::V6)));
}

#[test]
fn containers_of_five_hosts_reach_each_other_in_both_families() {
    lab_with_plugins(|lab| all_reach_all(&Town::new(lab, 5, Underlay::V4)));
}

/// Packets that the host has cut into pieces.
fn fragments(host: &Namespace) -> String {
    let snmp = host.within(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let mut lines = snmp.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "FragCreates").unwrap();
    values.split(' ').nth(place).unwrap().to_owned()
}

/// The largest packet of `mtu` bytes gets there whole, and one byte more does not leave.
fn full_size_passes(underlay: Underlay, mtu: u32) {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, underlay);
        let residents = one_on_each(&town);
        let (a, b) = (&residents[0], &residents[1]);
        assert_eq!(a.container.link("eth0").unwrap()["mtu"], mtu);
        for (to, header) in b.addresses().iter().zip([28, 48]) {
            let ping = |bytes: u32| {
                let command = format!("ping -c 1 -W 2 -M do -s {} {to}", bytes - header);
                a.container.try_run(&command).status.success()
            };
            assert!(ping(mtu), "{mtu} bytes to {to}");
            assert!(!ping(mtu + 1), "{} bytes to {to}", mtu + 1);
        }
        assert_eq!(fragments(town.host(1)), "0");
    });
}

#[test]
fn a_packet_of_full_size_passes_over_ipv4_and_one_byte_more_does_not() {
    full_size_passes(Underlay::V4, 1450);
}

#[test]
fn a_packet_of_full_size_passes_over_ipv6_and_one_byte_more_does_not() {
    full_size_passes(Underlay::V6, 1430);
}

#[test]
fn a_host_with_a_smaller_underlay_is_sent_smaller_packets() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let file = fs::read_to_string(super::peers("blue")).unwrap();
        let smaller = file.replacen("\"id\":\"h2\"", "\"id\":\"h2\",\"mtu\":1400", 1);
        assert_ne!(file, smaller);
        fs::write(super::peers("blue"), smaller).unwrap();
        let residents = one_on_each(&town);
        let route = town.host(1).run("ip route show 10.77.2.0/24");
        assert!(route.contains("mtu 1350"), "{route}");
        assert_eq!(residents[1].container.link("eth0").unwrap()["mtu"], 1350);
        residents[0].container.assert_reaches(&residents[1].container);
    });
}

#[test]
fn what_stays_in_the_network_has_its_own_address_and_what_leaves_the_hosts() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let residents = one_on_each(&town);
        let outside = town.plug_in("outside", 99);
        serve(&residents[1].container, "b", 80);
        serve(&outside, "outside", 80);
        let own = residents[0].addresses()[0].to_string();
        let b = residents[1].addresses()[0].to_string();
        assert_answers(&residents[0].container, (&b, 80), "b", &own);
        assert_answers(&residents[0].container, ("10.99.0.99", 80), "outside", "10.99.0.1");
        // The host itself, by the gateway's address.
        assert_answers(town.host(1), (&b, 80), "b", "10.77.1.1");
        let b = residents[1].addresses()[1].to_string();
        assert_answers(town.host(1), (&b, 80), "b", "fd77:0:0:1::1");
    });
}

#[test]
fn a_host_whose_policy_is_to_drop_what_it_forwards_lets_the_network_through() {
    lab_with_plugins(|lab| {
        lab.needs(netns_fixtures::Feature::Iptables);
        let town = Town::new(lab, 2, Underlay::V4);
        for host in &town.hosts {
            host.run("iptables -P FORWARD DROP");
            host.run("ip6tables -P FORWARD DROP");
        }
        let residents = one_on_each(&town);
        residents[0].container.assert_reaches(&residents[1].container);
        residents[1].container.assert_reaches(&residents[0].container);
    });
}

#[test]
fn a_file_that_changed_is_noticed_by_the_next_container() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 3, Underlay::V4);
        town.list("blue", 4103, 77, 2);
        let a = town.resident(1, "c1", &blue());
        let b = town.resident(2, "c2", &blue());
        town.list("blue", 4103, 77, 3);
        a.call("CHECK").run().refused(101).says(&["ov-001007: 5 entries added, 0 removed"]);
        let c = town.resident(3, "c3", &blue());
        // Hosts that nobody came to do not know the new one yet.
        a.container.assert_cannot_reach_at(&c.container, c.addresses()[0]);
        let again = town.resident(1, "c4", &blue());
        a.container.assert_reaches(&c.container);
        a.check();
        b.call("CHECK").run().refused(101);
        // And one that left is forgotten.
        town.list("blue", 4103, 77, 2);
        again.del();
        let _last = town.resident(1, "c5", &blue());
        let routes = town.host(1).run("ip route show proto 202");
        assert!(!routes.contains("10.77.3.0/24"), "{routes}");
        a.container.assert_cannot_reach_at(&c.container, c.addresses()[0]);
    });
}

/// What `ping` received of `count` packets, while `act` runs.
fn received(from: &Namespace, to: &str, count: u32, act: impl FnOnce()) -> String {
    let mut ping = from.spawn(&format!("ping -i 0.005 -c {count} -W 2 {to}"));
    act();
    let mut said = String::new();
    ping.stdout().read_to_string(&mut said).unwrap();
    let line = said.lines().find(|line| line.contains("received")).unwrap_or(&said);
    line.split(", ").nth(1).unwrap_or_default().to_owned()
}

#[test]
fn nothing_is_lost_while_containers_and_hosts_come_and_go() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 3, Underlay::V4);
        town.list("blue", 4103, 77, 2);
        let residents: Vec<_> =
            (1..=2).map(|n| town.resident(n, &format!("c{n}"), &blue())).collect();
        let to = residents[1].addresses()[0].to_string();
        let got = received(&residents[0].container, &to, 300, || {
            for number in 0..6 {
                // Another host comes and goes, and the guard with it.
                town.list("blue", 4103, 77, 2 + number % 2);
                let other = town.resident(1, &format!("more{number}"), &blue());
                other.del();
            }
        });
        assert_eq!(got, "300 received");
    });
}

#[test]
fn a_host_that_moves_to_another_address_is_found_there_and_keeps_its_containers() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let residents = one_on_each(&town);
        let index = town.host(2).link("ov-001007").unwrap()["ifindex"].clone();
        town.host(2).run("ip addr add 10.99.0.22/24 dev eth0");
        let file = fs::read_to_string(super::peers("blue")).unwrap();
        fs::write(super::peers("blue"), file.replace("10.99.0.2\"", "10.99.0.22\"")).unwrap();
        for number in [1, 2] {
            town.resident(number, &format!("more{number}"), &blue()).del();
        }
        // Nobody uses the old one any more.
        town.host(1).run("ip route add blackhole 10.99.0.2/32");
        assert_eq!(town.host(2).link("ov-001007").unwrap()["ifindex"], index);
        residents[0].container.assert_reaches(&residents[1].container);
        residents[1].container.assert_reaches(&residents[0].container);
    });
}

#[test]
fn addresses_come_from_several_blocks_in_their_order() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let file = fs::read_to_string(super::peers("blue")).unwrap();
        let small = file.replacen("10.77.1.0/24", "10.77.1.0/30\",\"10.77.64.0/29", 1);
        fs::write(super::peers("blue"), small).unwrap();
        let other = town.resident(2, "other", &blue());
        let config = network("blue", &json!({ "quarantine": 0 }));
        let residents: Vec<_> =
            (1..=6).map(|n| town.resident(1, &format!("c{n}"), &config)).collect();
        let addresses: Vec<String> =
            residents.iter().map(|one| one.addresses()[0].to_string()).collect();
        let expected =
            ["10.77.1.2", "10.77.64.2", "10.77.64.3", "10.77.64.4", "10.77.64.5", "10.77.64.6"];
        assert_eq!(addresses, expected);
        for one in [&residents[0], &residents[5]] {
            one.container.assert_reaches(&other.container);
            other.container.assert_reaches(&one.container);
            one.check();
        }
        residents[0].container.assert_reaches(&residents[5].container);
        let container = lab.container("c7");
        town.try_add(1, &container, &config).refused(11).says(&["10.77.64"]);
    });
}
