//! An ADD that fails has changed nothing. The reference gives the address back at most.

use std::os::unix::fs::PermissionsExt;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, bare, with, with_addresses, with_pool};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, are_ours, unlike_reference};

const LEAVES: &str = "leaves the pair and forwarding when ADD fails [E]";

/// Runs a program where nothing of the host's can be switched.
const READ_ONLY: &str = "\
#!/bin/sh
exec unshare --mount sh -c '
    mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec \"$@\"
' sh \"$@\"
";

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let call = lab.plugin("ptp").container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

#[test]
fn a_pair_is_taken_back_when_the_ipam_plugin_fails() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        fails_without_a_trace(lab, &c, &with(bare(), "ipam", json!({ "type": "fake" })));
    });
}

#[test]
fn the_lease_of_ptp_is_given_back_when_ipam_gives_no_address() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL, "ips": [] }));
        let config = with(bare(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, "leaves the lease when IPAM gives no address [E]", || {
            fails_without_a_trace(lab, &c, &config);
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    });
}

/// As where `/proc/sys` is read-only.
#[test]
fn the_lease_of_ptp_is_given_back_when_the_host_cannot_forward() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL,
                "ips": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }] }),
        );
        let config = with(bare(), "ipam", json!({ "type": "fake" }));
        let wrapper = std::path::Path::new("/run/read-only");
        std::fs::write(wrapper, READ_ONLY).unwrap();
        std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let call = lab.plugin("ptp").container(&c).config(&config).verb("ADD");
        let call = call.env("CNI_PATH", Fake::path(&lab.plugins())).under("/run/read-only");
        let before = lab.snapshot();
        unlike_reference(lab, "leaves the lease when it cannot turn forwarding on [E]", || {
            call.run().error().says(&["forward"]);
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
            lab.assert_unchanged_but(&before, &[BOOKKEEPING, &["/run/fakes"]].concat());
        });
    });
}

#[test]
fn a_pair_is_taken_back_when_a_route_cannot_be_made() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_pool(Family::Dual);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        config["ipMasq"] = json!(true);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn a_pair_is_taken_back_when_an_address_cannot_be_added() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        // The same twice; `static` does not compare.
        let config = with_addresses(&[("10.1.0.5/24", "10.1.0.1"); 2]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn an_address_without_a_gateway_is_refused_by_ptp() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_addresses(&[("10.1.0.5/24", "10.1.0.1")]);
        config["ipam"]["addresses"][0] = json!({ "address": "10.1.0.5/24" });
        unlike_reference(lab, "fails late, and leaves the pair [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
        if are_ours(lab) {
            let call = lab.plugin("ptp").container(&c).config(&config).verb("ADD");
            call.run().refused(7).says(&["10.1.0.5/24", "no gateway", "let \"ipam\" give"]);
        }
    });
}

#[test]
fn an_interface_that_somebody_else_made_is_left_alone_by_ptp() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        let config = with_pool(Family::V4);
        unlike_reference(lab, "leaves forwarding on when ADD fails", || {
            fails_without_a_trace(lab, &c, &config);
        });
        if are_ours(lab) {
            let call = lab.plugin("ptp").container(&c).config(&config).verb("ADD");
            let named = ["create veth", "/run/netns/c1", "eth0", "already exists", "run DEL"];
            call.run().refused(4).says(&named);
        }
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_pair_stays() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        fails_without_a_trace(lab, &c, &config);
        lab.host().assert_reaches(&c);
    });
}

every_family! {
    fn add_and_del_of_ptp_leave_what_was_there_before(lab, family) {
        let c = lab.container("c1");
        let config = with(with_pool(family), "ipMasq", json!(true));
        // Forwarding stays.
        lab.host().set_sysctl("ipv4/ip_forward", "1");
        lab.host().set_sysctl("ipv6/conf/all/forwarding", "1");
        let before = lab.snapshot();
        for _ in 0..3 {
            lab.add("ptp", &c, &config);
            lab.del("ptp", &c, &config);
        }
        unlike_reference(lab, "leaves the tables of iptables", || {
            lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        });
    }
}
