//! DEL succeeds when there is nothing left to do.

use std::path::Path;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{complete_call, least_config, of_a_gone_namespace, unlike_reference};

/// `bridge` with addresses from a pool.
fn with_pool(version: &str) -> Value {
    let mut config = least_config("bridge", version);
    config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
    config
}

fn lease() -> &'static Path {
    Path::new("/var/lib/cni/networks/net/10.1.0.2")
}

#[track_caller]
fn add(lab: &Lab, c: &Container, config: &Value) {
    lab.add("bridge", c, config);
    assert!(lease().exists(), "ADD took no lease");
}

every_plugin! {
    fn del_of_what_never_was_is_success(lab, plugin) {
        // The namespace is not there either.
        of_a_gone_namespace(lab, plugin, || {
            complete_call(lab, plugin).verb("DEL").run().is_silent();
        });
    }

    fn del_without_a_namespace_is_success(lab, plugin) {
        of_a_gone_namespace(lab, plugin, || {
            complete_call(lab, plugin).without("CNI_NETNS").verb("DEL").run().is_silent();
            complete_call(lab, plugin).env("CNI_NETNS", "").verb("DEL").run().is_silent();
        });
    }
}

every_version! {
    fn del_without_prev_result_removes_everything(lab, version) {
        let c = lab.container("c1");
        let config = with_pool(version);
        add(lab, &c, &config);
        lab.del("bridge", &c, &config);
        assert!(c.link("eth0").is_none());
        assert!(!lease().exists());
    }

    fn del_twice_is_success(lab, version) {
        let c = lab.container("c1");
        let config = with_pool(version);
        add(lab, &c, &config);
        lab.del("bridge", &c, &config);
        lab.plugin("bridge").container(&c).config(&config).verb("DEL").run().is_silent();
    }

    fn del_frees_the_address_when_the_namespace_is_gone(lab, version) {
        let c = lab.container("c1");
        let config = with_pool(version);
        add(lab, &c, &config);
        c.remove();
        lab.del("bridge", &c, &config);
        assert!(!lease().exists());
    }

    fn del_frees_the_address_when_no_namespace_is_given(lab, version) {
        let c = lab.container("c1");
        let config = with_pool(version);
        add(lab, &c, &config);
        let call = lab.plugin("bridge").container(&c).without("CNI_NETNS").config(&config);
        call.verb("DEL").run().is_silent();
        assert!(!lease().exists());
        unlike_reference(lab, "leaves the interface when DEL names no namespace", || {
            assert!(c.link("eth0").is_none(), "its host end is known by the key");
        });
    }
}

#[test]
fn del_of_one_interface_leaves_the_other() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).config(&with_pool(USUAL));
        call.clone().verb("ADD").run().succeeded();
        call.clone().ifname("eth1").verb("ADD").run().succeeded();
        call.clone().verb("DEL").run().is_silent();
        assert_eq!(c.link_names(), ["eth1"]);
        assert!(!lease().exists());
        assert!(lease().with_file_name("10.1.0.3").exists());
    });
}

#[test]
fn del_of_one_container_leaves_the_other() {
    lab_with_plugins(|lab| {
        let (a, b) = (lab.container("a"), lab.container("b"));
        let config = with_pool(USUAL);
        lab.add("bridge", &a, &config);
        lab.add("bridge", &b, &config);
        lab.del("bridge", &a, &config);
        assert_eq!(b.addresses("eth0"), ["10.1.0.3/24"]);
        lab.plugin("bridge").container(&b).config(&config).verb("DEL").run().is_silent();
    });
}

#[test]
fn del_does_not_mind_cni_args() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with_pool(USUAL);
        for args in ["nonsense", "a=b=c", "K8S_POD_NAME=p", "IgnoreUnknown=maybe", "IP=nonsense"] {
            add(lab, &c, &config);
            let call = lab.plugin("bridge").container(&c).config(&config).args(args).verb("DEL");
            let why = "refuses DEL for what it finds in CNI_ARGS, and leaves the address taken";
            unlike_reference(lab, why, || {
                call.run().is_silent();
                assert!(!lease().exists(), "{args}");
            });
            lab.del("bridge", &c, &config);
            // Else the cursor would lead the next round to another address.
            std::fs::remove_dir_all("/var/lib/cni").unwrap();
        }
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_takes_a_file_that_is_no_namespace_as_a_namespace_that_is_gone() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with_pool(USUAL);
        add(lab, &c, &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        unlike_reference(lab, "fails for ever on a stale file [E]", || {
            lab.plugin("bridge").container(&c).config(&config).verb("DEL").run().is_silent();
        });
        std::fs::remove_file(c.path()).unwrap();
    });
}

#[test]
fn del_accepts_the_result_of_add_as_prev_result() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_pool(USUAL);
        config["prevResult"] = lab.add("bridge", &c, &config);
        lab.del("bridge", &c, &config);
        assert!(c.link("eth0").is_none());
        assert!(!lease().exists());
    });
}
