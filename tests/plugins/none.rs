//! `none`: `lo` and nothing else.

use netns_fixtures::{Call, Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{least_config, must_have};

/// A call for `container` with the usual configuration.
fn call<'lab>(lab: &'lab Lab, verb: &str, container: &Container) -> Call<'lab> {
    must_have(lab, "none");
    lab.plugin("none").verb(verb).container(container).config(&least_config("none", USUAL))
}

fn is_up(container: &Container, link: &str) -> bool {
    let link = container.link(link).expect("the case made it");
    link["flags"].as_array().is_some_and(|flags| flags.contains(&json!("UP")))
}

every_version! {
    fn a_container_gets_lo_and_a_result_in_the_shape_of_the_version(lab, version) {
        must_have(lab, "none");
        let c = lab.container("c1");
        let config = least_config("none", version);
        let result = lab.add("none", &c, &config);
        assert_eq!(result["cniVersion"], version);
        let family = |number: &str| {
            if version < "1.0.0" { json!(number) } else { Value::Null }
        };
        if version < "0.3.0" {
            assert_eq!(result["ip4"]["ip"], "127.0.0.1/8");
            assert_eq!(result["ip6"]["ip"], "::1/128");
        } else {
            let lo = &result["interfaces"][0];
            assert_eq!(lo["name"], "lo");
            assert_eq!(lo["sandbox"], "/run/netns/c1");
            for (i, address, number) in [(0, "127.0.0.1/8", "4"), (1, "::1/128", "6")] {
                let ip = &result["ips"][i];
                assert_eq!((&ip["address"], &ip["interface"]), (&json!(address), &json!(0)));
                assert_eq!(ip["version"], family(number));
            }
        }
        assert!(is_up(&c, "lo"));
        c.run("ping -c 1 -W 2 127.0.0.1");
        lab.del("none", &c, &config);
        assert!(!is_up(&c, "lo"));
    }
}

#[test]
fn add_check_and_del_leave_the_lab_as_it_was() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let result = call(lab, "ADD", &c).run().result();
        let mut config = least_config("none", USUAL);
        config["prevResult"] = result;
        call(lab, "CHECK", &c).config(&config).run().is_silent();
        call(lab, "DEL", &c).config(&config).run().is_silent();
        call(lab, "DEL", &c).config(&config).run().is_silent();
        // The kernel gives `lo` this address when it first goes up, and keeps it.
        lab.assert_unchanged_but(&before, &["127.0.0."]);
    });
}

#[test]
fn another_interface_that_is_up_or_has_an_address_is_refused_by_name() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        for (change, named) in [
            ("ip link set dev eth0 up", "eth0 (up)"),
            ("ip addr add 10.0.0.2/24 dev eth0", "eth0 (up, 10.0.0.2/24"),
            ("ip link set dev eth0 down", "eth0 (down, 10.0.0.2/24)"),
        ] {
            c.run(change);
            let before = lab.snapshot();
            let error = call(lab, "ADD", &c).run().refused(103);
            error.says(&["add network net in /run/netns/c1", "another interface", named]);
            error.says(&["leave one of them out"]);
            lab.assert_unchanged(&before);
        }
    });
}

#[test]
fn a_link_that_is_down_and_bare_as_the_kernels_fallback_devices_does_not_matter() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev sit0 type veth peer name tunl0");
        call(lab, "ADD", &c).run().succeeded();
        call(lab, "CHECK", &c).run().is_silent();
        call(lab, "DEL", &c).run().is_silent();
        assert!(!is_up(&c, "lo"));
    });
}

#[test]
fn check_names_what_came_to_the_container() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        call(lab, "ADD", &c).run().succeeded();
        c.run("ip link add dev eth0 type veth peer name other");
        call(lab, "CHECK", &c).run().is_silent();
        c.run("ip link set dev eth0 up");
        call(lab, "CHECK", &c).run().refused(101).says(&["/run/netns/c1", "eth0 (up"]);
        c.run("ip link del dev eth0");
        call(lab, "CHECK", &c).run().is_silent();
        c.run("ip addr add 10.1.1.1/32 dev lo");
        call(lab, "CHECK", &c).run().refused(101).says(&["non-loopback address \"10.1.1.1\""]);
    });
}

#[test]
fn check_finds_an_lo_that_is_down() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        call(lab, "ADD", &c).run().succeeded();
        c.run("ip link set dev lo down");
        call(lab, "CHECK", &c).run().refused(101).says(&["loopback interface is down"]);
    });
}

#[test]
fn del_leaves_lo_to_those_who_use_the_namespace_meanwhile() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        call(lab, "ADD", &c).run().succeeded();
        lab.wire((lab.host(), "out"), (&c, "eth0"));
        call(lab, "DEL", &c).run().is_silent();
        assert!(is_up(&c, "lo"));
    });
}

#[test]
fn del_succeeds_when_the_namespace_is_gone_however_it_went() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        call(lab, "ADD", &c).run().succeeded();
        c.remove();
        call(lab, "DEL", &c).run().is_silent();
        call(lab, "DEL", &c).env("CNI_NETNS", "").run().is_silent();
        std::fs::write("/run/netns/c1", "").unwrap();
        call(lab, "DEL", &c).run().is_silent();
    });
}

#[test]
fn without_ipv6_there_is_no_ipv6_address_in_the_result() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.set_sysctl("ipv6/conf/all/disable_ipv6", "1");
        let result = call(lab, "ADD", &c).run().result();
        assert_eq!(result["ips"], json!([{ "address": "127.0.0.1/8", "interface": 0 }]));
        call(lab, "CHECK", &c).run().is_silent();
    });
}

#[test]
fn gc_and_status_succeed_without_a_word() {
    lab_with_plugins(|lab| {
        must_have(lab, "none");
        for verb in ["GC", "STATUS"] {
            lab.plugin("none").verb(verb).config(&least_config("none", "1.1.0")).run().is_silent();
        }
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let call = call(lab, "ADD", &c);
        let list = include_str!("../../docs/examples/none.conflist");
        super::example::works(&call, list, include_str!("../../docs/plugins/none.md"));
    });
}
