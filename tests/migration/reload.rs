//! `cais reload`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use netns_fixtures::{Firewalld, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::By::Ours;
use super::{Node, Variant};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_silent, serve};
use crate::filter::{carry_out, elements, reload};
use crate::uplink::{HOST, LAN, bridge, lan, portmap};

/// What hosts do with rules that are not theirs.
mod everything_that_lives_is_served_again {
    use super::*;

    fn case(lab: &Lab, lose: fn(&Lab)) {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let (living, dead) = (node.pod("living", 8001), node.pod("dead", 8002));
        let before = lab.host().run("nft list ruleset");
        assert!(before.contains("10.1.0.3"));
        dead.container.remove();
        for program in ["iptables", "ip6tables"] {
            lab.host().run(&format!("{program} -P FORWARD DROP"));
        }
        lose(lab);
        node.chain.check(living.of()).unwrap_err();
        carry_out(lab, "table inet others { chain c { ip saddr 192.0.2.99 drop; }; }");
        let printed = node.cais("reload");
        for plugin in ["interface", "portmap", "firewall"] {
            assert!(printed.contains(&format!("restored {plugin} net/living/eth0\n")), "{printed}");
        }
        assert!(!printed.contains("dead"), "{printed}");
        node.serves(&[&living]);
        node.is_closed(8002);
        assert!(node.chain.check(living.of()).is_ok());
        let of_dead = elements(lab).into_iter().any(|element| element.comment.contains("dead"));
        assert!(!of_dead);
        assert!(lab.host().run("nft list table inet others").contains("192.0.2.99"));
        // A second time nothing changes.
        let settled = lab.host().run("nft list ruleset");
        let json: Value = serde_json::from_str(&node.cais("--json reload")).unwrap();
        assert_eq!(json["restored"].as_array().unwrap().len(), 3, "{json}");
        assert_eq!(counted(&lab.host().run("nft list ruleset")), counted(&settled));
        node.chain.del(living.of());
        node.chain.del(dead.of());
        assert_eq!(node.traces(), [""; 0]);
    }

    fn flush_all(lab: &Lab) {
        lab.host().run("nft flush ruleset");
    }

    /// As Debian's `nftables.service` loads `/etc/nftables.conf`.
    fn load_a_ruleset(lab: &Lab) {
        carry_out(
            lab,
            "flush ruleset
             table inet filter { chain forward { type filter hook forward priority 0; }; }",
        );
    }

    fn flush_iptables(lab: &Lab) {
        for program in ["iptables", "ip6tables"] {
            for table in ["filter", "nat"] {
                lab.host().run(&format!("{program} -t {table} -F"));
                lab.host().run(&format!("{program} -t {table} -X"));
            }
        }
    }

    stamp!(lab_with_plugins, case,
        after_a_flush: flush_all,
        after_a_ruleset_was_loaded: load_a_ruleset,
        after_iptables_was_flushed: flush_iptables);
}

/// Without what counters have seen.
fn counted(ruleset: &str) -> Vec<String> {
    let words = |line: &str| {
        let number = |word: &str| word.parse::<u64>().is_ok();
        line.split_whitespace().filter(|word| !number(word)).collect::<Vec<_>>().join(" ")
    };
    ruleset.lines().map(words).collect()
}

#[test]
fn rules_of_users_in_the_chain_that_is_theirs_stay() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let pod = node.pod("a", 8001);
        lab.host().run("nft add rule inet cais user_fwd ip saddr 192.0.2.77 counter drop");
        let handle = || lab.host().run("nft -a list chain inet cais user_fwd");
        let before = handle();
        lab.host().run("nft flush map inet cais dnat4_any");
        node.cais("reload");
        assert_eq!(handle(), before);
        node.serves(&[&pod]);
    });
}

/// No packet finds half of the tables.
#[test]
fn the_tables_come_back_in_one_transaction() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let _pods = [node.pod("a", 8001), node.pod("b", 8002)];
        lab.host().run("nft flush ruleset");
        let log = "/run/lab/monitor";
        fs::write("/run/lab/monitor.sh", format!("exec nft monitor > {log}")).unwrap();
        let monitor = lab.host().spawn("sh /run/lab/monitor.sh");
        // It listens once it has told of something.
        listening(lab, log);
        node.cais("reload");
        lab.host().run("nft add table inet end");
        until(log, "add table inet end");
        let told = fs::read_to_string(log).unwrap();
        drop(monitor);
        let generations: Vec<&str> =
            told.split("# new generation ").filter(|part| part.contains("inet cais")).collect();
        assert_eq!(generations.len(), 1, "{told}");
        assert!(generations[0].contains("dnat4_any") && generations[0].contains("8002"), "{told}");
    });
}

fn listening(lab: &Lab, log: &str) {
    for number in 0.. {
        lab.host().run(&format!("nft add table inet begin{number}"));
        let told = fs::read_to_string(log).unwrap_or_default();
        if told.contains("add table inet begin") {
            return;
        }
        assert!(number < 1000, "nft monitor tells nothing");
    }
}

fn until(log: &str, text: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !fs::read_to_string(log).unwrap_or_default().contains(text) {
        assert!(std::time::Instant::now() < end, "nft monitor does not tell of `{text}`");
        std::thread::yield_now();
    }
}

#[test]
fn a_host_without_attachments_stays_without_tables() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        assert_eq!(node.cais("reload"), "");
        let json: Value = serde_json::from_str(&node.cais("--json reload")).unwrap();
        assert_eq!(json, json!({ "restored": [] }));
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

#[test]
fn sources_that_firewalld_forgot_are_bound_again() {
    lab_with_plugins(|lab| {
        let firewalld = Firewalld::start(lab);
        let _lan = lan(lab);
        let firewall = json!({ "type": "firewall" });
        let chain = Chain::new(lab, &[bridge(Family::V4, 1), portmap(), firewall]);
        let ports = json!([{ "hostPort": 8001, "containerPort": 80 }]);
        let c = lab.container("c1");
        let of = Attach::new(&c, &ports);
        chain.add(of);
        assert_eq!(firewalld.sources("trusted"), ["10.1.0.2/32"]);
        firewalld.reload();
        assert!(firewalld.sources("trusted").is_empty());
        chain.check(of).unwrap_err();
        reload(lab);
        assert_eq!(firewalld.sources("trusted"), ["10.1.0.2/32"]);
        if let Err(error) = chain.check(of) {
            panic!("{}", error.text());
        }
        chain.del(of);
        assert!(firewalld.sources("trusted").is_empty());
    });
}

#[test]
fn a_proxy_that_was_killed_serves_again() {
    lab_with_plugins(|lab| {
        let _lan = lan(lab);
        let chain = Chain::new(lab, &[bridge(Family::V4, 1), portmap()]);
        let ports = json!([{ "hostPort": 8001, "containerPort": 80 }]);
        let c = lab.container("c1");
        let of = Attach::new(&c, &ports);
        chain.add(of);
        serve(&c, "c1", 80);
        let ask = || {
            let at = (std::net::Ipv6Addr::LOCALHOST, 8001).into();
            crate::echo::ask(lab.host(), crate::echo::Tcp, at)
        };
        assert!(ask().unwrap().starts_with("c1 "));
        kill_the_proxy(lab);
        lab.host().run("nft flush ruleset");
        ask().unwrap_err();
        reload(lab);
        assert!(ask().unwrap().starts_with("c1 "));
        chain.del(of);
    });
}

/// The one of this lab's host, and no other of the machine.
fn kill_the_proxy(lab: &Lab) {
    let here = fs::metadata(lab.host().path()).unwrap().ino();
    let is_ours = |process: &std::path::PathBuf| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let place = fs::metadata(process.join("ns/net")).map(|net| net.ino());
        name.trim() == "cais-proxy" && place.is_ok_and(|place| place == here)
    };
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let found: Vec<std::path::PathBuf> = all.filter(is_ours).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let number = found[0].file_name().unwrap().to_str().unwrap();
    lab.host().run(&format!("kill -KILL {number}"));
}

#[test]
fn ten_thousand_ports_come_back() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = Chain::new(lab, &[bridge(Family::V4, 1), portmap()]);
        // No two of them make a range.
        let ports = |number: u16| {
            let of_this = (0..200).map(|n| {
                json!({ "hostPort": 20_000 + 400 * number + 2 * n, "containerPort": 80,
                    "hostIP": "0.0.0.0" })
            });
            Value::Array(of_this.collect())
        };
        let empty = lab.host().run("nft list ruleset");
        let containers: Vec<_> =
            (0..50).map(|number| lab.container(&format!("c{number}"))).collect();
        for (c, number) in containers.iter().zip(0..) {
            chain.add(Attach::new(c, &ports(number)));
            serve(c, &format!("c{number}"), 80);
        }
        // The reference's chains with them, about 30 000 rules.
        let rules =
            || counted(&lab.host().run("nft list ruleset")).into_iter().collect::<BTreeSet<_>>();
        let before = rules();
        lab.host().run("nft flush ruleset");
        assert_silent(&lan, (HOST[0], 20_000));
        reload(lab);
        let after = rules();
        assert_eq!(crate::filter::elements_of(lab, "dnat4_any").len(), 10_000);
        for number in [0, 24, 49] {
            let port = 20_000 + 400 * number + 398;
            let at = std::net::SocketAddr::new(HOST[0].parse().unwrap(), port);
            let answer = crate::echo::ask(&lan, crate::echo::Tcp, at);
            assert_eq!(answer.unwrap(), format!("c{number} {}", LAN[0]));
        }
        let changed: Vec<_> = before.symmetric_difference(&after).take(10).collect();
        assert!(changed.is_empty(), "{changed:#?}");
        for (c, number) in containers.iter().zip(0..) {
            chain.del(Attach::new(c, &ports(number)));
        }
        assert_eq!(lab.host().run("nft list ruleset"), empty);
    });
}
