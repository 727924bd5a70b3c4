//! From the plugins that delegate to it.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{Daemon, Lan};
use crate::battery::USUAL;
use crate::under_test::{MASTER, NETWORK};

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
        assert!(lan.wait_for("DHCPRELEASE").contains(address.trim_end_matches("/24")));
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
        assert!(lan.wait_for("DHCPRELEASE").contains(address.trim_end_matches("/24")));
    });
}
