//! `cais overlay`: what people see and do of networks over several hosts.

use netns_fixtures::lab_with_plugins;
use serde_json::Value;

use super::agent::{STORE, await_that, by_etcd, followers};
use super::{Town, agent};

/// Runs `cais overlay` on the host `number`; whether it succeeded, and what it printed on both streams.
#[track_caller]
fn cais(town: &Town<'_>, number: usize, words: &str) -> (bool, String) {
    let program = town.lab.plugins().join("cais");
    let command = format!("env CAIS_ROOT=/run/root{number} {} overlay {words}", program.display());
    let done = town.host(number).try_run(&command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout) + &text(&done.stderr))
}

#[track_caller]
pub(super) fn prints(town: &Town<'_>, number: usize, words: &str) -> String {
    let (success, said) = cais(town, number, words);
    assert!(success, "cais overlay {words}: {said}");
    said
}

#[test]
fn a_network_is_made_joined_looked_at_and_removed() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 2, 1);
        for number in 1..=2 {
            let words = format!(
                "join --endpoint http://{STORE}:2379 --underlay {} --name h{number}",
                town.address(number)
            );
            let said = prints(&town, number, &words);
            assert!(said.contains("wrote /run/root"), "{said}");
        }
        await_that("both hosts are there", || {
            prints(&town, 1, "host ls").matches("present").count() == 2
        });
        let made = prints(&town, 1, "network create blue --pool 10.77.0.0/16 --vni 4103");
        assert!(made.contains("blue     4103  10.77.0.0/16"), "{made}");
        let (success, said) = cais(&town, 2, "network create red --pool 10.77.128.0/17");
        assert!(!success && said.contains("overlaps 10.77.0.0/16 of network blue"), "{said}");
        // Neither the store nor the network is in the plugin's configuration.
        let mut config = by_etcd("blue", 77, 1);
        config["store"] = serde_json::json!({ "type": "etcd" });
        config.as_object_mut().unwrap().remove("create");
        let a = town.resident(1, "c1", &config);
        let b = town.resident(2, "c2", &config);
        agent::all_reach_all(&[a, b]);
        let status = prints(&town, 1, "status");
        assert!(status.contains("2 hosts, 2 of them present"), "{status}");
        assert!(status.contains("blue     4103  1450"), "{status}");
        assert_eq!(prints(&town, 1, "doctor"), "nothing is in the way\n");
        let blocks: Value =
            serde_json::from_str(&prints(&town, 2, "block ls blue --json")).unwrap();
        assert_eq!(blocks["items"].as_array().unwrap().len(), 2, "{blocks}");
        let host: Value = serde_json::from_str(&prints(&town, 2, "host inspect h1")).unwrap();
        assert_eq!(host["underlay"][0], "10.99.0.1", "{host}");
        let (success, said) = cais(&town, 1, "network rm blue");
        assert!(!success && said.contains("have blocks of it"), "{said}");
        let (success, said) = cais(&town, 1, "host rm h2");
        assert!(!success && said.contains("it is alive"), "{said}");
        let (success, said) = cais(&town, 1, "host inspect nobody");
        assert!(!success && said.contains("no host is called nobody"), "{said}");
    });
}

#[test]
fn a_host_that_leaves_gives_back_what_it_had() {
    lab_with_plugins(|lab| {
        let (town, etcd) = followers(lab, 2, 1);
        let config = by_etcd("blue", 77, 1);
        let resident = town.resident(1, "c1", &config);
        let other = town.resident(2, "c2", &config);
        assert_eq!(etcd.keys("blocks/").len(), 4);
        resident.del();
        assert_eq!(prints(&town, 1, "leave"), "this host has left the store\n");
        await_that("its blocks are gone", || etcd.keys("blocks/").len() == 2);
        assert_eq!(etcd.keys("hosts/").len(), 1);
        other.del();
    });
}
