//! Two VRFs of one container have the same addresses, and their neighbours notice nothing.

use std::net::{IpAddr, SocketAddr};

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::json;

use super::{config, lab_with_vrfs};
use crate::echo::{Protocol, ask, serve};

const PORT: u16 = 80;

/// A router at 10.1.0.1 and fd00:1::1, with a client behind it: the same for each interface.
fn router(lab: &Lab, c: &Container, ifname: &str) -> Namespace {
    let router = lab.another_host(&format!("router-of-{ifname}"));
    lab.wire((&router, "to-c"), (c, ifname));
    for (ours, theirs, behind, nodad) in [
        ("10.1.0.2/24", "10.1.0.1/24", "198.51.100.1/32", ""),
        ("fd00:1::2/64", "fd00:1::1/64", "2001:db8:a::1/128", " nodad"),
    ] {
        c.run(&format!("ip addr add {ours} dev {ifname}{nodad}"));
        router.run(&format!("ip addr add {theirs} dev to-c{nodad}"));
        router.run(&format!("ip addr add {behind} dev lo{nodad}"));
    }
    router
}

/// Gives the interface its default routes and puts it into a VRF.
fn joins(lab: &Lab, c: &Container, ifname: &str, vrf: &str) {
    for gateway in ["10.1.0.1", "fd00:1::1"] {
        c.run(&format!("ip route replace default via {gateway} dev {ifname}"));
    }
    let mut config = config(c, &json!({ "vrfname": vrf }));
    config["prevResult"]["interfaces"][0]["name"] = json!(ifname);
    let call = lab.plugin("vrf").container(c).ifname(ifname).config(&config);
    call.verb("ADD").run().succeeded();
}

/// What a question to the container gives, asked by the router and by the client behind it.
fn answers(router: &Namespace) -> Vec<Result<String, String>> {
    let mut answers = Vec::new();
    for (address, clients) in
        [("10.1.0.2", ["10.1.0.1", "198.51.100.1"]), ("fd00:1::2", ["fd00:1::1", "2001:db8:a::1"])]
    {
        let at = SocketAddr::new(address.parse::<IpAddr>().unwrap(), PORT);
        for client in clients {
            router.run(&format!("ip route replace {address} dev to-c src {client}"));
            answers.push(ask(router, Protocol::Tcp, at));
        }
    }
    answers
}

#[test]
fn two_vrfs_of_a_container_have_the_same_subnet() {
    lab_with_vrfs(|lab| {
        let c = lab.container("c1");
        let (first, second) = (router(lab, &c, "eth0"), router(lab, &c, "net1"));
        c.run("ip link set dev lo up");
        // One server for all: what it is asked in a VRF it answers there.
        c.set_sysctl("ipv4/tcp_l3mdev_accept", "1");
        for place in [&first, &second, &c] {
            place.settle_link_local();
        }
        serve(&c, "c", PORT);
        joins(lab, &c, "eth0", "blue");
        // Its neighbours have the addresses of the others, to whom answers would go in one table.
        joins(lab, &c, "net1", "red");
        let answered = ["c 10.1.0.1", "c 198.51.100.1", "c fd00:1::1", "c 2001:db8:a::1"];
        let answered = answered.map(|text| Ok(text.to_owned()));
        assert_eq!(answers(&first), answered);
        assert_eq!(answers(&second), answered);
        // Without theirs, there is one way for all.
        let mut config = config(&c, &json!({ "vrfname": "red" }));
        config["prevResult"]["interfaces"][0]["name"] = json!("net1");
        let call = lab.plugin("vrf").container(&c).ifname("net1").config(&config);
        call.verb("DEL").run().succeeded();
        assert_eq!(answers(&first), answered);
        assert!(c.run("ip -4 route show default").is_empty());
        assert!(answers(&second)[1].is_err());
    });
}
