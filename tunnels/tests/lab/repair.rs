use netns_fixtures::{Namespace, lab};
use tunnels::{Change, Error};

use crate::{FILE, reconcile, two_hosts};

fn entries(added: usize, removed: usize) -> Change {
    Change::Entries { device: "ov-001007".to_owned(), added, removed }
}

/// Everything that iproute2 shows of the network.
fn shown(host: &Namespace) -> String {
    [
        "ip -4 route show proto 202",
        "ip -6 route show proto 202",
        "ip neigh show dev ov-001007 nud permanent",
        "bridge fdb show dev ov-001007",
    ]
    .map(|command| {
        let mut lines: Vec<String> = host.run(command).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    })
    .join("\n")
}

#[test]
fn each_other_host_is_a_forwarding_entry_and_a_neighbour_and_a_route_for_each_family() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        let device = a.link("ov-001007").unwrap();
        assert_eq!(device["mtu"], 1450);
        assert_eq!(device["ifalias"], "cais overlay blue");
        let shown = shown(&a);
        assert_eq!(shown.lines().count(), 2 * (1 + 2 + 2), "{shown}");
        for part in [
            "10.77.2.0/24 via 10.77.2.0 dev ov-001007 src 10.77.1.1 onlink",
            "fd77:0:0:3::/64 via fd77:0:0:3:: dev ov-001007 src fd77:0:0:1::1",
            "dst 10.99.0.2 self permanent",
        ] {
            assert!(shown.contains(part), "{shown}\nlacks {part}");
        }
        assert_eq!(a.addresses("ov-001007").len(), 2);
    });
}

#[test]
fn what_is_right_stays_untouched_and_what_others_took_away_comes_back() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        assert_eq!(reconcile(&a, FILE, "a").unwrap(), []);
        let before = shown(&a);
        let lost: [(&str, &[Change]); 4] = [
            ("ip route flush proto 202", &[entries(2, 0)]),
            ("ip -6 route flush proto 202", &[entries(2, 0)]),
            ("ip neigh del 10.77.3.0 dev ov-001007", &[entries(1, 0)]),
            ("ip link set dev ov-001007 mtu 1300", &[]),
        ];
        a.run("bridge fdb add 02:00:00:00:00:77 dev ov-001007 dst 10.99.0.9 self permanent");
        assert_eq!(reconcile(&a, FILE, "a").unwrap(), [entries(0, 1)], "a stray entry goes");
        for (command, expected) in lost {
            a.run(command);
            let done = reconcile(&a, FILE, "a").unwrap();
            match expected {
                [] => {}
                expected => assert_eq!(done.last(), expected.last(), "{command}: {done:?}"),
            }
            assert_eq!(shown(&a), before, "{command}: {done:?}");
            assert_eq!(reconcile(&a, FILE, "a").unwrap(), [], "{command}");
        }
        // Down, it loses neighbours and routes.
        a.run("ip link set dev ov-001007 down");
        reconcile(&a, FILE, "a").unwrap();
        assert_eq!(shown(&a), before);
        a.run("ip link del dev ov-001007");
        let done = reconcile(&a, FILE, "a").unwrap();
        assert_eq!(done[0], Change::Made("ov-001007".to_owned()));
        assert_eq!(shown(&a), before);
    });
}

#[test]
fn hosts_that_left_moved_or_gave_a_block_back_leave_nothing_behind() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        let moved = FILE.replace("10.99.0.2", "10.99.0.22").replace(", \"fd77:0:0:3::/64\"", "");
        assert_eq!(reconcile(&a, &moved, "a").unwrap(), [entries(1, 2)]);
        let after = shown(&a);
        assert!(
            after.contains("dst 10.99.0.22 self") && !after.contains("fd77:0:0:3::"),
            "{after}"
        );
        let alone = FILE.split_inclusive("},").next().unwrap().trim_end_matches(',').to_owned();
        let alone = alone + "]}";
        reconcile(&a, &alone, "a").unwrap();
        assert_eq!(shown(&a).trim(), "");
    });
}

#[test]
fn a_device_keeps_what_it_has_when_the_hosts_address_changes_and_is_remade_for_another_port() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        let index = a.link("ov-001007").unwrap()["ifindex"].clone();
        a.run("ip addr add 10.99.0.111/24 dev eth0");
        let other = FILE.replace("10.99.0.1\"", "10.99.0.111\"");
        let done = reconcile(&a, &other, "a").unwrap();
        assert_eq!(done.len(), 1, "{done:?}");
        let device = a.link("ov-001007").unwrap();
        assert_eq!(device["linkinfo"]["info_data"]["local"], "10.99.0.111");
        assert_eq!(device["ifindex"], index);
        let before = shown(&a);
        let port = other.replace("\"vni\"", "\"port\": 8472, \"vni\"");
        let done = reconcile(&a, &port, "a").unwrap();
        assert_eq!(done[0], Change::Remade("ov-001007".to_owned()), "{done:?}");
        assert_eq!(shown(&a), before);
    });
}

#[test]
fn a_device_of_somebody_else_is_named_and_left_alone() {
    lab(|lab| {
        let (a, _) = lab.two_hosts();
        a.run("ip link add dev theirs type vxlan id 4103 dstport 4789 local 10.99.0.1");
        let error = reconcile(&a, FILE, "a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "make ov-001007 for network blue: theirs already takes packets of VNI 4103 at port 4789"
        );
        assert!(error.hint().unwrap().contains("ip link del theirs"));
        a.run("ip link del dev theirs");
        a.run("ip link add dev ov-001007 type bridge");
        let error = reconcile(&a, FILE, "a").unwrap_err();
        assert!(matches!(error, Error::NameTaken { .. }), "{error}");
        a.run("ip link del dev ov-001007");
        a.run("ip route add 10.77.128.0/17 dev eth0");
        let error = reconcile(&a, FILE, "a").unwrap_err().to_string();
        assert!(error.ends_with("route to 10.77.128.0/17 dev eth0 overlaps its pool 10.77.0.0/16"));
        assert!(a.link("ov-001007").is_none());
    });
}

#[test]
fn dismantling_takes_the_devices_of_one_network_alone() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        a.run("ip link add dev theirs type vxlan id 9 dstport 4789 local 10.99.0.1");
        let gone = a.within(|| {
            let socket = kernel::netlink::Socket::open("a host").unwrap();
            tunnels::dismantle(&socket, &"blue".parse().unwrap()).unwrap()
        });
        assert_eq!(gone.len(), 1);
        assert!(a.link("ov-001007").is_none() && a.link("theirs").is_some());
    });
}
