use std::time::Duration;

use kernel::link::{self, Bridge, Data, Dev, Event, Monitor, OperState, PortVlan, Side, Veth};
use kernel::netlink::{Error, Socket};
use kernel::netns;
use serde_json::Value;
use types::{Mtu, VlanId};

use crate::isolation::{available, bridge, dev, here, ip_in, ip_link, isolated, mac, name};

/// A bridge `br0` with a veth port `p0`, both up; the port's peer `p1` is down.
fn bridge_with_port(socket: &Socket) -> (Dev, Dev) {
    socket.run(&Bridge::new(name("br0")).up().create()).unwrap();
    let br0 = dev(socket, "br0");
    socket.run(&Veth::new(name("p0"), name("p1")).master(&br0).up().create()).unwrap();
    (br0, dev(socket, "p0"))
}

fn has_flag(link: &Value, flag: &str) -> bool {
    link["flags"].as_array().unwrap().contains(&flag.into())
}

#[test]
fn one_message_sets_everything_about_a_link() {
    isolated(|| {
        let socket = here();
        let (_, p0) = bridge_with_port(&socket);
        let change = link::set(&p0)
            .mtu(Mtu::try_from(1350).unwrap())
            .mac(mac("02:00:00:00:00:77"))
            .alias("c1/eth0")
            .promisc(true)
            .allmulticast(true)
            .txqueuelen(17)
            .nomaster()
            .down();
        socket.run(&change.request()).unwrap();
        let seen = ip_link("p0");
        assert_eq!((&seen["mtu"], &seen["txqlen"]), (&1350.into(), &17.into()));
        assert_eq!(
            (&seen["address"], &seen["ifalias"]),
            (&"02:00:00:00:00:77".into(), &"c1/eth0".into())
        );
        assert!(
            has_flag(&seen, "PROMISC") && has_flag(&seen, "ALLMULTI") && !has_flag(&seen, "UP")
        );
        assert_eq!(seen["master"], Value::Null);
        let ours = link::get(&socket, &p0).unwrap();
        assert_eq!(
            (ours.alias.as_deref(), ours.promiscuity, ours.master),
            (Some("c1/eth0"), 1, None)
        );
        assert!(ours.is_promisc() && ours.is_allmulticast());
        assert_eq!(ours.txqueuelen, 17);

        socket.run(&link::set(&p0).alias("").promisc(false).up().request()).unwrap();
        let seen = ip_link("p0");
        assert_eq!(seen["ifalias"], Value::Null);
        assert!(!has_flag(&seen, "PROMISC") && has_flag(&seen, "UP"));
        assert!(!link::get(&socket, &p0).unwrap().is_promisc());
    });
}

#[test]
fn an_mtu_that_was_read_can_be_put_back_where_no_other_link_could_have_it() {
    isolated(|| {
        let (socket, lo) = (here(), name("lo"));
        let before = link::get(&socket, &lo).unwrap().mtu;
        assert!(Mtu::try_from(before).is_err(), "{before} bytes are an ordinary MTU");
        socket.run(&link::set(&lo).mtu(Mtu::try_from(1500).unwrap()).request()).unwrap();
        socket.run(&link::set(&lo).mtu_as_read(before).request()).unwrap();
        assert_eq!(ip_link("lo")["mtu"], before);
    });
}

#[test]
fn a_link_can_be_addressed_by_name_and_by_index() {
    isolated(|| {
        let socket = here();
        let (br0, p0) = bridge_with_port(&socket);
        socket.run(&link::set(&name("p1")).master(&br0).request()).unwrap();
        assert_eq!(ip_link("p1")["master"], "br0");
        socket.run(&link::set(p0.index).down().request()).unwrap();
        assert!(!has_flag(&ip_link("p0"), "UP"));
        assert_eq!(link::get(&socket, p0.index).unwrap().dev, p0);
        assert_eq!(link::find(&socket, &name("nosuch")).unwrap(), None);
    });
}

#[test]
fn a_link_is_renamed_and_moved() {
    isolated(|| {
        let (socket, other) = (here(), netns::create_unnamed().unwrap());
        bridge_with_port(&socket);
        let p1 = dev(&socket, "p1");
        socket.run(&link::rename(&p1, &name("tmp0"))).unwrap();
        assert_eq!(ip_link("tmp0")["ifindex"], p1.index);
        socket.run(&link::move_to(&p1, &other, &name("eth0")).request()).unwrap();
        assert_eq!(ip_in(&other, "link show dev eth0")[0]["operstate"], "DOWN");
        assert_eq!(link::find(&socket, &name("tmp0")).unwrap(), None);
    });
}

#[test]
fn options_of_a_bridge_port_are_set_and_read() {
    isolated(|| {
        let socket = here();
        let (_, p0) = bridge_with_port(&socket);
        let before = link::get(&socket, &p0).unwrap().port.unwrap();
        assert!(!before.hairpin && !before.isolated && before.learning && before.flood);
        let change = link::set_port(&name("p0"))
            .hairpin(true)
            .isolated(true)
            .learning(false)
            .flood(false)
            .neigh_suppress(true);
        socket.run(&change.request()).unwrap();
        let seen = &ip_link("p0")["linkinfo"]["info_slave_data"];
        for (option, value) in [
            ("hairpin", true),
            ("isolated", true),
            ("learning", false),
            ("flood", false),
            ("neigh_suppress", true),
        ] {
            assert_eq!(seen[option], value, "{option}");
        }
        let after = link::get(&socket, &p0).unwrap().port.unwrap();
        assert!(after.hairpin && after.isolated && !after.learning && !after.flood);
    });
}

#[test]
fn vlans_of_a_bridge_port_are_added_listed_and_removed() {
    isolated(|| {
        let socket = here();
        let filtering = Bridge::new(name("br0")).vlan_filtering(true).up().create();
        if !available(&socket, &filtering, "bridge VLAN filtering") {
            return;
        }
        let br0 = dev(&socket, "br0");
        socket.run(&Veth::new(name("p0"), name("p1")).master(&br0).up().create()).unwrap();
        let p0 = dev(&socket, "p0");
        let data = link::get(&socket, &br0).unwrap().data;
        assert!(matches!(data, Data::Bridge { vlan_filtering: true, .. }), "{data:?}");
        let id = |number: u32| VlanId::try_from(number).unwrap();
        assert_eq!(link::list_vlans(&socket, &p0).unwrap(), [PortVlan::access(id(1))]);

        let trunk = PortVlan::tagged(id(200)..=id(210));
        let wanted = [PortVlan::access(id(100)), trunk.clone()];
        socket
            .run_all(&[
                link::del_vlans(&p0, Side::Port, &[PortVlan::access(id(1))]),
                link::add_vlans(&p0, Side::Port, &wanted),
                link::add_vlans(&br0, Side::Bridge, &[PortVlan::tagged(id(100)..=id(100))]),
            ])
            .unwrap();
        assert_eq!(link::list_vlans(&socket, &p0).unwrap(), wanted);
        let seen = &bridge("vlan show dev p0")[0]["vlans"];
        assert_eq!(seen[0]["vlan"], 100);
        assert_eq!(seen[0]["flags"].to_string(), r#"["PVID","Egress Untagged"]"#);
        assert_eq!(seen.as_array().unwrap().len(), 12, "{seen}");
        let own = link::list_vlans(&socket, &br0).unwrap();
        assert!(own.iter().any(|vlan| *vlan.ids.start() == id(100)), "{own:?}");

        socket.run(&link::del_vlans(&p0, Side::Port, &[trunk])).unwrap();
        assert_eq!(link::list_vlans(&socket, &p0).unwrap(), wanted[..1]);
    });
}

#[test]
fn listing_vlans_without_kernel_support_says_so() {
    isolated(|| {
        let socket = here();
        let (_, p0) = bridge_with_port(&socket);
        match link::list_vlans(&socket, &p0) {
            Ok(vlans) => assert_eq!(vlans, [PortVlan::access(VlanId::DEFAULT)]),
            Err(error) => {
                assert!(error.is_unsupported(), "{error}");
                assert!(
                    error.to_string().starts_with("list VLANs of bridge port p0 in"),
                    "{error}"
                );
            }
        }
    });
}

#[test]
fn waiting_ends_when_the_port_is_operational() {
    isolated(|| {
        let socket = here();
        let (_, p0) = bridge_with_port(&socket);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let own = here();
                link::wait_until_operational(&own, &p0, Duration::from_secs(10))
            });
            socket.run(&link::set(&name("p1")).up().request()).unwrap();
            assert_eq!(waiter.join().unwrap().unwrap().operstate, OperState::Up);
        });
        assert_eq!(ip_link("p0")["operstate"], "UP");
    });
}

#[test]
fn waiting_for_a_link_without_carrier_ends_at_the_deadline() {
    isolated(|| {
        let socket = here();
        let (_, p0) = bridge_with_port(&socket);
        let limit = Duration::from_millis(30);
        let error = link::wait_until_operational(&socket, &p0, limit).unwrap_err();
        assert_eq!(error.source, Error::Timeout(limit));
        assert_eq!(
            error.to_string(),
            "wait for link p0 to be operational in the test's namespace: no answer within 30 ms"
        );
    });
}

#[test]
fn a_monitor_hears_links_come_and_go() {
    isolated(|| {
        let (socket, monitor) = (here(), Monitor::open("the test's namespace").unwrap());
        socket.run(&Bridge::new(name("br0")).create()).unwrap();
        socket.run(&link::delete(&name("br0"))).unwrap();
        let mut story = Vec::new();
        loop {
            match monitor.next(Duration::from_secs(10)).unwrap().expect("the end was announced") {
                Event::Changed(link) => story.push(("changed", link.dev.name)),
                Event::Gone(link) => {
                    story.push(("gone", link.dev.name));
                    break;
                }
                Event::Lost => panic!("two events fit any socket"),
            }
        }
        assert_eq!(story.first(), Some(&("changed", "br0".to_owned())));
        assert_eq!(story.last(), Some(&("gone", "br0".to_owned())));
        assert_eq!(monitor.next(Duration::ZERO).unwrap(), None);
    });
}
