//! Containers of Podman find each other by name, on a network that Podman made itself.

use std::fs;
use std::path::Path;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::podman::Podman;
use super::stage::{GREETING, install, write};
use crate::under_test::only_ours;

/// What containers do while others ask for them.
pub(super) const STAY: &str = "exec sleep 1000000";
/// What a host has to have for it among the plugins.
pub(super) const PROGRAMS: [&str; 2] = ["dnsname", "cais-dnsd"];
const ADDRESS: &str = "10.1.0.77";

/// Podman with the network `made`, for which it wrote what it wants of `dnsname`.
#[track_caller]
fn on_a_network_with_names(lab: &Lab) -> Podman<'_> {
    only_ours(lab, "set has no dnsname");
    let mut podman = Podman::without_networks(lab);
    PROGRAMS.iter().for_each(|program| install(program));
    let subnets = ["--subnet", "10.1.0.0/24", "--subnet", "fd01::/64"];
    podman.say(&[&["network", "create", "--ipv6"], &subnets[..], &["made"]].concat());
    assert_has_names(Path::new("/etc/cni/net.d/made.conflist"));
    podman.stage.expect_network("made", "cni-podman1".to_owned());
    podman.stage.remember();
    podman
}

/// Claims that Podman wrote into the list what it wants of `dnsname`.
#[track_caller]
pub(super) fn assert_has_names(list: &Path) {
    let list = fs::read_to_string(list).expect("Podman wrote it");
    let list: Value = serde_json::from_str(&list).expect("Podman writes JSON");
    let last = list["plugins"].as_array().and_then(|plugins| plugins.last());
    let expected = json!({
        "type": "dnsname", "domainName": "dns.podman", "capabilities": { "aliases": true },
    });
    assert_eq!(last, Some(&expected));
}

/// Claims that of two containers, each with a name and an alias, each pings the other and fetches
/// what it serves, by either. `podman` calls it with these words.
pub(super) fn assert_reach_each_other(
    podman: impl Fn(&[&str]) -> String,
    [one, other]: [[&str; 2]; 2],
) {
    for [container, _] in [one, other] {
        podman(&["exec", container, "/bin/httpd", "-p", "80", "-h", "/"]);
    }
    for ([asker, _], names) in [(one, other), (other, one)] {
        for name in names {
            let script = format!(
                "ping -4 -c 1 -w 5 {name} && ping -6 -c 1 -w 5 {name}.dns.podman && \
                 wget -q -O - http://{name}/greeting"
            );
            let printed = podman(&["exec", asker, "/bin/sh", "-c", &script]);
            assert!(printed.ends_with(GREETING), "in {asker}, {script}: {printed}");
        }
    }
}

#[test]
fn containers_of_podman_reach_each_other_by_name_and_alias_and_leave_nothing() {
    lab_with_plugins(|lab| {
        let podman = on_a_network_with_names(lab);
        // Otherwise the daemon stays for a minute, for containers that come soon.
        fs::create_dir("/etc/cais").expect("the case's own /etc");
        write(Path::new("/etc/cais/dnsd.json"), r#"{"idleExit": 1}"#);
        podman.run(&["--detach", "--name", "Web_1", "--network-alias", "www"], "made", STAY);
        podman.run(&["--detach", "--name", "db", "--network-alias", "database"], "made", STAY);
        assert_reach_each_other(|words| podman.say(words), [["Web_1", "www"], ["db", "database"]]);
        podman.say(&["stop", "--time", "0", "Web_1", "db"]);
        podman.say(&["rm", "Web_1", "db"]);
        podman.assert_nothing_left();
        assert!(!Path::new("/run/cais/dns.sock").exists(), "nobody listens by it any more");
    });
}

#[test]
fn containers_of_podman_find_each_other_by_name_alias_and_id() {
    lab_with_plugins(|lab| {
        let podman = on_a_network_with_names(lab);
        let options = ["--detach", "--name", "Web_1", "--network-alias", "www", "--ip", ADDRESS];
        podman.run(&options, "made", STAY);
        let id = podman.say(&["inspect", "--format", "{{.Id}}", "Web_1"]);
        // As any program does, by what Podman wrote into the container.
        let resolv_conf = podman.run(&["--rm"], "made", "cat /etc/resolv.conf");
        for line in ["search dns.podman", "nameserver 10.1.0.1", "nameserver fd01::1"] {
            assert!(resolv_conf.lines().any(|l| l == line), "{line}: {resolv_conf}");
        }
        for name in ["web_1", "WEB_1.dns.podman", "www", "www.made", &id[..12]] {
            for server in ["", "10.1.0.1", "fd01::1", "127.0.0.11"] {
                let script = format!("nslookup -type=a {name} {server}");
                let said = podman.run(&["--rm"], "made", &script);
                let address = format!("Address: {ADDRESS}");
                assert!(said.lines().any(|line| line == address), "{script}: {said}");
            }
        }
        podman.say(&["stop", "--time", "0", "Web_1"]);
        let script = "nslookup -type=a web_1 10.1.0.1 || echo gone";
        let said = podman.run(&["--rm"], "made", script);
        assert!(said.ends_with("gone\n"), "{said}");
        podman.say(&["rm", "Web_1"]);
        podman.stage.assert_nothing_left(super::podman::OWN);
    });
}
