use kernel::addr::{self, Addr, Dad, PrefixRoute};
use kernel::link::{Bridge, Dev, Veth};
use kernel::neigh;
use kernel::netlink::Socket;
use kernel::route::{self, Filter, Route};
use kernel::rule::{self, Rule};
use types::Family;

use crate::isolation::{cidr, dev, here, ip, isolated, mac, name};

/// A veth pair `e0`/`e1`, both up.
fn wire(socket: &Socket) -> Dev {
    socket.run(&Veth::new(name("e0"), name("e1")).up().create()).unwrap();
    socket.run(&kernel::link::set(&name("e1")).up().request()).unwrap();
    dev(socket, "e0")
}

#[test]
fn addresses_are_added_listed_by_link_and_removed() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        socket.run(&Bridge::new(name("br0")).create()).unwrap();
        let br0 = dev(&socket, "br0");
        socket
            .run_all(&[
                addr::add(&e0, cidr("10.0.0.2/24")),
                addr::add(&e0, cidr("10.0.1.2/31")),
                addr::add(&e0, cidr("fd00::2/64")),
                addr::add(&e0, Addr::new(cidr("10.0.2.2/24")).prefix_route(PrefixRoute::Leave)),
                addr::add(&br0, cidr("10.0.3.1/24")),
            ])
            .unwrap();
        let ours: Vec<String> = addr::list(&socket, &e0)
            .unwrap()
            .into_iter()
            .filter(addr::Found::is_global)
            .map(|found| found.cidr.to_string())
            .collect();
        assert_eq!(ours, ["10.0.0.2/24", "10.0.1.2/31", "10.0.2.2/24", "fd00::2/64"]);
        let seen = ip("addr show dev e0");
        let infos = seen[0]["addr_info"].as_array().unwrap();
        let of = |address: &str| infos.iter().find(|info| info["local"] == address).unwrap();
        assert_eq!(of("10.0.0.2")["broadcast"], "10.0.0.255");
        assert_eq!(of("10.0.1.2").get("broadcast"), None);
        assert_eq!(of("10.0.2.2")["noprefixroute"], true);
        // Without detection it can be used at once.
        assert_eq!(of("fd00::2").get("tentative"), None);
        assert_eq!(of("fd00::2")["nodad"], true);
        assert_eq!(ip("route show 10.0.2.0/24").as_array().unwrap().len(), 0);

        let again = socket.run(&addr::add(&e0, cidr("10.0.0.2/24"))).unwrap_err();
        assert!(again.is_exists(), "{again}");
        assert!(again.to_string().starts_with("add address 10.0.0.2/24 on e0 in"), "{again}");
        socket.run(&addr::replace(&e0, cidr("10.0.0.2/24"))).unwrap();
        socket.run(&addr::del(&e0, cidr("10.0.0.2/24"))).unwrap();
        assert_eq!(
            addr::list(&socket, &e0).unwrap().iter().filter(|found| found.is_global()).count(),
            3
        );
        assert_eq!(
            addr::list_all(&socket)
                .unwrap()
                .iter()
                .filter(|found| found.index == br0.index)
                .count(),
            1
        );
    });
}

#[test]
fn an_address_under_detection_is_tentative() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        socket.run(&addr::add(&e0, Addr::new(cidr("fd00::2/64")).dad(Dad::Detect))).unwrap();
        let found = addr::list(&socket, &e0).unwrap();
        let ours = found.iter().find(|found| found.cidr == cidr("fd00::2/64")).unwrap();
        assert!(ours.is_tentative() && !ours.is_duplicate(), "{ours:?}");
    });
}

#[test]
fn addresses_of_a_link_that_has_gone_are_missing() {
    isolated(|| {
        let error = addr::list(&here(), &Dev::new(4711, "gone0")).unwrap_err();
        assert!(error.is_missing(), "{error}");
        assert!(error.to_string().starts_with("list addresses of gone0 in"), "{error}");
    });
}

#[test]
fn routes_carry_everything_they_are_given() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        socket.run(&addr::add(&e0, cidr("10.0.0.2/24"))).unwrap();
        socket.run(&addr::add(&e0, cidr("fd00::2/64"))).unwrap();
        let full = Route {
            metric: Some(50),
            table: 1000,
            mtu: Some(1400),
            advmss: Some(1360),
            src: Some("10.0.0.2".parse().unwrap()),
            ..Route::to(cidr("10.9.1.0/24")).via("10.0.0.1".parse().unwrap()).dev(&e0)
        };
        let v6 = Route {
            metric: Some(1024),
            ..Route::default(Family::V6).via("fd00::1".parse().unwrap())
        };
        let onlink = Route {
            onlink: true,
            ..Route::to(cidr("10.9.2.0/24")).via("192.0.2.1".parse().unwrap()).dev(&e0)
        };
        let link_scope = Route::to(cidr("10.9.3.0/24")).dev(&e0);
        let requests = [full.add(), v6.add(), onlink.add(), link_scope.add()];
        for (request, answer) in requests.iter().zip(socket.batch(&requests)) {
            answer.unwrap_or_else(|error| panic!("{}: {error}", request.action()));
        }
        let seen = &ip("-d route show table 1000")[0];
        assert_eq!((&seen["dst"], &seen["gateway"]), (&"10.9.1.0/24".into(), &"10.0.0.1".into()));
        assert_eq!((&seen["metric"], &seen["prefsrc"]), (&50.into(), &"10.0.0.2".into()));
        assert_eq!(seen["metrics"][0]["mtu"], 1400);
        assert_eq!(seen["metrics"][0]["advmss"], 1360);
        assert_eq!(ip("-6 route show default")[0]["gateway"], "fd00::1");
        assert_eq!(ip("route show 10.9.2.0/24")[0]["flags"][0], "onlink");
        assert_eq!(ip("route show 10.9.3.0/24")[0]["scope"], "link");

        let only = Filter { table: Some(1000), ..Filter::default() };
        let ours = route::list(&socket, only).unwrap();
        assert_eq!(ours, [Route { scope: Some(0), ..full.clone() }]);
        let none = Filter { table: Some(4242), ..Filter::default() };
        assert_eq!(route::list(&socket, none).unwrap(), []);

        let again = socket.run(&full.add()).unwrap_err();
        assert!(again.is_exists(), "{again}");
        let smaller = Route { mtu: Some(1280), ..full.clone() };
        socket.run(&smaller.replace()).unwrap();
        assert_eq!(route::list(&socket, only).unwrap()[0].mtu, Some(1280));
        // The one that is there has other metrics, so this does not mean it.
        assert!(socket.run(&full.del()).unwrap_err().is_missing());
        socket.run(&Route { mtu: None, advmss: None, ..full.clone() }.del()).unwrap();
        assert_eq!(route::list(&socket, only).unwrap(), []);
        assert!(socket.run(&smaller.del()).unwrap_err().is_missing());
    });
}

#[test]
fn a_prepended_route_stands_before_or_beside_another_but_not_twice() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        socket.run(&addr::add(&e0, cidr("10.0.0.2/24"))).unwrap();
        socket.run(&addr::add(&e0, cidr("fd00::2/64"))).unwrap();
        for (family, first, second) in
            [(Family::V4, "10.0.0.1", "10.0.0.9"), (Family::V6, "fd00::1", "fd00::9")]
        {
            let via = |gw: &str| Route::default(family).via(gw.parse().unwrap());
            socket.run(&via(first).prepend()).unwrap();
            assert!(socket.run(&via(second).add()).unwrap_err().is_exists());
            socket.run(&via(second).prepend()).unwrap();
            assert!(socket.run(&via(second).prepend()).unwrap_err().is_exists());
        }
        let four = ip("-4 route show default");
        assert_eq!([&four[0]["gateway"], &four[1]["gateway"]], ["10.0.0.9", "10.0.0.1"]);
        let six = &ip("-6 route show default")[0]["nexthops"];
        assert_eq!([&six[0]["gateway"], &six[1]["gateway"]], ["fd00::1", "fd00::9"]);
    });
}

#[test]
fn routes_are_listed_by_link() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        socket.run(&addr::add(&e0, cidr("10.0.0.2/24"))).unwrap();
        socket.run(&addr::add(&dev(&socket, "e1"), cidr("10.0.1.2/24"))).unwrap();
        let main = Filter {
            family: Some(Family::V4),
            table: Some(route::MAIN),
            dev: Some(e0.index),
            ..Filter::default()
        };
        let ours = route::list(&socket, main).unwrap();
        assert_eq!(ours.iter().map(|route| route.dst).collect::<Vec<_>>(), [cidr("10.0.0.0/24")]);
        let connected = Route::to(cidr("10.0.0.0/24")).dev(&e0);
        socket.run(&connected.del()).unwrap();
        assert_eq!(route::list(&socket, main).unwrap(), []);
    });
}

#[test]
fn neighbours_are_set_listed_and_forgotten() {
    isolated(|| {
        let socket = here();
        let e0 = wire(&socket);
        let (v4, v6) = ("10.0.0.9".parse().unwrap(), "fd00::9".parse().unwrap());
        let address = mac("02:00:00:00:00:09");
        socket
            .run_all(&[neigh::replace(&e0, v4, address), neigh::replace(&e0, v6, address)])
            .unwrap();
        let seen = ip("neigh show dev e0 nud permanent");
        assert_eq!(seen.as_array().unwrap().len(), 2, "{seen}");
        assert!(
            seen.as_array().unwrap().iter().all(|neigh| neigh["lladdr"] == "02:00:00:00:00:09")
        );
        let ours = neigh::list(&socket, &e0).unwrap();
        let ours: Vec<_> =
            ours.iter().filter(|neigh| neigh.is_permanent()).map(|n| (n.ip, n.mac)).collect();
        assert!(
            ours.contains(&(v4, Some(address))) && ours.contains(&(v6, Some(address))),
            "{ours:?}"
        );
        socket.run(&neigh::del(&e0, v4)).unwrap();
        assert_eq!(ip("neigh show dev e0 nud permanent").as_array().unwrap().len(), 1);
    });
}

#[test]
fn rules_are_added_listed_and_deleted() {
    isolated(|| {
        let socket = here();
        let source = Rule::lookup(Family::V4, 4000).from(cidr("10.1.0.5/32")).priority(100);
        let marked = Rule::lookup(Family::V6, 12)
            .fwmark(0x77)
            .to(cidr("fd00::/8"))
            .iif(&name("lo"))
            .priority(101);
        socket.run_all(&[source.add(), marked.add()]).unwrap();
        let seen = ip("rule show priority 100");
        assert_eq!((&seen[0]["src"], &seen[0]["table"]), (&"10.1.0.5".into(), &"4000".into()));
        let seen = ip("-6 rule show priority 101");
        assert_eq!((&seen[0]["fwmark"], &seen[0]["iif"]), (&"0x77".into(), &"lo".into()));
        assert_eq!((&seen[0]["dst"], &seen[0]["dstlen"]), (&"fd00::".into(), &8.into()));
        assert!(rule::list(&socket, Family::V4).unwrap().contains(&source));
        assert!(rule::list(&socket, Family::V6).unwrap().contains(&marked));
        assert!(socket.run(&source.add()).unwrap_err().is_exists());
        socket.run_all(&[source.del(), marked.del()]).unwrap();
        assert!(!rule::list(&socket, Family::V4).unwrap().contains(&source));
    });
}

#[test]
fn the_links_of_default_routes_are_told_by_metric_and_a_route_of_paths_by_its_first() {
    isolated(|| {
        let socket = here();
        let (e0, e1) = (wire(&socket), dev(&socket, "e1"));
        assert!(route::default_links(&socket).unwrap().is_empty());
        socket
            .run_all(&[
                addr::add(&e0, cidr("10.0.0.2/24")),
                addr::add(&e1, cidr("10.0.1.2/24")),
                addr::add(&e1, cidr("fd00::2/64")),
            ])
            .unwrap();
        ip("-6 route add default via fd00::1 dev e1");
        ip("route add default via 10.0.0.1 dev e0 metric 200");
        ip("route add default table 1000 via 10.0.1.1 dev e1");
        ip("route add 10.9.0.0/16 via 10.0.1.1 dev e1");
        assert_eq!(route::default_links(&socket).unwrap(), [e0.index, e1.index]);
        ip("route add default metric 100 nexthop via 10.0.1.1 dev e1 nexthop via 10.0.0.1 dev e0");
        assert_eq!(route::default_links(&socket).unwrap(), [e1.index, e0.index, e1.index]);
    });
}
