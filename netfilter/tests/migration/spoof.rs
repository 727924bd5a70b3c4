use kernel::nft::Batch;
use netfilter::reference::spoof_nft;
use netns_fixtures::{Container, Feature, Lab, lab};
use serde_json::{Value, json};
use types::{IfName, MacAddr};

use crate::reference::{assert_same, bridge, call, here, key, ruleset, with_result};

/// A container attached by the Go bridge with the check; its config and result.
fn attached(lab: &Lab, name: &str) -> (Container, Value, Value) {
    lab.needs(Feature::ReferencePlugins);
    let c = lab.container(name);
    let config = bridge(&json!({ "type": "bridge", "macspoofchk": true }));
    let result = call(lab, "bridge", "ADD", &c, &config).run().result();
    (c, config, result)
}

/// Name of the host's end and MAC of the container's, as a result has them.
fn link(result: &Value) -> (IfName, MacAddr) {
    let interfaces = result["interfaces"].as_array().unwrap();
    let is_inside = |value: &&Value| value["sandbox"].as_str().is_some_and(|path| !path.is_empty());
    let inside = interfaces.iter().find(is_inside).unwrap();
    let outside = interfaces.iter().find(|value| value["name"] != "cni0" && !is_inside(value));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = text(&outside.unwrap()["name"]).parse().unwrap();
    (name, text(&inside["mac"]).parse().unwrap())
}

fn write(container: &str, link: (&IfName, MacAddr)) {
    let mut batch = Batch::new();
    spoof_nft::write(&here(), &mut batch, &key(container), link).unwrap();
    batch.commit(&here()).unwrap();
}

#[test]
fn a_check_of_the_go_bridge_goes_and_that_of_another_container_stays() {
    lab(|lab| {
        let (_one, ..) = attached(lab, "c1");
        let before = ruleset(lab);
        let (_two, _, result) = attached(lab, "c2");
        let (_, mac) = link(&result);
        assert!(spoof_nft::is_present(&here(), &key("c2"), mac).unwrap());
        assert!(!spoof_nft::is_present(&here(), &key("c1"), mac).unwrap(), "another address");
        assert!(!spoof_nft::is_present(&here(), &key("c3"), mac).unwrap());
        spoof_nft::remove(&here(), &key("c2")).unwrap();
        assert_same("as before", &before, &ruleset(lab));
        assert!(!spoof_nft::is_present(&here(), &key("c2"), mac).unwrap());
        spoof_nft::remove(&here(), &key("c2")).unwrap();
        assert_same("a second time", &before, &ruleset(lab));
    });
}

#[test]
fn a_check_that_the_go_bridge_made_twice_goes_whole() {
    lab(|lab| {
        let (_c, _, result) = attached(lab, "c1");
        let (port, _) = link(&result);
        let jump = format!(
            "nft add rule bridge nat PREROUTING iifname {port} jump cni-br-iface-c1-eth0 \
             comment macspoofchk-c1-eth0"
        );
        lab.host().run(&jump);
        assert_eq!(ruleset(lab).matches("jump cni-br-iface-c1-eth0 ").count(), 2);
        spoof_nft::remove(&here(), &key("c1")).unwrap();
        assert!(!ruleset(lab).contains("c1-eth0"));
    });
}

#[test]
fn a_check_is_written_as_the_go_bridge_writes_it_and_cleaned_by_it() {
    lab(|lab| {
        let (c, config, result) = attached(lab, "c1");
        let reference = ruleset(lab);
        let (port, mac) = link(&result);
        lab.host().run("nft flush ruleset");
        write("c1", (&port, mac));
        assert_same("reference, ours", &reference, &ruleset(lab));
        write("c1", (&port, mac));
        assert_same("a second time", &reference, &ruleset(lab));
        let with_result = with_result(&config, &result);
        call(lab, "bridge", "DEL", &c, &with_result).run().succeeded();
        assert!(!ruleset(lab).contains("cni-br-iface"), "{}", ruleset(lab));
    });
}

#[test]
fn a_sweep_takes_checks_of_ports_that_are_gone() {
    lab(|lab| {
        let (_one, _, result) = attached(lab, "c1");
        let (_two, ..) = attached(lab, "c2");
        lab.host().run(
            "nft add rule bridge nat PREROUTING iifname gone0 drop comment macspoofchk-lookalike",
        );
        let (port, _) = link(&result);
        let exists = |name: &str| lab.host().link(name).is_some();
        let all = ruleset(lab);
        spoof_nft::sweep(&here(), exists).unwrap();
        assert_same("all ports are there", &all, &ruleset(lab));
        lab.host().run(&format!("ip link del {port}"));
        spoof_nft::sweep(&here(), exists).unwrap();
        let left = ruleset(lab);
        assert!(!left.contains("c1-eth0"), "{left}");
        assert!(left.contains("c2-eth0") && left.contains("lookalike"), "{left}");
    });
}

#[test]
fn the_table_of_checks_goes_when_asked_to_and_only_when_nobody_uses_it() {
    lab(|lab| {
        let (_c, ..) = attached(lab, "c1");
        let all = ruleset(lab);
        spoof_nft::remove_table_if_unused(&here()).unwrap();
        assert_same("with a check", &all, &ruleset(lab));
        spoof_nft::remove(&here(), &key("c1")).unwrap();
        lab.host().run("nft add chain bridge nat mine");
        spoof_nft::remove_table_if_unused(&here()).unwrap();
        assert!(ruleset(lab).contains("PREROUTING"), "somebody else's chain");
        lab.host().run("nft delete chain bridge nat mine");
        spoof_nft::remove_table_if_unused(&here()).unwrap();
        assert_eq!(ruleset(lab), "");
    });
}

#[test]
fn removing_and_sweeping_checks_make_nothing_on_a_host_without_the_table() {
    lab(|lab| {
        spoof_nft::remove(&here(), &key("c1")).unwrap();
        spoof_nft::remove(&here(), &key(&"c".repeat(300))).unwrap();
        spoof_nft::sweep(&here(), |_| false).unwrap();
        spoof_nft::remove_table_if_unused(&here()).unwrap();
        assert_eq!(ruleset(lab), "");
    });
}
