//! A container's namespace that is the plugin's own: a path that was recycled.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use crate::battery::USUAL;
use crate::under_test::{are_ours, least_config, unlike_reference};

/// Debian's 1.1.1 does not look; newer ones look when the work is done.
const LATE: &str = "acts first, and looks at the namespace afterwards or not at all [E]";

const SAME: &str = "plugin's netns and netns from CNI_NETNS should not be the same";

every_plugin! {
    fn add_into_the_own_namespace_is_refused_before_anything_is_made(lab, plugin) {
        if plugin == "host" {
            netns_fixtures::skip("`host` wants its own namespace");
        }
        let before = lab.snapshot();
        let call = lab.plugin(plugin).env("CNI_CONTAINERID", "c1").verb("ADD");
        let call = call.env("CNI_NETNS", lab.host().path());
        unlike_reference(lab, LATE, || {
            let error = call.config(&least_config(plugin, USUAL)).run().refused(8);
            error.says(&[SAME]);
            lab.assert_unchanged(&before);
        });
    }
}

#[test]
fn del_in_the_own_namespace_touches_no_link_and_frees_the_address() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = least_config("bridge", USUAL);
        config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
        lab.add("bridge", &c, &config);
        // A link of the host with the name that the container's interface has.
        lab.host().run("ip link add dev eth0 type bridge");
        let own = lab.plugin("bridge").container(&c).env("CNI_NETNS", lab.host().path());
        unlike_reference(lab, LATE, || {
            let outcome = own.config(&config).verb("DEL").run();
            outcome.is_silent();
            assert!(outcome.stderr.contains("should not be the same"), "a warning: {outcome}");
            assert!(lab.host().link("eth0").is_some(), "the host's own link is gone");
        });
        let lease = std::path::Path::new("/var/lib/cni/networks/net/10.1.0.2");
        assert!(!lease.exists());
    });
}

#[test]
fn del_of_loopback_does_not_take_the_hosts_lo_down() {
    lab_with_plugins(|lab| {
        let call = lab.plugin("loopback").env("CNI_CONTAINERID", "c1").verb("DEL");
        let call = call.env("CNI_NETNS", lab.host().path());
        call.config(&least_config("loopback", USUAL)).run().succeeded();
        unlike_reference(lab, LATE, || {
            let lo = lab.host().link("lo").expect("every namespace has one");
            assert!(lo["flags"].to_string().contains("\"UP\""), "{lo}");
        });
    });
}

#[test]
fn the_guard_is_lifted_by_the_override() {
    lab_with_plugins(|lab| {
        for value in ["1", "true", "TRUE"] {
            let call = lab.plugin("bridge").env("CNI_CONTAINERID", "c1").verb("ADD");
            let call = call.env("CNI_NETNS", lab.host().path()).env("CNI_NETNS_OVERRIDE", value);
            let call = call.config(&least_config("bridge", USUAL));
            call.clone().run().succeeded();
            call.verb("DEL").run().succeeded();
        }
    });
}

#[test]
fn any_other_value_of_the_override_lifts_nothing() {
    lab_with_plugins(|lab| {
        for value in ["0", "false", "yes", ""] {
            let call = lab.plugin("bridge").env("CNI_CONTAINERID", "c1").verb("ADD");
            let call = call.env("CNI_NETNS", lab.host().path()).env("CNI_NETNS_OVERRIDE", value);
            unlike_reference(lab, LATE, || {
                call.config(&least_config("bridge", USUAL)).run().refused(8);
            });
        }
    });
}

#[test]
fn a_namespace_that_is_not_there_is_an_error_of_add_that_names_it() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        for plugin in ["bridge", "loopback"] {
            let call = lab.plugin(plugin).env("CNI_CONTAINERID", "c1").verb("ADD");
            let call = call.env("CNI_NETNS", "/run/netns/gone");
            let error = call.config(&least_config(plugin, USUAL)).run().error();
            error.says(&["/run/netns/gone"]);
        }
        unlike_reference(lab, "has made the bridge by then, and leaves it [E]", || {
            lab.assert_unchanged(&before);
        });
    });
}

#[test]
fn a_namespace_known_by_a_process_is_as_good_as_a_pinned_one() {
    lab_with_plugins(|lab| {
        let c = lab.held_container("c1");
        let config = least_config("bridge", USUAL);
        let result = lab.add("bridge", &c, &config);
        assert_eq!(result["interfaces"][2]["sandbox"], c.path().to_str().unwrap());
        assert!(c.link("eth0").is_some());
        lab.del("bridge", &c, &config);
        assert!(c.link("eth0").is_none());
    });
}

#[test]
fn a_file_that_is_no_namespace_is_an_error_of_add() {
    lab_with_plugins(|lab| {
        std::fs::write("/run/plain", "").unwrap();
        let call = lab.plugin("bridge").env("CNI_CONTAINERID", "c1").verb("ADD");
        let call = call.env("CNI_NETNS", "/run/plain").config(&least_config("bridge", USUAL));
        let error = call.run().error();
        error.says(&["/run/plain"]);
        assert!(!are_ours(lab) || [4, 8].contains(&error.code), "{}", error.object);
    });
}
