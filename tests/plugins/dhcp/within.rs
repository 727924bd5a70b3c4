//! From the plugins that delegate to it.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{Daemon, Lan};
use crate::battery::USUAL;
use crate::plugins::example::works;
use crate::under_test::{MASTER, NETWORK, must_know, unlike_reference};

const ROUTER: &[&str] = &["--dhcp-option=option:router,10.9.0.1"];

#[test]
fn a_container_on_a_bridge_gets_and_gives_back_an_address_of_the_lan() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, ROUTER);
        let host = lab.host();
        host.run("ip link add dev cni0 type bridge");
        host.run("ip link set dev cni0 up");
        lab.wire((host, "uplink"), (&lan.server, "down"));
        host.run("ip link set dev uplink master cni0");
        lan.server.run("ip link set dev down master br0");
        let _daemon = Daemon::start(lab);
        let config = json!({
            "cniVersion": USUAL, "name": NETWORK, "type": "bridge", "bridge": "cni0",
            "ipam": { "type": "dhcp" },
        });
        let c1 = lab.container("c1");
        let result = lab.add("bridge", &c1, &config);
        let address = result["ips"][0]["address"].as_str().unwrap();
        assert_eq!(c1.addresses("eth0"), [address]);
        assert!(c1.routes().contains(&"default via 10.9.0.1 dev eth0".to_owned()));
        c1.assert_reaches_at(&lan.server, "10.9.0.1".parse().unwrap());
        lab.del("bridge", &c1, &config);
        unlike_reference(lab, "has no link to send it by any more [E]", || {
            assert!(lan.wait_for("DHCPRELEASE").contains(address.trim_end_matches("/24")));
        });
    });
}

#[test]
fn a_macvlan_gets_and_gives_back_an_address_of_the_lan() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, ROUTER);
        lab.wire((lab.host(), MASTER), (&lan.server, "down"));
        lan.server.run("ip link set dev down master br0");
        let _daemon = Daemon::start(lab);
        let config = json!({
            "cniVersion": USUAL, "name": NETWORK, "type": "macvlan", "master": MASTER,
            "ipam": { "type": "dhcp" },
        });
        let c1 = lab.container("c1");
        let result = lab.add("macvlan", &c1, &config);
        let address = result["ips"][0]["address"].as_str().unwrap();
        assert_eq!(c1.addresses("eth0"), [address]);
        c1.assert_reaches_at(&lan.server, "10.9.0.1".parse().unwrap());
        let mut check = config.clone();
        check["prevResult"] = result.clone();
        lab.plugin("macvlan").container(&c1).config(&check).verb("CHECK").run().is_silent();
        lab.del("macvlan", &c1, &config);
        lan.wait_for("DHCPRELEASE");
    });
}

#[test]
fn the_example_of_dhcp_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        let lan = Lan::new(lab, ROUTER);
        lab.wire((lab.host(), "eth0"), (&lan.server, "down"));
        lan.server.run("ip link set dev down master br0");
        let _daemon = Daemon::start(lab);
        let c1 = lab.container("c1");
        let list = include_str!("../../../docs/examples/dhcp.conflist");
        works(
            &lab.plugin("macvlan").container(&c1).args("IgnoreUnknown=1;K8S_POD_NAME=web-1"),
            list,
            include_str!("../../../docs/plugins/dhcp.md"),
        );
        assert!(lan.wait_for("client provides name").ends_with("web-1"));
    });
}
