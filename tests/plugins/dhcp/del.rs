//! DEL and GC: the server is told, from the address that is given back.

use std::fs;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{Daemon, Lan, address, config, configure, plugged};
use crate::under_test::{only_ours, unlike_reference};

/// A container with a lease on its link, and that lease's address.
fn leased(lab: &Lab, lan: &Lan, name: &str) -> (Container, String) {
    let container = plugged(lab, lan, name);
    let result = lab.add("dhcp", &container, &config(&json!({})));
    configure(&container, &result);
    (container, address(&result))
}

/// What is remembered of leases, by file.
fn remembered() -> Vec<String> {
    let entries = fs::read_dir("/var/lib/cni/cais/dhcp/net").into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn del_gives_the_lease_back_from_its_own_address() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let (c1, ip) = leased(lab, &lan, "c1");
        lan.count(&format!("ip saddr {ip} ip daddr 10.9.0.1"));
        lab.del("dhcp", &c1, &config(&json!({})));
        assert!(lan.wait_for("DHCPRELEASE").contains(&ip));
        unlike_reference(lab, "sends it from 0.0.0.0 [E]", || assert_eq!(lan.counted(), [1]));
        assert_eq!(remembered(), [""; 0]);
        lab.del("dhcp", &c1, &config(&json!({})));
    });
}

#[test]
fn del_gives_the_lease_back_without_a_daemon() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::start(lab);
        let (c1, ip) = leased(lab, &lan, "c1");
        drop(daemon);
        unlike_reference(lab, "fails [E]", || {
            lab.del("dhcp", &c1, &config(&json!({})));
            assert!(lan.wait_for("DHCPRELEASE").contains(&ip));
            assert_eq!(remembered(), [""; 0]);
            lab.del("dhcp", &c1, &config(&json!({})));
        });
    });
}

#[test]
fn del_without_namespace_forgets_the_lease_and_says_that_the_server_keeps_it() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::start(lab);
        let (c1, _) = leased(lab, &lan, "c1");
        let (c2, _) = leased(lab, &lan, "c2");
        only_ours(lab, "remembers nothing that could be looked at");
        for container in [&c1, &c2] {
            container.remove();
        }
        let del = |container: &Container| {
            let call = lab.plugin("dhcp").container(container).env("CNI_NETNS", "");
            call.config(&config(&json!({}))).verb("DEL").run()
        };
        let outcome = del(&c1);
        outcome.succeeded();
        assert!(outcome.stderr.contains("stays with its server until it ends"), "{outcome:?}");
        drop(daemon);
        let outcome = del(&c2);
        outcome.succeeded();
        assert!(outcome.stderr.contains("it does not exist"), "{outcome:?}");
        assert_eq!(remembered(), [""; 0]);
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_of_dhcp_takes_a_stale_file_as_a_namespace_that_is_gone() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::start(lab);
        let (c1, _) = leased(lab, &lan, "c1");
        let (c2, _) = leased(lab, &lan, "c2");
        only_ours(lab, "remembers nothing that could be looked at");
        let del = |container: &Container| {
            container.remove();
            fs::write(container.path(), "").unwrap();
            let call = lab.plugin("dhcp").container(container).config(&config(&json!({})));
            call.verb("DEL").run().succeeded();
            fs::remove_file(container.path()).unwrap();
        };
        del(&c1);
        drop(daemon);
        del(&c2);
        assert_eq!(remembered(), [""; 0]);
    });
}

#[test]
fn gc_gives_back_leases_of_attachments_that_are_not_listed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let (_c1, ip) = leased(lab, &lan, "c1");
        let (c2, _) = leased(lab, &lan, "c2");
        let gc = |valid: Option<Value>| {
            let mut config = config(&json!({}));
            config["cniVersion"] = json!("1.1.0");
            if let Some(valid) = valid {
                config["cni.dev/valid-attachments"] = valid;
            }
            lab.plugin("dhcp").config(&config).verb("GC").run().is_silent();
        };
        gc(None);
        assert_eq!(remembered(), ["c1@eth0", "c2@eth0"]);
        gc(Some(json!([{ "containerID": "c2", "ifname": "eth0" }])));
        assert!(lan.wait_for("DHCPRELEASE").contains(&ip));
        assert_eq!(remembered(), ["c2@eth0"]);
        c2.remove();
        let mut config = config(&json!({}));
        config["cniVersion"] = json!("1.1.0");
        lab.plugin("dhcp").config(&config).verb("GC").run().succeeded();
        assert_eq!(remembered(), [""; 0]);
    });
}

#[test]
fn a_failed_add_leaves_nothing_with_server_and_daemon() {
    lab_with_plugins(|lab| {
        only_ours(lab, "remembers nothing that could be looked at");
        // No subnet mask: the address cannot be used.
        let lan = Lan::new(lab, &["--dhcp-option=1"]);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let request = json!([{ "option": "3", "skipDefault": true }]);
        let call =
            lab.plugin("dhcp").container(&c1).config(&config(&json!({ "request": request })));
        call.verb("ADD").run().refused(5).says(&["without a subnet mask", "hint"]);
        lan.wait_for("DHCPRELEASE");
        assert_eq!(remembered(), [""; 0]);
    });
}
