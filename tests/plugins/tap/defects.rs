//! Defects of the reference that have no place of their own in the other files.

use serde_json::json;

use super::{attached, lab_with_taps, layer2, link, with};
use crate::battery::USUAL;
use crate::fake::Fake;
use crate::under_test::{unlike_reference, with_keys};

#[test]
fn mtu_and_mac_of_a_tap_with_owner_and_group_are_kept() {
    lab_with_taps(|lab| {
        let keys = json!({ "owner": 0, "group": 0, "mtu": 1300, "mac": "02:00:00:00:00:07" });
        let c = attached(lab, "c1", &with_keys(layer2(), &keys));
        unlike_reference(lab, "ignores mtu and mac of a tap with owner and group [E]", || {
            assert_eq!(link(&c)["mtu"], 1300);
            assert_eq!(link(&c)["address"], "02:00:00:00:00:07");
        });
    });
}

#[test]
fn a_tap_is_made_where_there_is_no_program_ip() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let call = lab.plugin("tap").container(&c).config(&layer2()).verb("ADD");
        let outcome = call.env("PATH", "/nowhere").run();
        unlike_reference(lab, "runs the program ip, and fails without it", || {
            outcome.succeeded();
            assert!(c.link("eth0").is_some());
        });
    });
}

#[test]
fn the_name_servers_that_ipam_gives_are_in_the_result_of_tap() {
    lab_with_taps(|lab| {
        let ipam = json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        });
        let config = with(layer2(), "ipam", ipam);
        let c = lab.container("c1");
        let result = lab.add("tap", &c, &config);
        unlike_reference(lab, "drops what IPAM says of name servers [E]", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
        lab.del("tap", &c, &config);
        let own = with(config, "dns", json!({ "nameservers": ["10.1.0.54"] }));
        let result = lab.add("tap", &c, &own);
        assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.54"]));
    });
}

#[test]
fn mtu_and_advmss_of_routes_of_tap_are_made() {
    lab_with_taps(|lab| {
        let routes =
            json!([{ "dst": "10.8.0.0/16", "gw": "10.1.0.7", "mtu": 1300, "advmss": 1200 }]);
        Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL, "routes": routes,
                "ips": [{ "address": "10.1.0.5/24" }] }),
        );
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        let c = lab.container("c1");
        let call = lab.plugin("tap").container(&c).config(&config).verb("ADD");
        call.env("CNI_PATH", Fake::path(&lab.plugins())).run().succeeded();
        unlike_reference(lab, "makes the route without them [E]", || {
            let route = c.run("ip route show 10.8.0.0/16");
            assert!(route.contains("mtu 1300") && route.contains("advmss 1200"), "{route}");
        });
    });
}
