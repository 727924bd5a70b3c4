//! `127.0.0.11` in containers.

use std::net::SocketAddrV4;

use kernel::netlink::Socket;
use netfilter::Error;
use netfilter::loopback::{self, Lead};
use netns_fixtures::{Container, Lab, Namespace, lab};
use types::{Attachment, IfName};

use crate::ground::{GATEWAYS, PORT, assert_answers, assert_silent, bridge, container, key, serve};

const NAMES: (&str, u16) = ("127.0.0.11", 53);

fn gateway(address: &str, port: u16) -> Lead {
    Lead::Gateway(SocketAddrV4::new(address.parse().unwrap(), port))
}

fn inside<T: Send>(c: &Namespace, act: impl FnOnce(&Socket) -> T + Send) -> T {
    c.within(|| act(&Socket::open_netfilter("a container").unwrap()))
}

fn eth(name: &str) -> IfName {
    name.parse().unwrap()
}

fn lead(c: &Container, key: &Attachment, to: Lead) -> Result<(), Error> {
    inside(c, |socket| loopback::lead(socket, key, &key.ifname, to))
}

fn remove(c: &Container, key: &Attachment) {
    inside(c, |socket| loopback::remove(socket, key)).unwrap();
}

fn check(c: &Container, key: &Attachment, to: Lead) -> Result<(), String> {
    let checked = inside(c, |socket| loopback::check(socket, key, &key.ifname, to));
    checked.map_err(|error| error.to_string())
}

fn ruleset(c: &Container) -> String {
    c.run("nft list ruleset")
}

/// Another interface of `c`, at `10.2.0.2` on the bridge `cni1` with the gateway `10.2.0.1`.
fn second_network(lab: &Lab, c: &Container) -> Attachment {
    let host = lab.host();
    host.run("ip link add dev cni1 type bridge");
    host.run("ip link set dev cni1 up");
    host.run("ip addr add 10.2.0.1/24 dev cni1");
    lab.wire((host, "veth2b"), (c, "eth1"));
    host.run("ip link set dev veth2b master cni1");
    c.run("ip addr add 10.2.0.2/24 dev eth1");
    Attachment { ifname: eth("eth1"), ..key("shop", c) }
}

fn switch(c: &Container, ifname: &str) -> String {
    c.sysctl(&format!("ipv4/conf/{ifname}/route_localnet")).unwrap()
}

#[test]
fn a_resolver_at_the_gateway_answers_at_127_0_0_11_and_sees_the_containers_address() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_silent(&c, NAMES);
        let (key, to) = (key("web", &c), gateway(GATEWAYS[0], PORT));
        lead(&c, &key, to).unwrap();
        assert_answers(&c, NAMES, "resolver", "10.1.0.2");
        check(&c, &key, to).unwrap();
        let once = ruleset(&c);
        lead(&c, &key, to).unwrap();
        assert_eq!(ruleset(&c).matches("dnat").count(), once.matches("dnat").count());
        // Other ports and addresses of loopback are the container's own.
        serve(&c, "own", ("127.0.0.1", 53));
        serve(&c, "own", (NAMES.0, 54));
        assert_answers(&c, ("127.0.0.1", 53), "own", "127.0.0.1");
        assert_answers(&c, (NAMES.0, 54), "own", "127.0.0.1");
        remove(&c, &key);
        assert_eq!(ruleset(&c), "");
        assert_eq!(switch(&c, "eth0"), "0");
        remove(&c, &key);
        assert_eq!(check(&c, &key, to).unwrap_err(), "table ip cais-names is missing");
    });
}

#[test]
fn a_resolver_in_the_containers_namespace_answers_without_any_interface_and_without_routes() {
    lab(|lab| {
        let c = lab.container("c1");
        c.run("ip link set dev lo up");
        serve(&c, "resolver", (NAMES.0, 40053));
        let (key, to) = (key("web", &c), Lead::Local(40053));
        lead(&c, &key, to).unwrap();
        assert_answers(&c, NAMES, "resolver", "127.0.0.1");
        check(&c, &key, to).unwrap();
        remove(&c, &key);
        assert_eq!(ruleset(&c), "");
    });
}

fn serves_names_itself(c: &Container, to: Lead, client: &str) {
    let key = key("web", c);
    lead(c, &key, to).unwrap();
    serve(c, "own", ("0.0.0.0", 53));
    assert_answers(c, NAMES, "resolver", client);
    assert_answers(c, ("127.0.0.1", 53), "own", "127.0.0.1");
    assert_answers(c, ("10.1.0.2", 53), "own", "10.1.0.2");
}

#[test]
fn a_program_of_the_container_may_serve_names_at_all_its_addresses() {
    lab(|lab| {
        bridge(lab);
        let (c, neighbour) = (container(lab, 2), container(lab, 3));
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        serves_names_itself(&c, gateway(GATEWAYS[0], PORT), "10.1.0.2");
        assert_answers(&neighbour, ("10.1.0.2", 53), "own", "10.1.0.3");
        // The gateway is asked from there as well: the resolver of the host's own.
        assert_answers(lab.host(), ("10.1.0.2", 53), "own", GATEWAYS[0]);
    });
}

#[test]
fn it_may_do_so_beside_a_resolver_in_its_namespace() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        serve(&c, "resolver", (NAMES.0, 40053));
        serves_names_itself(&c, Lead::Local(40053), "127.0.0.1");
    });
}

#[test]
fn the_first_of_several_networks_answers_and_the_next_takes_over_when_it_leaves() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        let (web, shop) = (key("web", &c), second_network(lab, &c));
        serve(lab.host(), "first", (GATEWAYS[0], PORT));
        serve(lab.host(), "second", ("10.2.0.1", PORT));
        let (first, second) = (gateway(GATEWAYS[0], PORT), gateway("10.2.0.1", PORT));
        lead(&c, &web, first).unwrap();
        lead(&c, &shop, second).unwrap();
        assert_answers(&c, NAMES, "first", "10.1.0.2");
        // A repeated ADD keeps the place, wherever the resolver is by then.
        serve(lab.host(), "moved", (GATEWAYS[0], 1020));
        lead(&c, &web, gateway(GATEWAYS[0], 1020)).unwrap();
        assert_answers(&c, NAMES, "moved", "10.1.0.2");
        check(&c, &web, gateway(GATEWAYS[0], 1020)).unwrap();
        assert!(check(&c, &web, first).unwrap_err().contains("lead to 10.1.0.1:1021"));
        check(&c, &shop, second).unwrap();
        remove(&c, &web);
        assert_eq!((switch(&c, "eth0"), switch(&c, "eth1")), ("0".into(), "1".into()));
        assert_answers(&c, NAMES, "second", "10.2.0.2");
        c.run("ip link del dev eth1");
        remove(&c, &shop);
        assert_eq!(ruleset(&c), "");
    });
}

#[test]
fn nobody_from_outside_gets_at_127_0_0_0_8_of_the_container() {
    lab(|lab| {
        bridge(lab);
        let (c, host) = (container(lab, 2), lab.host());
        serve(&c, "secret", ("127.0.0.9", 7));
        lead(&c, &key("web", &c), gateway(GATEWAYS[0], PORT)).unwrap();
        assert_eq!(switch(&c, "eth0"), "1");
        // A neighbour that routes loopback addresses to the container.
        host.set_sysctl("ipv4/conf/all/route_localnet", "1");
        host.run("ip route del local 127.0.0.0/8 dev lo table local");
        host.run("ip route add 127.0.0.9 via 10.1.0.2");
        assert_silent(host, ("127.0.0.9", 7));
        let guard = c.run("nft list chain ip cais-names guard");
        assert!(!guard.contains("ip daddr 127.0.0.0/8 counter packets 0"), "{guard}");
        c.run("nft flush chain ip cais-names guard");
        assert_answers(host, ("127.0.0.9", 7), "secret", GATEWAYS[0]);
        let text = check(&c, &key("web", &c), gateway(GATEWAYS[0], PORT)).unwrap_err();
        assert_eq!(text, "chain ip cais-names guard has 0 of its 2 rules");
    });
}

#[test]
fn a_table_of_a_newer_cais_refuses_add_and_is_left_by_del() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        let (web, to) = (key("web", &c), gateway(GATEWAYS[0], PORT));
        lead(&c, &web, to).unwrap();
        c.run("nft delete set ip cais-names layout_1");
        c.run("nft add set ip cais-names layout_2 { type mark; }");
        let other = Attachment { network: "shop".parse().unwrap(), ..web.clone() };
        let error = lead(&c, &other, to).unwrap_err().to_string();
        let words = "use table ip cais-names: it has layout 2, and this cais writes layout 1";
        assert_eq!(error, words);
        check(&c, &web, to).unwrap();
        remove(&c, &web);
        assert_eq!(switch(&c, "eth0"), "0");
        let left = ruleset(&c);
        assert!(left.contains("layout_2") && !left.contains("dnat to"), "{left}");
    });
}

#[test]
fn a_table_of_that_name_by_somebody_else_is_replaced() {
    lab(|lab| {
        let c = lab.container("c1");
        c.run("nft add table ip cais-names");
        c.run("nft add chain ip cais-names out");
        lead(&c, &key("web", &c), Lead::Local(40053)).unwrap();
        check(&c, &key("web", &c), Lead::Local(40053)).unwrap();
    });
}

#[test]
fn check_finds_a_switch_that_was_turned_off() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        let (web, to) = (key("web", &c), gateway(GATEWAYS[0], PORT));
        lead(&c, &web, to).unwrap();
        c.set_sysctl("ipv4/conf/eth0/route_localnet", "0");
        assert_eq!(check(&c, &web, to).unwrap_err(), "route_localnet of eth0 is off");
        lead(&c, &web, to).unwrap();
        check(&c, &web, to).unwrap();
    });
}

#[test]
fn a_switch_that_was_on_before_stays_on() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        c.set_sysctl("ipv4/conf/eth0/route_localnet", "1");
        lead(&c, &key("web", &c), gateway(GATEWAYS[0], PORT)).unwrap();
        remove(&c, &key("web", &c));
        assert_eq!(switch(&c, "eth0"), "1");
    });
}

#[test]
fn a_cais_within_the_container_is_left_alone() {
    lab(|lab| {
        let c = lab.container("c1");
        c.run("nft add table inet cais");
        lead(&c, &key("web", &c), Lead::Local(40053)).unwrap();
        remove(&c, &key("web", &c));
        assert_eq!(ruleset(&c), "table inet cais {\n}\n");
    });
}

#[test]
fn nft_reads_the_rules_as_they_were_meant() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        lead(&c, &key("web", &c), gateway(GATEWAYS[0], PORT)).unwrap();
        let printed = ruleset(&c);
        for line in [
            "ip daddr 127.0.0.11 udp dport 53 dnat to 10.1.0.1:1021 comment \"web/c2/eth0\"",
            "ip daddr 127.0.0.11 tcp dport 53 dnat to 10.1.0.1:1021 comment \"web/c2/eth0\"",
            "iifname != \"lo\" ip daddr 127.0.0.0/8 counter",
            "oifname != \"lo\" ip saddr 127.0.0.0/8 ct status dnat masquerade",
            "elements = { \"eth0\" comment \"web/c2/eth0\" }",
        ] {
            assert!(printed.contains(line), "no `{line}` in\n{printed}");
        }
        std::fs::write("/run/saved", &printed).unwrap();
        c.run("nft flush ruleset");
        c.run("nft -f /run/saved");
        check(&c, &key("web", &c), gateway(GATEWAYS[0], PORT)).unwrap();
    });
}
