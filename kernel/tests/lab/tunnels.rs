use kernel::fdb;
use kernel::link::{self, Data, Dev, Vxlan};
use kernel::neigh;
use kernel::netlink::Socket;
use kernel::route::{self, Filter, Route};
use kernel::sysctl::Key;
use types::{Cidr, MacAddr, Mtu};

use crate::isolation::{available, bridge, cidr, dev, here, ip, ip_link, isolated, mac, name};

/// A protocol number that nobody else has here.
const OURS: u8 = 157;

/// A VXLAN end at `local`, bound to no link, up and without addresses; `None` where the kernel has none.
fn end(socket: &Socket, local: &str) -> Option<Dev> {
    let new = Vxlan::new(name("ov0"), 4103)
        .local(local.parse().unwrap())
        .learning(false)
        .mac(mac("02:00:00:00:00:01"))
        .mtu(Mtu::try_from(1430).unwrap());
    if !available(socket, &new.create(), "vxlan") {
        return None;
    }
    let ov0 = dev(socket, "ov0");
    let none = link::set(&ov0).addrgenmode_none().request();
    socket.run_all(&[none, link::set(&ov0).up().request()]).unwrap();
    Some(ov0)
}

fn entries(socket: &Socket, ov0: &Dev) -> Vec<(MacAddr, String)> {
    let mut all: Vec<(MacAddr, String)> = fdb::list(socket, ov0)
        .unwrap()
        .iter()
        .filter(|entry| entry.is_permanent())
        .map(|entry| (entry.mac, entry.dst.unwrap().to_string()))
        .collect();
    all.sort();
    all
}

#[test]
fn an_unbound_vxlan_has_what_it_was_given_and_no_address_of_its_own() {
    isolated(|| {
        let socket = here();
        let Some(ov0) = end(&socket, "192.0.2.1") else { return };
        let seen = ip_link("ov0");
        assert_eq!((&seen["mtu"], &seen["address"]), (&1430.into(), &"02:00:00:00:00:01".into()));
        assert_eq!(Key::conf_v6(&name("ov0"), "addr_gen_mode").read().unwrap(), "1");
        assert_eq!(ip("addr show dev ov0")[0]["addr_info"].as_array().unwrap().len(), 0);
        let ours = link::get(&socket, &ov0).unwrap();
        let Data::Vxlan { lower: None, learning: false, vni: 4103, .. } = ours.data else {
            panic!("{ours:?}")
        };
    });
}

#[test]
fn the_source_of_a_vxlan_changes_in_place_and_keeps_its_entries() {
    isolated(|| {
        let socket = here();
        let Some(ov0) = end(&socket, "2001:db8::1") else { return };
        let peer = mac("02:00:00:00:00:09");
        socket.run(&fdb::replace(&ov0, peer, "2001:db8::9".parse().unwrap())).unwrap();
        let to = "2001:db8::2".parse().unwrap();
        socket.run(&link::set(&ov0).vxlan_local(to).request()).unwrap();
        let Data::Vxlan { local, vni, .. } = link::get(&socket, &ov0).unwrap().data else {
            panic!("no vxlan")
        };
        assert_eq!((local, vni), (Some(to), 4103));
        assert_eq!(ip_link("ov0")["linkinfo"]["info_data"]["local6"], "2001:db8::2");
        assert_eq!(entries(&socket, &ov0), [(peer, "2001:db8::9".to_owned())]);
    });
}

#[test]
fn forwarding_entries_are_replaced_listed_by_device_and_deleted() {
    isolated(|| {
        let socket = here();
        let Some(ov0) = end(&socket, "192.0.2.1") else { return };
        let (a, b) = (mac("02:00:00:00:00:0a"), mac("02:00:00:00:00:0b"));
        let to = |text: &str| text.parse().unwrap();
        socket
            .run_all(&[
                fdb::replace(&ov0, a, to("192.0.2.10")),
                fdb::replace(&ov0, b, to("192.0.2.11")),
                fdb::replace(&ov0, a, to("192.0.2.12")),
            ])
            .unwrap();
        let expected = [(a, "192.0.2.12".to_owned()), (b, "192.0.2.11".to_owned())];
        assert_eq!(entries(&socket, &ov0), expected);
        let theirs = bridge("fdb show dev ov0");
        let theirs = theirs.as_array().unwrap();
        assert_eq!(theirs.len(), 2, "{theirs:?}");
        assert!(theirs.iter().any(|entry| entry["dst"] == "192.0.2.12"
            && entry["state"] == "permanent"
            && entry["flags"][0] == "self"));
        let lo = dev(&socket, "lo");
        assert_eq!(fdb::list(&socket, &lo).unwrap(), []);
        socket.run(&fdb::del(&ov0, a)).unwrap();
        assert!(socket.run(&fdb::del(&ov0, a)).unwrap_err().is_missing());
        assert_eq!(entries(&socket, &ov0).len(), 1);
    });
}

#[test]
fn a_route_by_a_next_hop_that_no_address_tells_of_is_found_by_who_made_it() {
    isolated(|| {
        let socket = here();
        let Some(ov0) = end(&socket, "192.0.2.1") else { return };
        // Without any address of its own a namespace takes no gateway for one.
        socket.run(&link::set(&name("lo")).up().request()).unwrap();
        let by = |dst: &str, gw: &str| Route {
            protocol: OURS,
            mtu: Some(1400),
            ..Route::to(cidr(dst)).onlink(gw.parse().unwrap(), &ov0)
        };
        let routes = [by("10.77.2.0/24", "10.77.2.0"), by("fd77:0:0:2::/64", "fd77:0:0:2::")];
        socket
            .run_all(&[
                neigh::replace(&ov0, "10.77.2.0".parse().unwrap(), mac("02:00:00:00:00:09")),
                routes[0].replace(),
                routes[1].replace(),
                Route::to(cidr("10.78.0.0/16")).dev(&ov0).add(),
            ])
            .unwrap();
        let filter = Filter { protocol: Some(OURS), ..Filter::default() };
        let ours = route::list(&socket, filter).unwrap();
        let found: Vec<Cidr> = ours.iter().map(|route| route.dst).collect();
        assert_eq!(found, routes.clone().map(|route| route.dst));
        assert!(ours.iter().all(|route| route.onlink && route.mtu == Some(1400)), "{ours:?}");
        assert_eq!(ip("route show 10.77.2.0/24")[0]["flags"][0], "onlink");
        // What was read deletes what was made.
        for route in &ours {
            socket.run(&route.del()).unwrap();
        }
        assert_eq!(route::list(&socket, filter).unwrap(), []);
    });
}
