//! From the first container to the last, and what goes wrong in between.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{OF_THE_NETWORK, Resident, network, try_add};
use crate::filter::{elements, elements_of};
use crate::uplink::both;

/// A network with everything.
fn full() -> Value {
    let keys = json!({ "ipv6": true, "runtimeConfig": { "portMappings": both(8080, 80) } });
    network("web", &keys)
}

#[test]
fn del_leaves_nothing_but_what_the_network_keeps() {
    lab_with_plugins(|lab| {
        // Once, so that what stays after any call is there.
        let first = Resident::new(lab, "first", full());
        first.del();
        let before = lab.snapshot();
        let a = Resident::new(lab, "a", full());
        a.check();
        a.del();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
        a.del();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
    });
}

#[test]
fn del_needs_neither_a_record_nor_a_namespace_nor_the_registry() {
    lab_with_plugins(|lab| {
        let first = Resident::new(lab, "first", full());
        first.del();
        let before = lab.snapshot();
        let a = Resident::new(lab, "a", full());
        std::fs::remove_dir_all("/run/cais/attachments").unwrap();
        std::fs::remove_dir_all("/run/cais/netfilter").unwrap();
        std::fs::remove_dir_all("/var/lib/cni/cais/networks").unwrap();
        assert!(!elements_of(lab, "dnat4_any").is_empty());
        a.del();
        // Nobody remembers whose the table was; what is in it has gone.
        let left = elements(lab);
        assert!(left.iter().all(|element| element.set.starts_with("layout")), "{left:?}");
        lab.assert_unchanged_but(&before, &[OF_THE_NETWORK, &["host nft "]].concat());
        lab.host().run("nft delete table inet cais");
        let b = Resident::new(lab, "b", full());
        b.container.remove();
        let call = lab.plugin("user-bridge").verb("DEL").container(&b.container).config(&full());
        call.without("CNI_NETNS").run().is_silent();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
    });
}

#[test]
fn the_bridge_goes_with_the_last_container_unless_it_was_there_before() {
    lab_with_plugins(|lab| {
        let (a, b) = (
            Resident::new(lab, "a", network("web", &json!({}))),
            Resident::new(lab, "b", network("web", &json!({}))),
        );
        a.del();
        assert!(lab.host().link(&a.bridge()).is_some());
        b.del();
        assert!(lab.host().link(&a.bridge()).is_none());
        lab.host().run("ip link add dev mine type bridge");
        let c = Resident::new(lab, "c", network("other", &json!({ "bridge": "mine" })));
        assert_eq!(c.bridge(), "mine");
        c.del();
        assert!(lab.host().link("mine").is_some());
    });
}

#[test]
fn a_second_add_of_the_same_attachment_is_refused_and_the_first_one_stays() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", full());
        let before = lab.snapshot();
        try_add(lab, &a.container, &full()).error();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
        a.check();
    });
}

#[test]
fn an_add_that_follows_a_dead_one_has_its_address() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", full());
        let address = a.address();
        a.container.remove();
        let again = Resident::new(lab, "a", full());
        assert_eq!(again.address(), address);
        again.check();
        again.del();
    });
}

#[test]
fn gc_takes_all_that_is_not_valid_and_the_network_keeps_its_subnets() {
    lab_with_plugins(|lab| {
        let first = Resident::new(lab, "first", full());
        first.del();
        let before = lab.snapshot();
        let keys = json!({ "ipv6": true });
        let a = Resident::new(lab, "a", full());
        let b = Resident::new(lab, "b", network("web", &keys));
        let address = b.address();
        let mut config = full();
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "b", "ifname": "eth0" }]);
        lab.plugin("user-bridge").verb("GC").config(&config).run().is_silent();
        assert!(a.container.link("eth0").is_none());
        b.check();
        config["cni.dev/valid-attachments"] = json!([]);
        lab.plugin("user-bridge").verb("GC").config(&config).run().is_silent();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
        let asked = json!({ "ipv6": true, "runtimeConfig": { "ips": [address.to_string()] } });
        let again = Resident::new(lab, "c", network("web", &asked));
        assert_eq!(again.address(), address, "its lease was released");
    });
}

#[test]
fn check_notices_what_is_gone() {
    lab_with_plugins(|lab| {
        let bridge = Resident::new(lab, "a", full()).bridge();
        let ways = [
            ("the gateway", format!("ip addr flush dev {bridge} scope global")),
            ("the ports", "nft flush map inet cais dnat4_any".to_owned()),
            ("masquerade", "nft flush set inet cais masq4".to_owned()),
            ("forwarding", "nft flush set inet cais passing".to_owned()),
        ];
        for (number, (what, command)) in ways.into_iter().enumerate() {
            let keys = json!({
                "subnet": format!("10.{number}.0.0/24"), "bridge": format!("web{number}"),
                "runtimeConfig": { "portMappings": both(9000, 80) },
            });
            let name = format!("net{number}");
            let one = Resident::new(lab, &format!("c{number}"), network(&name, &keys));
            one.check();
            let command = command.replace(&bridge, &one.bridge());
            lab.host().run(&command);
            let refused = one.call("CHECK").run().refused(101);
            println!("{what}: {}", refused.text());
            one.del();
        }
    });
}

#[test]
fn status_is_silent_before_and_after_the_first_container() {
    lab_with_plugins(|lab| {
        crate::under_test::only_ours(lab, "has no such plugin");
        let status = || lab.plugin("user-bridge").verb("STATUS").config(&full()).run();
        status().is_silent();
        let a = Resident::new(lab, "a", full());
        status().is_silent();
        a.del();
        std::fs::write("/var/lib/cni/cais/networks/web.json", "{").unwrap();
        status().refused(50).says(&["web.json"]);
    });
}
