//! GC takes back the ports of attachments that are not valid any more.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{INSIDE, attached, both, other, web};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::assert_answers;
use crate::filter::elements;
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

/// Three attachments: `a` at 8001 and `b` at 8002 of one network, `a` again at 8003 of another.
struct Three<'lab> {
    web: Chain<'lab>,
    other: Chain<'lab>,
    a: Container,
    b: Container,
}

impl<'lab> Three<'lab> {
    fn attached(lab: &'lab Lab) -> Self {
        only_ours(lab, "cleans nothing in GC [E]");
        let (web, other) = (web(lab, Family::Dual), other(lab, Family::Dual));
        let a = attached(lab, &web, "a", &both(8001, INSIDE));
        let b = attached(lab, &web, "b", &both(8002, INSIDE));
        let ports = both(8003, INSIDE);
        // Its default route is there already.
        let mut config = other.config(0, Attach::new(&a, &ports), None);
        config["isDefaultGateway"] = json!(false);
        config["isGateway"] = json!(true);
        let second = Attach::new(&a, &ports).ifname("eth1");
        let result = other.call(0, "ADD", second, None).config(&config).run().result();
        other.call(1, "ADD", second, Some(&result)).run().succeeded();
        Self { web, other, a, b }
    }
}

/// The owners of published ports, each once.
fn publishers(lab: &Lab) -> Vec<String> {
    let all = elements(lab);
    let ports = all.into_iter().filter(|element| element.set.starts_with("dnat"));
    let mut owners: Vec<String> = ports.map(|element| element.comment).collect();
    owners.sort();
    owners.dedup();
    owners
}

const ALL: [&str; 3] = ["net/a/eth0", "net/b/eth0", "other/a/eth1"];

fn entry(id: &str, ifname: &str) -> Value {
    json!({ "containerID": id, "ifname": ifname })
}

#[test]
fn what_is_listed_stays_and_the_rest_of_the_network_goes() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let three = Three::attached(lab);
        assert_eq!(publishers(lab), ALL);
        three.web.gc(Some(&json!([entry("a", "eth0"), entry("b", "eth0")])));
        assert_eq!(publishers(lab), ALL);
        three.web.gc(Some(&json!([entry("b", "eth0"), entry("a", "eth1")])));
        assert_eq!(publishers(lab), ALL[1..]);
        assert_answers(&lan, (HOST[0], 8002), three.b.id(), LAN[0]);
        assert_answers(&lan, (HOST[1], 8002), three.b.id(), LAN[1]);
        for nothing in [Value::Null, json!([])] {
            three.web.gc(Some(&nothing));
            assert_eq!(publishers(lab), ALL[2..]);
        }
        let switch = |link: &str| lab.host().sysctl(&format!("ipv4/conf/{link}/route_localnet"));
        assert_eq!(switch("cni1").as_deref(), Some("0"));
        assert_eq!(switch("cni2").as_deref(), Some("1"));
        three.other.gc(Some(&json!([])));
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
        assert_eq!(switch("cni2").as_deref(), Some("0"));
        assert!(three.a.exists());
    });
}

#[test]
fn without_a_list_the_dead_alone_go() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        three.web.gc(None);
        assert_eq!(publishers(lab), ALL);
        three.b.remove();
        three.other.gc(None);
        assert_eq!(publishers(lab), ALL);
        three.web.gc(None);
        assert_eq!(publishers(lab), [ALL[0], ALL[2]]);
        three.a.remove();
        three.web.gc(None);
        assert_eq!(publishers(lab), ALL[2..]);
        three.other.gc(None);
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    });
}

#[test]
fn ports_that_nobody_remembers_go_only_when_all_that_live_are_listed() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        std::fs::remove_file("/run/cais/netfilter/net/portmap@b@eth0").unwrap();
        three.web.gc(None);
        assert_eq!(publishers(lab), ALL);
        three.web.gc(Some(&json!([entry("a", "eth0"), entry("b", "eth0")])));
        assert_eq!(publishers(lab), ALL);
        three.web.gc(Some(&json!([entry("a", "eth0")])));
        assert_eq!(publishers(lab), [ALL[0], ALL[2]]);
    });
}

#[test]
fn a_list_that_is_none_frees_nothing() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        let mut config = three.web.config(1, Attach::new(&three.a, &json!([])), None);
        config["cniVersion"] = json!("1.1.0");
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "../x" }]);
        lab.plugin("portmap").verb("GC").config(&config).run().refused(7);
        assert_eq!(publishers(lab), ALL);
    });
}
