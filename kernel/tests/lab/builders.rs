use std::io::Read;
use std::time::Duration;

use kernel::link::{
    self, Bridge, Data, Dev, Dummy, Ipvlan, IpvlanFlag, IpvlanMode, Link, Macvlan, MacvlanMode,
    Queues, Tap, TapError, Veth, Vlan, VlanProtocol, Vrf, Vxlan, open_tap, taps_are_there,
};
use kernel::{addr, netns, route};
use types::{MacAddr, Mtu, VlanId};

use crate::isolation::{
    available, cidr, dev, here, ip, ip_in, ip_link, isolated, link_names, mac, name,
};

fn mtu(bytes: u32) -> Mtu {
    Mtu::try_from(bytes).unwrap()
}

/// A veth pair as master for others.
fn wire(socket: &kernel::netlink::Socket) -> Dev {
    socket.run(&Veth::new(name("up0"), name("up1")).up().create()).unwrap();
    dev(socket, "up0")
}

#[test]
fn a_container_gets_its_interface_address_and_route() {
    isolated(|| {
        let container = netns::create("/run/netns/c1").unwrap();
        let host = here();
        host.run(&Bridge::new(name("cni0")).mac(mac("02:00:00:00:00:01")).up().create()).unwrap();
        let bridge = dev(&host, "cni0");
        let veth = Veth::new(name("veth0"), name("eth0"))
            .master(&bridge)
            .up()
            .peer_netns(&container)
            .peer_mac(mac("02:00:00:00:00:02"));
        let answers = host.batch(&[veth.create(), link::query(&name("veth0"))]);
        let [Ok(_), Ok(Some(reply))] = &answers[..] else { panic!("{answers:?}") };
        let port = Link::from_reply(reply).unwrap();
        assert_eq!(port.master, Some(bridge.index));
        assert!(port.link_netnsid.is_some() && port.is_up());

        let inside = container.socket().unwrap();
        let eth0 = Dev::new(port.link.unwrap(), "eth0");
        inside
            .run_all(&[
                link::set(&eth0).up().request(),
                addr::add(&eth0, cidr("10.1.0.2/24")),
                addr::add(&eth0, cidr("fd00::2/64")),
                route::Route::default(types::Family::V4).via("10.1.0.1".parse().unwrap()).add(),
            ])
            .unwrap();
        let seen = ip_in(&container, "addr show dev eth0");
        assert_eq!(seen[0]["address"], "02:00:00:00:00:02");
        assert_eq!(seen[0]["addr_info"][0]["local"], "10.1.0.2");
        assert_eq!(seen[0]["addr_info"][0]["broadcast"], "10.1.0.255");
        assert_eq!(ip_in(&container, "route show default")[0]["gateway"], "10.1.0.1");
        assert_eq!(ip_link("veth0")["master"], "cni0");
    });
}

#[test]
fn a_bridge_keeps_the_address_it_was_made_with() {
    isolated(|| {
        let socket = here();
        let request = Bridge::new(name("br0")).mac(mac("02:ff:00:00:00:01")).mtu(mtu(1400)).up();
        socket.run(&request.create()).unwrap();
        let port = Veth::new(name("v0"), name("v1")).mac(mac("02:00:00:00:00:01")).mtu(mtu(1400));
        socket.run(&port.master(&dev(&socket, "br0")).create()).unwrap();
        let seen = ip_link("br0");
        assert_eq!(seen["address"], "02:ff:00:00:00:01");
        assert_eq!(seen["mtu"], 1400);
        assert_eq!(seen["linkinfo"]["info_kind"], "bridge");
        assert!(seen["flags"].as_array().unwrap().contains(&"UP".into()));
        let ours = link::get(&socket, &name("br0")).unwrap();
        assert!(matches!(ours.data, Data::Bridge { vlan_filtering: false, .. }), "{ours:?}");
        assert_eq!((ours.mtu, ours.is_up(), ours.is_kind("bridge")), (1400, true, true));
    });
}

#[test]
fn both_ends_of_a_veth_pair_are_as_asked() {
    isolated(|| {
        let socket = here();
        let other = netns::create_unnamed().unwrap();
        let pair = Veth::new(name("a"), name("b"))
            .mac(mac("02:00:00:00:00:0a"))
            .mtu(mtu(1300))
            .peer_mac(mac("02:00:00:00:00:0b"))
            .peer_mtu(mtu(1300))
            .peer_netns(&other);
        socket.run(&pair.create()).unwrap();
        let (near, far) = (ip_link("a"), ip_in(&other, "-d link show dev b"));
        for (end, address) in [(&near, "02:00:00:00:00:0a"), (&far[0], "02:00:00:00:00:0b")] {
            assert_eq!(end["address"], address);
            assert_eq!(end["mtu"], 1300);
            assert_eq!((&end["num_tx_queues"], &end["num_rx_queues"]), (&1.into(), &1.into()));
        }
        let ours = link::get(&socket, &name("a")).unwrap();
        assert_eq!((ours.tx_queues, ours.rx_queues), (1, 1));
        assert_eq!(ours.link.map(u64::from), far[0]["ifindex"].as_u64());
        assert_eq!(ours.mac, Some(mac("02:00:00:00:00:0a")));

        let wide = Veth::new(name("c"), name("d")).queues(Queues::PerCpu);
        socket.run(&wide.create()).unwrap();
        let queues = ip_link("c")["num_tx_queues"].as_u64().unwrap();
        let cpus = std::thread::available_parallelism().unwrap().get() as u64;
        assert!(queues >= cpus, "{queues} queues, {cpus} CPUs");
    });
}

#[test]
fn a_macvlan_child_appears_in_its_namespace_only() {
    isolated(|| {
        let (socket, other) = (here(), netns::create_unnamed().unwrap());
        let master = wire(&socket);
        let child = Macvlan::new(name("eth0"), &master, MacvlanMode::Private)
            .mac(mac("02:00:00:00:00:05"))
            .mtu(mtu(1280))
            .broadcast_queue(50)
            .netns(&other);
        if !available(&socket, &child.create(), "macvlan") {
            return;
        }
        let seen = &ip_in(&other, "-d link show dev eth0")[0];
        assert_eq!(seen["linkinfo"]["info_data"]["mode"], "private");
        assert_eq!(seen["linkinfo"]["info_data"]["bcqueuelen"], 50);
        assert_eq!((&seen["address"], &seen["mtu"]), (&"02:00:00:00:00:05".into(), &1280.into()));
        assert_eq!(link_names(), ["up1", "up0"]);
        let ours = link::get(&other.socket().unwrap(), &name("eth0")).unwrap();
        assert_eq!(ours.data, Data::Macvlan { mode: Some(MacvlanMode::Private) });
        assert_eq!((ours.link, ours.link_netnsid.is_some()), (Some(master.index), true));
    });
}

#[test]
fn a_macvlan_child_in_source_mode_has_its_list() {
    isolated(|| {
        let socket = here();
        let master = wire(&socket);
        let sources = [mac("02:00:00:00:00:0b"), mac("02:00:00:00:00:0c")];
        let child = Macvlan::new(name("mv0"), &master, MacvlanMode::Source).sources(&sources);
        if !available(&socket, &child.create(), "macvlan") {
            return;
        }
        let info = &ip_link("mv0")["linkinfo"]["info_data"];
        assert_eq!(info["mode"], "source");
        // In the order of the kernel's hash table.
        let listed = info["macaddr_data"].to_string();
        let is_listed = |mac: &MacAddr| listed.contains(&mac.to_string());
        assert!(sources.iter().all(is_listed), "{info}");
        let ours = link::get(&socket, &name("mv0")).unwrap();
        assert_eq!(ours.data, Data::Macvlan { mode: Some(MacvlanMode::Source) });
    });
}

#[test]
fn a_child_has_a_carrier_when_its_master_has() {
    isolated(|| {
        let socket = here();
        let master = wire(&socket);
        let child = Macvlan::new(name("mv0"), &master, MacvlanMode::Bridge);
        if !available(&socket, &child.create(), "macvlan") {
            return;
        }
        let up = |link: &str| socket.run(&link::set(&name(link)).up().request()).unwrap();
        let has_carrier = || link::get(&socket, &name("mv0")).unwrap().has_carrier();
        up("mv0");
        assert!(!has_carrier(), "the other end of the master's wire is down");
        up("up1");
        // The kernel tells the child by a task of its own.
        let child = link::get(&socket, &name("mv0")).unwrap();
        link::wait_until_operational(&socket, &child.dev, Duration::from_secs(5)).unwrap();
        assert!(has_carrier());
    });
}

#[test]
fn an_ipvlan_child_works_at_the_layer_asked_for() {
    isolated(|| {
        let socket = here();
        let child = Ipvlan::new(name("ipv0"), &wire(&socket), IpvlanMode::L3s);
        let child = child.flag(IpvlanFlag::Private);
        if !available(&socket, &child.create(), "ipvlan") {
            return;
        }
        let info = &ip_link("ipv0")["linkinfo"]["info_data"];
        assert_eq!((&info["mode"], &info["private"]), (&"l3s".into(), &true.into()));
        let ours = link::get(&socket, &name("ipv0")).unwrap();
        let (mode, flag) = (Some(IpvlanMode::L3s), Some(IpvlanFlag::Private));
        assert_eq!(ours.data, Data::Ipvlan { mode, flag });
    });
}

#[test]
fn a_vlan_has_its_id_and_its_tag() {
    isolated(|| {
        let socket = here();
        let id = VlanId::try_from(100).unwrap();
        let vlan = Vlan::new(name("up0.100"), &wire(&socket), id);
        if !available(&socket, &vlan.protocol(VlanProtocol::Dot1Ad).create(), "802.1q") {
            return;
        }
        let seen = ip_link("up0.100");
        assert_eq!(seen["linkinfo"]["info_data"]["id"], 100);
        assert_eq!(seen["linkinfo"]["info_data"]["protocol"], "802.1ad");
        let ours = link::get(&socket, &name("up0.100")).unwrap();
        assert_eq!(ours.data, Data::Vlan { id: Some(id), protocol: VlanProtocol::Dot1Ad });
    });
}

#[test]
fn a_dummy_has_the_address_and_mtu_asked_for() {
    isolated(|| {
        let socket = here();
        let dummy = Dummy::new(name("d0")).mac(mac("02:00:00:00:00:0d")).mtu(mtu(1234)).up();
        if !available(&socket, &dummy.create(), "dummy") {
            return;
        }
        let seen = ip_link("d0");
        assert_eq!((&seen["address"], &seen["mtu"]), (&"02:00:00:00:00:0d".into(), &1234.into()));
        assert_eq!(seen["linkinfo"]["info_kind"], "dummy");
    });
}

#[test]
fn a_tap_has_the_queues_and_the_owner_asked_for_and_carries_frames() {
    isolated(|| {
        let (socket, other) = (here(), netns::create_unnamed().unwrap());
        if taps_are_there().is_err() {
            println!("skipped: taps (CONFIG_TUN)");
            return;
        }
        Tap::new(name("eth0")).multi_queue().owner(0).group(0).create(&other).unwrap();
        let seen = &ip_in(&other, "-d link show dev eth0")[0]["linkinfo"];
        assert_eq!(
            (&seen["info_kind"], &seen["info_data"]["type"]),
            (&"tun".into(), &"tap".into())
        );
        for key in ["persist", "multi_queue", "vnet_hdr"] {
            assert_eq!(seen["info_data"][key], true, "{key}");
        }
        assert!(!seen["info_data"]["user"].is_null() && !seen["info_data"]["group"].is_null());
        assert_eq!(link_names(), [""; 0]);
        let again = Tap::new(name("eth0")).create(&other).unwrap_err();
        assert!(matches!(again, TapError::Exists { .. }), "{again}");

        Tap::new(name("tap0")).create(&netns::Netns::current().unwrap()).unwrap();
        let mut queue = open_tap(&name("tap0")).unwrap();
        socket.run(&link::set(&name("tap0")).up().request()).unwrap();
        // What the kernel itself says on a new link.
        let mut frame = [0; 2048];
        assert!(queue.read(&mut frame).unwrap() > 14);
        assert_eq!(frame[0], 0x33, "an IPv6 multicast");
    });
}

/// The child that takes the context is refused it, and says so; on a host with SELinux as well.
#[test]
fn a_tap_with_a_context_that_cannot_be_had_is_not_made() {
    isolated(|| {
        if taps_are_there().is_err() {
            println!("skipped: taps (CONFIG_TUN)");
            return;
        }
        let here = netns::Netns::current().unwrap();
        let error = Tap::new(name("tap0")).context("no:such:context").create(&here).unwrap_err();
        assert!(error.to_string().contains("write no:such:context to /proc/"), "{error}");
        assert_eq!(link_names(), [""; 0]);
    });
}

#[test]
fn a_vrf_has_its_table() {
    isolated(|| {
        let socket = here();
        if !available(&socket, &Vrf::new(name("red"), 4711).up().create(), "vrf") {
            return;
        }
        assert_eq!(ip_link("red")["linkinfo"]["info_data"]["table"], 4711);
        assert_eq!(link::get(&socket, &name("red")).unwrap().data, Data::Vrf { table: 4711 });
    });
}

#[test]
fn a_vxlan_has_its_network_and_port() {
    isolated(|| {
        let socket = here();
        let end = Vxlan::new(name("vx0"), 77)
            .port(8472)
            .local("192.0.2.1".parse().unwrap())
            .lower(&wire(&socket))
            .learning(false);
        if !available(&socket, &end.create(), "vxlan") {
            return;
        }
        let seen = &ip_link("vx0")["linkinfo"]["info_data"];
        assert_eq!((&seen["id"], &seen["port"]), (&77.into(), &8472.into()));
        assert_eq!((&seen["local"], &seen["link"]), (&"192.0.2.1".into(), &"up0".into()));
        assert_eq!(seen["learning"], false);
        let ours = link::get(&socket, &name("vx0")).unwrap();
        assert_eq!(
            ours.data,
            Data::Vxlan {
                vni: 77,
                port: 8472,
                local: Some("192.0.2.1".parse().unwrap()),
                lower: Some(dev(&socket, "up0").index),
                learning: false,
            }
        );
    });
}

#[test]
fn the_list_has_what_iproute2_lists() {
    isolated(|| {
        let socket = here();
        // Enough for several pieces of the kernel's reply.
        let pairs = (0..60).map(|n| Veth::new(name(&format!("a{n}")), name(&format!("b{n}"))));
        let requests: Vec<_> = pairs.map(|pair| pair.create()).collect();
        socket.run_all(&requests).unwrap();
        let ours: Vec<(u64, String)> = link::list(&socket)
            .unwrap()
            .into_iter()
            .map(|link| (link.dev.index.into(), link.dev.name))
            .collect();
        let theirs: Vec<(u64, String)> = ip("link show")
            .as_array()
            .unwrap()
            .iter()
            .map(|link| {
                (link["ifindex"].as_u64().unwrap(), link["ifname"].as_str().unwrap().into())
            })
            .collect();
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 121);
    });
}
