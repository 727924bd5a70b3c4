//! GC and STATUS.

use std::fs;
use std::path::Path;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attributes, config_of, container};
use crate::under_test::only_ours;

const VERSION: &str = "1.1.0";

fn named(network: &str) -> Value {
    let sysctl = json!({ "net.ipv4.conf.IFNAME.arp_notify": "1" });
    let mut config = config_of(VERSION, &json!({ "mtu": 1400, "sysctl": sysctl }));
    config["name"] = json!(network);
    config
}

fn added(lab: &Lab, id: &str, network: &str) -> Container {
    let c = container(lab, id);
    lab.add("tuning", &c, &named(network));
    c
}

#[track_caller]
fn gc(lab: &Lab, valid: Option<Value>) {
    only_ours(lab, "has no GC");
    let mut config = json!({ "cniVersion": VERSION, "name": "net", "type": "tuning" });
    if let Some(valid) = valid {
        config["cni.dev/valid-attachments"] = valid;
    }
    lab.plugin("tuning").verb("GC").config(&config).run().is_silent();
}

/// Ids of containers with a backup file.
fn backed_up() -> Vec<String> {
    let entries = fs::read_dir("/run/cni/tuning").into_iter().flatten().flatten();
    let mut ids: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().replace("_eth0.json", ""))
        .collect();
    ids.sort();
    ids
}

#[test]
fn gc_puts_back_and_removes_what_is_not_in_the_list_of_its_own_network() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        let (alive, dead) = (added(lab, "alive", "net"), added(lab, "dead", "net"));
        let other = added(lab, "other", "other-net");
        gc(lab, Some(json!([{ "containerID": "alive", "ifname": "eth0" }])));
        assert_eq!(backed_up(), ["alive", "other"]);
        assert_eq!(attributes(&dead)["mtu"], 1500);
        assert_eq!(dead.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("0"));
        for kept in [&alive, &other] {
            assert_eq!(attributes(kept)["mtu"], 1400);
            assert_eq!(kept.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("1"));
        }
        gc(lab, Some(Value::Null));
        assert_eq!(backed_up(), ["other"]);
        assert_eq!(attributes(&alive)["mtu"], 1500);
    });
}

#[test]
fn gc_without_a_list_removes_what_is_proven_dead() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        let alive = added(lab, "alive", "net");
        for id in ["gone", "replaced"] {
            added(lab, id, "net").remove();
        }
        let next = container(lab, "replaced");
        next.run("ip link set dev eth0 mtu 1300");
        gc(lab, None);
        assert_eq!(backed_up(), ["alive"]);
        assert_eq!(
            (&attributes(&alive)["mtu"], &attributes(&next)["mtu"]),
            (&json!(1400), &json!(1300))
        );
    });
}

#[test]
fn gc_leaves_files_of_which_it_does_not_know_whose_they_are() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        fs::create_dir_all("/run/cni/tuning").unwrap();
        for id in ["of-the-reference", "x"] {
            fs::write(format!("/run/cni/tuning/{id}_eth0.json"), "{\n \"mtu\": 1500\n}").unwrap();
        }
        gc(lab, Some(json!([])));
        gc(lab, None);
        assert_eq!(backed_up(), ["of-the-reference", "x"]);
    });
}

#[test]
fn gc_finds_the_file_wherever_data_dir_was() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        let c = container(lab, "c1");
        let mut config = named("net");
        config["dataDir"] = json!("/run/elsewhere");
        lab.add("tuning", &c, &config);
        c.remove();
        gc(lab, Some(json!([])));
        assert!(!Path::new("/run/elsewhere/c1_eth0.json").exists());
    });
}

#[test]
fn records_of_an_earlier_boot_go_and_restore_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        let c = added(lab, "c1", "net");
        let record = "/run/cais/tuning/net/c1@eth0";
        let text = fs::read_to_string(record).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(text.contains(boot.trim_end()), "{text}");
        fs::write(record, text.replace(boot.trim_end(), "another")).unwrap();
        gc(lab, None);
        assert!(backed_up().is_empty() && !Path::new(record).exists());
        assert_eq!(attributes(&c)["mtu"], 1400);
    });
}

#[test]
fn status_is_silent_and_makes_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no STATUS");
        let before = lab.snapshot();
        lab.plugin("tuning").verb("STATUS").config(&named("net")).run().is_silent();
        lab.assert_unchanged(&before);
    });
}
