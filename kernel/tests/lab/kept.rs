use std::time::Duration;

use kernel::addr::{self, Addr, Dad};
use kernel::kept::Kept;
use kernel::link::{self, Veth};
use kernel::netlink::Socket;
use kernel::route::{self, MAIN, Route};
use kernel::sysctl::Key;
use types::Family;

use crate::isolation::{cidr, dev, here, ip, isolated, name};

/// Addresses of both families and routes on `e0`, which then goes down and up, as on its way into a
/// VRF. Its routes come back in table 100.
fn goes_down_and_up(socket: &Socket) {
    let e0 = dev(socket, "e0");
    let gw = |text: &str| text.parse().unwrap();
    let on_link = Route::to(cidr("192.0.2.1/32")).dev(&e0);
    socket
        .run_all(&[
            addr::add(&e0, cidr("10.0.0.2/24")),
            addr::add(&e0, Addr::new(cidr("fd00::2/64")).dad(Dad::Skip)),
            on_link.add(),
            Route::default(Family::V4).via(gw("192.0.2.1")).dev(&e0).add(),
            Route::default(Family::V6).via(gw("fd00::1")).dev(&e0).add(),
            Route { table: 200, ..Route::to(cidr("10.9.0.0/16")).dev(&e0) }.add(),
        ])
        .unwrap();
    let before = link::get(socket, &e0).unwrap();
    let kept = Kept::of(socket, &before).unwrap();
    socket.run(&link::set(&e0).down().request()).unwrap();
    socket.run(&link::set(&e0).up().request()).unwrap();
    assert_eq!(routes("200"), [""; 0]);

    kept.moved(MAIN, 100).give_back(socket, &e0, Duration::from_secs(5)).unwrap();
    assert!(route::local(socket, &e0).unwrap().contains(&gw("fd00::2")));
    let seen = ip("addr show dev e0 scope global");
    let infos = seen[0]["addr_info"].as_array().unwrap();
    let of = |address: &str| infos.iter().find(|info| info["local"] == address).unwrap();
    assert_eq!(of("fd00::2").get("tentative"), None);
    assert_eq!(of("fd00::2")["prefixlen"], 64);
    assert_eq!(of("10.0.0.2")["prefixlen"], 24);
    assert_eq!(routes("100"), ["default", "192.0.2.1", "default"]);
    assert_eq!(routes("200"), ["10.9.0.0/16"]);
    let tables = route::tables(socket).unwrap();
    assert!([100, 200, 254, 255].iter().all(|table| tables.contains(table)), "{tables:?}");
    assert!(!tables.contains(&1));
    // What is there already is no error.
    kept.moved(MAIN, 100).give_back(socket, &e0, Duration::from_secs(5)).unwrap();
    assert_eq!(routes("100"), ["default", "192.0.2.1", "default"]);
}

fn routes(table: &str) -> Vec<String> {
    // `ip` fails for a table that never had a route.
    let (v4, v6) = (ip("-4 route show dev e0 table all"), ip("-6 route show dev e0 table all"));
    let all = v4.as_array().unwrap().iter().chain(v6.as_array().unwrap());
    all.filter(|route| route["table"] == table)
        .map(|route| route["dst"].as_str().unwrap().to_owned())
        .collect()
}

fn wire(socket: &Socket) {
    socket.run(&Veth::new(name("e0"), name("e1")).up().create()).unwrap();
}

#[test]
fn what_a_link_loses_by_going_down_and_up_is_given_back() {
    isolated(|| {
        let socket = here();
        wire(&socket);
        socket.run(&link::set(&name("e1")).up().request()).unwrap();
        goes_down_and_up(&socket);
    });
}

#[test]
fn addresses_that_outlive_it_are_not_probed_again() {
    isolated(|| {
        let socket = here();
        wire(&socket);
        socket.run(&link::set(&name("e1")).up().request()).unwrap();
        Key::conf_v6(&name("e0"), "keep_addr_on_down").write("1").unwrap();
        goes_down_and_up(&socket);
    });
}

#[test]
fn a_link_without_carrier_gets_back_what_it_had() {
    isolated(|| {
        let socket = here();
        wire(&socket);
        goes_down_and_up(&socket);
    });
}

#[test]
fn a_link_that_is_down_gets_its_addresses_back_and_nobody_waits() {
    isolated(|| {
        let socket = here();
        socket.run(&Veth::new(name("e0"), name("e1")).create()).unwrap();
        let e0 = dev(&socket, "e0");
        socket.run(&addr::add(&e0, cidr("fd00::2/64"))).unwrap();
        let kept = Kept::of(&socket, &link::get(&socket, &e0).unwrap()).unwrap();
        socket.run(&addr::del(&e0, cidr("fd00::2/64"))).unwrap();
        kept.give_back(&socket, &e0, Duration::ZERO).unwrap();
        assert_eq!(ip("addr show dev e0")[0]["addr_info"][0]["local"], "fd00::2");
    });
}
