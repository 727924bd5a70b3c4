//! DEL, whatever became of the namespace.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, bare, host_end_name, with, with_pool};
use crate::battery::Family;
use crate::under_test::{leases, only_ours, unlike_reference};

#[test]
fn del_of_ptp_twice_is_success() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::Dual);
        let c = attached(lab, "c1", &config);
        let end = host_end_name(lab.host());
        let call = lab.plugin("ptp").container(&c).config(&config).verb("DEL");
        call.run().is_silent();
        call.run().is_silent();
        assert!(c.link("eth0").is_none() && lab.host().link(&end).is_none());
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn del_of_ptp_frees_the_address_when_the_namespace_is_gone() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let end = host_end_name(lab.host());
        c.remove();
        lab.plugin("ptp").container(&c).config(&config).verb("DEL").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        lab.host().wait_until_gone(&end);
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_of_ptp_takes_a_stale_file_as_a_namespace_that_is_gone() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        let call = lab.plugin("ptp").container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
        assert_eq!(leases(), [""; 0]);
        std::fs::remove_file(c.path()).unwrap();
    });
}

#[test]
fn del_of_ptp_without_a_namespace_removes_the_pair() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("ptp").container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        unlike_reference(lab, "leaves the pair when DEL names no namespace", || {
            assert!(c.link("eth0").is_none());
        });
    });
}

#[test]
fn del_of_ptp_minds_nothing_of_its_configuration_but_ipam() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        only_ours(lab, "reads all of it");
        let config = with(config, "mtu", json!("much"));
        let call = lab.plugin("ptp").container(&c).config(&config).args("nonsense");
        call.verb("DEL").run().is_silent();
        assert!(c.link("eth0").is_none());
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn del_of_ptp_without_ipam_removes_the_pair() {
    lab_with_plugins(|lab| {
        let c = attached(lab, "c1", &with_pool(Family::V4));
        let call = lab.plugin("ptp").container(&c).config(&bare()).verb("DEL");
        unlike_reference(lab, "does nothing without an IPAM plugin", || {
            call.run().is_silent();
            assert!(c.link("eth0").is_none());
        });
    });
}

#[test]
fn del_of_one_pair_leaves_the_siblings() {
    lab_with_plugins(|lab| {
        only_ours(lab, "refuses a second interface on one network");
        let config = with_pool(Family::V4);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        let call = lab.plugin("ptp").container(&b).config(&config).ifname("eth1");
        call.verb("ADD").run().succeeded();
        lab.del("ptp", &a, &config);
        lab.del("ptp", &b, &config);
        assert_eq!(b.link_names(), ["eth1"]);
        assert_eq!(leases(), ["10.1.0.4"]);
        lab.host().assert_reaches(&b);
    });
}
