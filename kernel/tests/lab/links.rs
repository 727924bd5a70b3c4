use kernel::link::{self, Bridge, Veth};
use kernel::netlink::Socket;
use kernel::{addr, netns, route};
use types::{Cidr, IfName, MacAddr};

use crate::isolation::{ip, ip_in, ip_link, isolated};

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

#[test]
fn a_container_gets_its_interface_address_and_route() {
    isolated(|| {
        let container = netns::create("/run/netns/c1").unwrap();
        let host = Socket::open("host").unwrap();
        let mac: MacAddr = "02:00:00:00:00:01".parse().unwrap();
        host.run(&Bridge::new(name("cni0")).mac(mac).up().create()).unwrap();
        let bridge = link::get(&host, &name("cni0")).unwrap();
        assert_eq!((bridge.mac, bridge.is_kind("bridge")), (Some(mac), true));

        let peer_mac: MacAddr = "02:00:00:00:00:02".parse().unwrap();
        let veth = Veth::new(name("veth0"), name("eth0"))
            .master(&bridge.dev)
            .up()
            .peer_netns(&container)
            .peer_mac(peer_mac);
        let answers = host.batch(&[veth.create(), link::query(&name("veth0"))]);
        let [Ok(_), Ok(Some(reply))] = &answers[..] else { panic!("{answers:?}") };
        let port = link::Link::from_reply(reply).unwrap();
        assert_eq!(port.master, Some(bridge.dev.index));
        host.run(&link::set(&port).alias("c1").request()).unwrap();
        assert_eq!(link::get(&host, &port).unwrap().alias.as_deref(), Some("c1"));
        assert_eq!(ip_link("veth0")["master"], "cni0");

        let inside = container.socket().unwrap();
        let eth0 = link::Dev::new(port.link.unwrap(), "eth0");
        inside
            .run_all(&[
                link::set(&eth0).up().request(),
                addr::add(&eth0, cidr("10.1.0.2/24")),
                addr::add(&eth0, cidr("fd00::2/64")),
                route::Route::to(cidr("0.0.0.0/0")).via("10.1.0.1".parse().unwrap()).add(),
            ])
            .unwrap();
        let seen = ip_in(&container, "addr show dev eth0");
        assert_eq!(seen[0]["address"], "02:00:00:00:00:02");
        assert_eq!(seen[0]["addr_info"][0]["local"], "10.1.0.2");
        assert_eq!(seen[0]["addr_info"][0]["broadcast"], "10.1.0.255");
        assert_eq!(ip_in(&container, "route show default")[0]["gateway"], "10.1.0.1");
        assert_eq!(ip("link show dev veth0")[0]["ifalias"], "c1");
    });
}
