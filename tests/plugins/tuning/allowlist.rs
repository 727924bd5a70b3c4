//! The node's list of allowed sysctls.

use std::fs;

use netns_fixtures::{Call, Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{container, run};
use crate::under_test::only_ours;

/// Taken for `/` by our plugins: the lab has no `/etc` of its own.
const ROOT: &str = "/run/lab/root";

/// A node with this list.
fn write_list(text: &str) {
    fs::create_dir_all(format!("{ROOT}/etc/cni/tuning")).unwrap();
    fs::write(format!("{ROOT}/etc/cni/tuning/allowlist.conf"), text).unwrap();
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    only_ours(lab, "cannot be given another root");
    super::call(lab, verb, c, members).env("CAIS_ROOT", ROOT)
}

#[test]
fn add_sets_only_what_a_line_of_the_list_matches() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = |name: &str| json!({ "sysctl": { name: "1" } });
        write_list("^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]+$\n\narp_filt\n");
        for name in ["net.ipv4.conf.IFNAME.arp_notify", "net/ipv4/conf/lo/arp_filter"] {
            call(lab, "ADD", &c, &members(name)).run().succeeded();
            call(lab, "DEL", &c, &members(name)).run().is_silent();
        }
        let before = lab.snapshot();
        for name in ["net.ipv4.ip_forward", "net/ipv4/conf/IFNAME/arp_notify"] {
            let refused = call(lab, "ADD", &c, &members(name)).run().refused(7);
            let says = [format!("Sysctl {name} is not allowed"), format!("{ROOT}/etc/cni/tuning")];
            refused.says(&says.each_ref().map(String::as_str));
            lab.assert_unchanged(&before);
        }
    });
}

#[test]
fn the_list_counts_for_add_and_status_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" } });
        call(lab, "ADD", &c, &members).run().succeeded();
        write_list("");
        call(lab, "CHECK", &c, &members).run().is_silent();
        let mut config = super::config_of("1.1.0", &members);
        let status = |config: &Value| call(lab, "STATUS", &c, &members).config(config).run();
        status(&config).refused(50).says(&["net.ipv4.conf.eth0.arp_notify is not allowed"]);
        config["sysctl"] = json!({});
        status(&config).is_silent();
        call(lab, "DEL", &c, &members).run().is_silent();
        assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("0"));
    });
}

#[test]
fn a_list_that_cannot_be_understood_is_the_operators_to_mend() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" } });
        write_list("a\n(b\n");
        let refused = call(lab, "ADD", &c, &members).run().refused(5);
        refused.says(&["allowlist.conf: line 2: (b: ", "one regular expression"]);
        // Without a sysctl nobody looks.
        call(lab, "ADD", &c, &json!({ "mtu": 1400 })).run().succeeded();
        fs::remove_file(format!("{ROOT}/etc/cni/tuning/allowlist.conf")).unwrap();
        fs::create_dir(format!("{ROOT}/etc/cni/tuning/allowlist.conf")).unwrap();
        call(lab, "ADD", &c, &members).run().refused(5).says(&["allowlist.conf: "]);
    });
}

#[test]
fn without_a_list_every_network_sysctl_is_allowed() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        run(lab, "ADD", &c, &json!({ "sysctl": { "net.ipv4.ip_forward": "1" } })).succeeded();
        assert_eq!(c.sysctl("ipv4/ip_forward").as_deref(), Some("1"));
    });
}
