//! DEL, for which no driver is needed: the address is one that `host-local` gave.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{usual, with};
use crate::under_test::{leases, unlike_reference};

/// A container that holds an address of the network, whatever became of its link.
fn leased(lab: &Lab, config: &Value) -> Container {
    let c = lab.container("c1");
    lab.add("host-local", &c, config);
    assert_eq!(leases(), ["10.1.0.2"]);
    c
}

#[test]
fn del_of_vlan_frees_the_address_without_link_and_master_and_does_so_twice() {
    lab_with_plugins(|lab| {
        let c = leased(lab, &usual());
        let call = lab.plugin("vlan").container(&c).config(&usual()).verb("DEL");
        call.run().is_silent();
        assert_eq!(leases(), [""; 0]);
        call.run().is_silent();
    });
}

/// Each namespace that is none, and whether the reference minds.
mod del_of_vlan_frees_the_address {
    use super::*;

    #[test]
    fn when_the_namespace_is_gone() {
        lab_with_plugins(|lab| {
            let c = leased(lab, &usual());
            c.remove();
            lab.plugin("vlan").container(&c).config(&usual()).verb("DEL").run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    }

    #[test]
    fn when_no_namespace_is_named() {
        lab_with_plugins(|lab| {
            let c = leased(lab, &usual());
            let call = lab.plugin("vlan").container(&c).config(&usual()).verb("DEL");
            call.env("CNI_NETNS", "").run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    }

    #[test]
    fn when_a_plain_file_is_left_of_the_namespace() {
        lab_with_plugins(|lab| {
            let c = leased(lab, &usual());
            c.remove();
            std::fs::write(c.path(), "").unwrap();
            let call = lab.plugin("vlan").container(&c).config(&usual()).verb("DEL");
            unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
            assert_eq!(leases(), [""; 0]);
            std::fs::remove_file(c.path()).unwrap();
        });
    }

    #[test]
    fn when_the_namespace_is_gone_in_which_the_master_was() {
        lab_with_plugins(|lab| {
            let config = with(usual(), "linkInContainer", json!(true));
            let c = leased(lab, &config);
            c.remove();
            lab.plugin("vlan").container(&c).config(&config).verb("DEL").run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    }
}
