//! The link itself, as far as all kinds are alike: MTU, name, alias; and the result that tells of it.

use netns_fixtures::Container;
use serde_json::json;

use super::{attached, link, pool, sibling, with, with_addresses};
use crate::battery::{Family, USUAL, VERSIONS};
use crate::under_test::{
    BOOKKEEPING, MASTER, NETWORK, least_config, must_know, only_ours, unlike_reference,
};

every_sublink! {
    fn a_link_is_told_in_the_shape_of_the_version(lab, plugin) {
        for version in VERSIONS {
            if version == "1.1.0" && !crate::under_test::are_ours(lab) {
                continue;
            }
            let c = lab.container(&format!("c-{version}"));
            let config = with(pool(plugin, Family::Dual), "cniVersion", json!(version));
            let result = lab.add(plugin, &c, &config);
            assert_eq!(result["cniVersion"], version);
            told(&result, &c, version);
            lab.del(plugin, &c, &config);
            assert!(c.link("eth0").is_none());
            // Each begins with the first address.
            std::fs::remove_dir_all("/var/lib/cni").unwrap();
        }
    }

    fn a_link_has_the_mtu_asked_for_or_its_masters(lab, plugin) {
        lab.host().run(&format!("ip link set dev {MASTER} mtu 1450"));
        let config = least_config(plugin, USUAL);
        let c = attached(lab, "c1", &config);
        assert_eq!(link(&c)["mtu"], 1450);
        let c = lab.container("c2");
        let result = lab.add(plugin, &c, &with(sibling(config, 8), "mtu", json!(1300)));
        assert_eq!(link(&c)["mtu"], 1300);
        unlike_reference(lab, "never fills mtu", || {
            assert_eq!(result["interfaces"][0]["mtu"], 1300);
        });
    }

    fn the_alias_of_a_link_is_its_key(lab, plugin) {
        only_ours(lab, "gives no alias");
        let c = attached(lab, "c1", &least_config(plugin, USUAL));
        assert_eq!(link(&c)["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    }

    fn a_link_stands_on_a_master_within_the_container_when_asked_for(lab, plugin) {
        only_ours(lab, "does not know linkInContainer (1.1.1)");
        let neighbour = lab.another_host("neighbour");
        let c = lab.container("c1");
        lab.wire((&c, MASTER), (&neighbour, "eth0"));
        let before = lab.snapshot();
        let config = with_addresses(least_config(plugin, USUAL), &["10.1.0.5/24"]);
        let config = with(config, "linkInContainer", json!(true));
        let mut checked = config.clone();
        checked["prevResult"] = lab.add(plugin, &c, &config);
        assert_eq!(link(&c)["link"], MASTER);
        let call = lab.plugin(plugin).container(&c).config(&checked);
        call.clone().verb("CHECK").run().is_silent();
        call.verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    }

    fn the_example_of_its_page_works(lab, plugin) {
        must_know(lab, "1.1.0");
        lab.host().run("ip link add dev eth0 type veth peer name other");
        lab.host().run("ip link set dev eth0 up");
        lab.host().run("ip link set dev other up");
        let (list, page) = example(plugin);
        let c = lab.container("c1");
        crate::plugins::example::works(&lab.plugin(plugin).container(&c), list, page);
    }
}

/// Claims that `result` tells of the link of `c` and its addresses as `version` does.
fn told(result: &serde_json::Value, c: &Container, version: &str) {
    if version < "0.3.0" {
        assert_eq!(result["ip4"]["ip"], "10.1.0.2/24");
        assert_eq!(result["ip6"]["ip"], "fd00:1::2/64");
        return;
    }
    let interface = &result["interfaces"][0];
    assert_eq!(interface["name"], "eth0");
    assert_eq!(interface["mac"], link(c)["address"]);
    assert_eq!(interface["sandbox"], c.path().display().to_string());
    for (i, address) in [(0, "10.1.0.2/24"), (1, "fd00:1::2/64")] {
        let ip = &result["ips"][i];
        assert_eq!((&ip["address"], &ip["interface"]), (&json!(address), &json!(0)));
    }
}

fn example(plugin: &str) -> (&'static str, &'static str) {
    macro_rules! of {
        ($name:literal) => {
            (
                include_str!(concat!("../../../docs/examples/", $name, ".conflist")),
                include_str!(concat!("../../../docs/plugins/", $name, ".md")),
            )
        };
    }
    match plugin {
        "macvlan" => of!("macvlan"),
        "ipvlan" => of!("ipvlan"),
        "vlan" => of!("vlan"),
        _ => panic!("{plugin} has no master"),
    }
}
