//! Defects of the reference that have no place of their own in the other files.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{driven_master, usual, with};
use crate::under_test::{leases, must_know, unlike_reference};

/// The reference ends before it has told IPAM.
#[test]
fn del_of_vlan_frees_the_address_when_the_master_is_gone() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("host-local", &c, &usual());
        let call = lab.plugin("vlan").container(&c).config(&usual()).verb("DEL");
        unlike_reference(lab, "wants the master at DEL, and keeps the address [E]", || {
            call.run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    });
}

#[test]
fn the_name_servers_that_ipam_gives_are_in_the_result_of_vlan() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let ipam = json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        });
        let c = lab.container("c1");
        let result = lab.add("vlan", &c, &with(usual(), "ipam", ipam));
        unlike_reference(lab, "drops what IPAM says of name servers [E]", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
    });
}

#[test]
fn a_vlan_without_ipam_is_refused_by_status_as_by_add_with_the_key_named() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        let config = with(with(usual(), "cniVersion", json!("1.1.0")), "ipam", json!({}));
        unlike_reference(lab, "says that an IPAM plugin without a name is missing [E]", || {
            let call = lab.plugin("vlan").config(&config).verb("STATUS");
            call.run().error().says(&["\"ipam.type\" is required"]);
        });
    });
}
