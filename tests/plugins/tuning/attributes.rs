//! Attributes of the interface.

use std::path::Path;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{BACKUP, attributes, call, config, container, run};
use crate::under_test::{only_ours, unlike_reference};

/// Each attribute with a value that the interface does not have.
fn each() -> [Value; 5] {
    [
        json!({ "mac": "02:00:00:00:00:01" }),
        json!({ "promisc": true }),
        json!({ "mtu": 1400 }),
        json!({ "allmulti": true }),
        json!({ "txQLen": 17 }),
    ]
}

#[test]
fn each_attribute_is_changed_checked_and_put_back_alone() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know txQLen (1.1.1)");
        let c = container(lab, "c1");
        let before = attributes(&c);
        for members in each() {
            run(lab, "CHECK", &c, &members).refused(101).says(&["eth0", "/run/netns/c1"]);
            run(lab, "ADD", &c, &members).succeeded();
            let mut expected = before.clone();
            for (key, value) in members.as_object().unwrap() {
                assert_ne!(expected[key], *value);
                expected[key] = value.clone();
            }
            assert_eq!(attributes(&c), expected);
            run(lab, "CHECK", &c, &members).is_silent();
            run(lab, "DEL", &c, &members).is_silent();
            assert_eq!(attributes(&c), before, "after DEL with {members}");
            assert!(!Path::new(BACKUP).exists());
        }
    });
}

#[test]
fn check_names_the_attribute_that_was_changed_later() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has other words");
        let c = container(lab, "c1");
        let members = json!({
            "mac": "02:00:00:00:00:01", "promisc": true, "mtu": 1400, "allmulti": true, "txQLen": 17,
        });
        run(lab, "ADD", &c, &members).succeeded();
        for (change, back, words) in [
            (
                "address 02:00:00:00:00:02",
                "address 02:00:00:00:00:01",
                "MAC address of eth0 is 02:00:00:00:00:02, not 02:00:00:00:00:01",
            ),
            ("promisc off", "promisc on", "promiscuous mode of eth0 is off, not on"),
            ("mtu 1300", "mtu 1400", "MTU of eth0 is 1300, not 1400"),
            ("allmulticast off", "allmulticast on", "all-multicast mode of eth0 is off, not on"),
            ("txqueuelen 5", "txqueuelen 17", "transmit queue length of eth0 is 5, not 17"),
        ] {
            c.run(&format!("ip link set dev eth0 {change}"));
            run(lab, "CHECK", &c, &members).refused(101).says(&[words, "changed it after ADD"]);
            c.run(&format!("ip link set dev eth0 {back}"));
            run(lab, "CHECK", &c, &members).is_silent();
        }
        c.run("ip link del dev eth0");
        run(lab, "CHECK", &c, &members).refused(101).says(&["eth0 is missing in /run/netns/c1"]);
    });
}

#[test]
fn an_upper_case_mac_is_the_same_to_check() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "mac": "C2:11:22:33:44:5E" });
        run(lab, "ADD", &c, &members).succeeded();
        unlike_reference(lab, "compares addresses as text [E]", || {
            run(lab, "CHECK", &c, &members).is_silent();
        });
    });
}

#[test]
fn promiscuous_mode_that_was_not_asked_for_does_not_matter() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "mtu": 1400, "promisc": false });
        run(lab, "ADD", &c, &members).succeeded();
        c.run("ip link set dev eth0 promisc on");
        unlike_reference(lab, "wants every interface not to be promiscuous [E]", || {
            run(lab, "CHECK", &c, &members).is_silent();
        });
        run(lab, "DEL", &c, &members).succeeded();
        assert_eq!(attributes(&c)["promisc"], true, "it was not asked for, so it stays");
    });
}

#[test]
fn an_interface_that_is_up_is_changed_and_stays_up() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip link set dev eth0 up");
        c.run("ip addr add 10.1.0.2/24 dev eth0");
        let members = json!({ "mac": "02:00:00:00:00:01", "mtu": 1400, "allmulti": true });
        run(lab, "ADD", &c, &members).succeeded();
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
        assert!(c.link("eth0").unwrap()["flags"].as_array().unwrap().contains(&json!("UP")));
    });
}

#[test]
fn a_mac_of_the_runtime_and_of_args_is_taken() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let mac = |number: u8| format!("02:00:00:00:00:0{number}");
        let weak = json!({ "mac": mac(1) });
        let runtime = json!({ "mac": mac(1), "runtimeConfig": { "mac": mac(3) } });
        let strong = json!({
            "mac": mac(1), "runtimeConfig": { "mac": mac(3) }, "args": { "cni": { "mac": mac(4) } },
        });
        let variable = format!("IgnoreUnknown=1;K8S_POD_NAME=p;MAC={}", mac(2));
        for (members, args, expected) in [
            (&weak, "", 1),
            (&weak, &*variable, 2),
            (&runtime, &variable, 3),
            (&strong, &variable, 4),
        ] {
            call(lab, "ADD", &c, members).args(args).run().succeeded();
            assert_eq!(attributes(&c)["mac"], mac(expected), "{members} {args}");
            call(lab, "CHECK", &c, members).args(args).run().is_silent();
            call(lab, "DEL", &c, members).args(args).run().is_silent();
        }
    });
}

#[test]
fn an_unknown_argument_is_refused_by_add_and_ignored_by_del() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "mtu": 1400 });
        let refused = call(lab, "ADD", &c, &members).args("mac=02:00:00:00:00:01").run().error();
        refused.says(&["unknown args", "mac=02:00:00:00:00:01"]);
        run(lab, "ADD", &c, &members).succeeded();
        unlike_reference(lab, "refuses DEL for what it finds in CNI_ARGS", || {
            call(lab, "DEL", &c, &members).args("mac=x;;").run().is_silent();
            assert_eq!(attributes(&c)["mtu"], 1500);
        });
    });
}

#[test]
fn a_missing_interface_is_named_and_nothing_is_written() {
    lab_with_plugins(|lab| {
        only_ours(lab, "answers 999");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let members = json!({ "mtu": 1400, "sysctl": { "net.ipv4.ip_forward": "1" } });
        let refused = run(lab, "ADD", &c, &members).refused(5);
        refused.says(&["look up link eth0 in /run/netns/c1", "an earlier plugin"]);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_second_tuning_of_the_same_list_keeps_what_the_first_one_wrote_down() {
    lab_with_plugins(|lab| {
        only_ours(lab, "forgets what was before the first");
        let c = container(lab, "c1");
        let before = attributes(&c);
        let snapshot = lab.snapshot();
        let list = [
            json!({ "mtu": 1400, "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" } }),
            json!({ "mtu": 1300, "mac": "02:00:00:00:00:01" }),
        ];
        for members in &list {
            run(lab, "ADD", &c, members).succeeded();
        }
        for members in list.iter().rev() {
            run(lab, "DEL", &c, members).is_silent();
        }
        assert_eq!(attributes(&c), before);
        lab.assert_unchanged(&snapshot);
    });
}

#[test]
fn a_repeated_add_keeps_the_first_values() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "mtu": 1400, "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" } });
        run(lab, "ADD", &c, &members).succeeded();
        run(lab, "ADD", &c, &members).succeeded();
        run(lab, "DEL", &c, &members).is_silent();
        unlike_reference(lab, "writes down what it had changed itself", || {
            assert_eq!(attributes(&c)["mtu"], 1500);
            assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("0"));
        });
    });
}

#[test]
fn without_a_key_nothing_is_looked_at_but_the_namespace() {
    lab_with_plugins(|lab| {
        only_ours(lab, "is judged elsewhere");
        // No interface, and no list of sysctls that could be read.
        let c = lab.container("c1");
        let before = lab.snapshot();
        for verb in ["ADD", "CHECK", "DEL"] {
            run(lab, verb, &c, &json!({})).succeeded();
        }
        lab.assert_unchanged(&before);
        let gone = lab.plugin("tuning").verb("ADD").container(&c).config(&config(&json!({})));
        gone.env("CNI_NETNS", "/run/netns/gone").run().refused(4).says(&["/run/netns/gone"]);
    });
}
