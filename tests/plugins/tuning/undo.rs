//! A failed ADD puts everything back.

use netns_fixtures::{Feature, lab_with_plugins};
use serde_json::json;

use super::{attributes, container, run};
use crate::under_test::{only_ours, unlike_reference};

/// So many packets that no queue has the memory for them; refused after all else was changed.
const TOO_LONG: u32 = u32::MAX;

#[test]
fn a_sysctl_that_is_refused_puts_those_before_it_back() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let text = super::config(&json!({ "mtu": 1400 })).to_string().replacen(
            "\"mtu\":1400",
            "\"sysctl\":{\"net.ipv4.conf.eth0.arp_notify\":\"1\",\"net.ipv4.ip_forward\":\"1\",\
             \"net.ipv4.conf.eth0.rp_filter\":\"many\"}",
            1,
        );
        let add = lab.plugin("tuning").container(&c).stdin(text).verb("ADD").run();
        add.error().says(&["rp_filter"]);
        only_ours(lab, "leaves what it set before, in a random order [E]");
        lab.assert_unchanged(&before);
    });
}

#[test]
fn an_attribute_that_is_refused_puts_all_others_back() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know txQLen (1.1.1)");
        let c = container(lab, "c1");
        c.run("ip link set dev eth0 up");
        c.run("ip link set dev eth0 address 02:00:00:00:00:aa mtu 1500");
        c.run("tc qdisc add dev eth0 root pfifo_fast");
        let (before, had) = (lab.snapshot(), attributes(&c));
        let members = json!({
            "mac": "02:00:00:00:00:01", "mtu": 1400, "promisc": true, "allmulti": true,
            "txQLen": TOO_LONG, "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" },
        });
        run(lab, "ADD", &c, &members).refused(5).says(&["set link eth0 txqueuelen 4294967295"]);
        assert_eq!(attributes(&c), had);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn an_mtu_that_the_interface_does_not_take_puts_the_address_back() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Vlan);
        let c = container(lab, "c1");
        c.run("ip link add dev vlan7 link eth0 type vlan id 7");
        let members = json!({ "mac": "02:00:00:00:00:01", "mtu": 1501 });
        let before = lab.snapshot();
        let add = super::call(lab, "ADD", &c, &members).ifname("vlan7").run();
        add.error();
        unlike_reference(lab, "leaves the address and the file [E]", || {
            lab.assert_unchanged(&before);
        });
    });
}
