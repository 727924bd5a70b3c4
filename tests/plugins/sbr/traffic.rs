//! Answers leave by the interface that they were asked by.

use std::net::SocketAddr;

use netns_fixtures::{Container, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::echo::{Protocol, ask, serve};
use crate::under_test::{NETWORK, result_before, with_keys};

const PORT: u16 = 80;

/// Addresses of a subnet of each family: of the container and of its router.
struct Net {
    ifname: &'static str,
    v4: [&'static str; 2],
    v6: [&'static str; 2],
    /// Somebody behind the router.
    clients: [&'static str; 2],
}

const FIRST: Net = Net {
    ifname: "eth0",
    v4: ["10.0.0.2", "10.0.0.1"],
    v6: ["fd00::2", "fd00::1"],
    clients: ["198.51.100.1", "2001:db8:a::1"],
};
const SECOND: Net = Net {
    ifname: "net1",
    v4: ["10.1.0.2", "10.1.0.1"],
    v6: ["fd00:1::2", "fd00:1::1"],
    clients: ["203.0.113.1", "2001:db8:b::1"],
};

impl Net {
    /// A router with a client behind it, which asks from there.
    fn router(&self, lab: &Lab, c: &Container) -> Namespace {
        let router = lab.another_host(&format!("router-of-{}", self.ifname));
        lab.wire((&router, "to-c"), (c, self.ifname));
        for (ours, theirs, (length, whole), nodad) in [
            (self.v4, self.clients[0], (24, 32), ""),
            (self.v6, self.clients[1], (64, 128), " nodad"),
        ] {
            c.run(&format!("ip addr add {}/{length} dev {}{nodad}", ours[0], self.ifname));
            router.run(&format!("ip addr add {}/{length} dev to-c{nodad}", ours[1]));
            router.run(&format!("ip addr add {theirs}/{whole} dev lo{nodad}"));
            router.run(&format!("ip route add {}/{whole} dev to-c src {theirs}", ours[0]));
        }
        router
    }

    /// What the plugin that made the interface may have answered.
    fn config(&self, c: &Container) -> Value {
        let mut result = result_before(USUAL, &c.path().display().to_string());
        result["interfaces"][0]["name"] = json!(self.ifname);
        result["ips"] = json!([
            { "address": format!("{}/24", self.v4[0]), "gateway": self.v4[1], "interface": 0 },
            { "address": format!("{}/64", self.v6[0]), "gateway": self.v6[1], "interface": 0 },
        ]);
        let config = json!({ "cniVersion": USUAL, "name": NETWORK, "type": "sbr" });
        with_keys(config, &json!({ "prevResult": result }))
    }

    #[track_caller]
    fn clients_are_answered(&self, router: &Namespace) {
        for (address, client) in [(self.v4[0], self.clients[0]), (self.v6[0], self.clients[1])] {
            let at = SocketAddr::new(address.parse().unwrap(), PORT);
            // Who answers datagrams says by which address, so only a connection proves it.
            assert_eq!(ask(router, Protocol::Tcp, at), Ok(format!("c {client}")));
        }
    }
}

#[test]
fn whoever_asks_by_an_interface_is_answered_by_it() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let (first, second) = (FIRST.router(lab, &c), SECOND.router(lab, &c));
        c.run("ip link set dev lo up");
        c.run("ip route add default via 10.0.0.1");
        c.run("ip route add default via fd00::1");
        for place in [&first, &second, &c] {
            place.settle_link_local();
        }
        serve(&c, "c", PORT);
        FIRST.clients_are_answered(&first);
        // Answers to the others leave by the first interface, for a router that knows no way.
        let way = c.run("ip route get 203.0.113.1 from 10.1.0.2");
        assert!(way.contains("dev eth0"), "{way}");
        let add = lab.plugin("sbr").container(&c).ifname("net1").config(&SECOND.config(&c));
        add.clone().verb("ADD").run().succeeded();
        SECOND.clients_are_answered(&second);
        FIRST.clients_are_answered(&first);
        // The first may have a table of its own as well.
        let add = lab.plugin("sbr").container(&c).ifname("eth0").config(&FIRST.config(&c));
        add.verb("ADD").run().succeeded();
        SECOND.clients_are_answered(&second);
        FIRST.clients_are_answered(&first);
        for (client, address, table) in [
            ("203.0.113.1", "10.1.0.2", "dev net1 table 10"),
            ("198.51.100.1", "10.0.0.2", "dev eth0 table 10"),
        ] {
            let way = c.run(&format!("ip route get {client} from {address}"));
            assert!(way.contains(table), "{way}");
        }
    });
}
