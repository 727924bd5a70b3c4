//! DEL, GC and STATUS.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{PROGRAMS, attached, firewall, rules, walled};
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, serve};
use crate::filter::elements_of;
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, LAN, lan};

const PORT: u16 = 7000;

/// Addresses that have rules of `firewall`, of both families.
fn accepted(lab: &Lab) -> Vec<String> {
    let mut found = Vec::new();
    for program in PROGRAMS {
        for rule in rules(lab, program) {
            let Some(rest) = rule.strip_prefix("-A CNI-FORWARD -s ") else { continue };
            found.extend(rest.strip_suffix(" -j ACCEPT").map(str::to_owned));
        }
    }
    found
}

fn two(lab: &Lab) -> (Chain<'_>, Container, Container) {
    let chain = walled(lab, 1, &json!({}));
    let none = json!([]);
    let (a, b) = (attached(lab, &chain, "a", &none), attached(lab, &chain, "b", &none));
    (chain, a, b)
}

const OF_A: [&str; 2] = ["10.1.0.2/32", "fd00:1::2/128"];
const OF_BOTH: [&str; 4] = ["10.1.0.2/32", "10.1.0.3/32", "fd00:1::2/128", "fd00:1::3/128"];

#[test]
fn gc_takes_back_what_is_not_listed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let (chain, _a, _b) = two(lab);
        let valid = |id: &str| json!({ "containerID": id, "ifname": "eth0" });
        chain.gc(Some(&json!([valid("a"), valid("b")])));
        assert_eq!(accepted(lab), OF_BOTH);
        chain.gc(Some(&json!([valid("a")])));
        assert_eq!(accepted(lab), OF_A);
        chain.gc(Some(&json!([])));
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

#[test]
fn gc_without_a_list_takes_back_what_is_of_the_dead() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let (chain, _a, b) = two(lab);
        chain.gc(None);
        assert_eq!(accepted(lab), OF_BOTH);
        b.remove();
        chain.gc(None);
        assert_eq!(accepted(lab), OF_A);
        assert_eq!(elements_of(lab, "forwarded4").len(), 1);
    });
}

#[test]
fn del_needs_neither_result_nor_namespace_nor_a_sound_configuration() {
    lab_with_plugins(|lab| {
        let (chain, a, b) = two(lab);
        let none = json!([]);
        let of = Attach::new(&b, &none);
        b.remove();
        unlike_reference(lab, "removes nothing without a result", || {
            chain.call(2, "DEL", of, None).run().is_silent();
            assert_eq!(accepted(lab), OF_A);
        });
        only_ours(lab, "removes nothing without a result");
        let mut config = chain.config(2, Attach::new(&a, &none), None);
        config["ingressPolicy"] = json!("closed");
        config["firewalldZone"] = json!(["no zone"]);
        config["iptablesAdminChainName"] = json!("FORWARD");
        for _ in 0..2 {
            lab.plugin("firewall").verb("DEL").container(&a).config(&config).run().is_silent();
            assert_eq!(accepted(lab), [""; 0]);
        }
    });
}

/// The runtime forgot the old container and calls DEL when its address is another's.
#[test]
fn a_late_del_does_not_cut_off_the_next_container_with_that_address() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        serve(&lan, "lan", PORT);
        super::drop_what_is_forwarded(lab);
        let chain = walled(lab, 1, &json!({}));
        let none = json!([]);
        let old = attached(lab, &chain, "old", &none);
        let result = chain.result(Attach::new(&old, &none));
        // All but `firewall` is taken back in time.
        for index in [1, 0] {
            let of = Attach::new(&old, &none);
            chain.call(index, "DEL", of, result.as_ref()).run().succeeded();
        }
        let _ = std::fs::remove_file("/var/lib/cni/networks/net/last_reserved_ip.0");
        let _ = std::fs::remove_file("/var/lib/cni/networks/net/last_reserved_ip.1");
        let new = attached(lab, &chain, "new", &none);
        let addresses = |result: &Option<Value>| result.as_ref().map(|r| r["ips"].clone());
        let ips = |of: &Option<Value>| {
            let ips = addresses(of).unwrap();
            ips.as_array().unwrap().iter().map(|ip| ip["address"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(ips(&chain.result(Attach::new(&new, &none))), ips(&result));
        assert_answers(&new, (LAN[0], PORT), "lan", HOST[0]);
        chain.call(2, "DEL", Attach::new(&old, &none), result.as_ref()).run().succeeded();
        unlike_reference(lab, "removes the rules of whoever has the address [E]", || {
            for family in [0, 1] {
                assert_answers(&new, (LAN[family], PORT), "lan", HOST[family]);
            }
            let of = Attach::new(&new, &none);
            let result = chain.result(of);
            chain.call(2, "CHECK", of, result.as_ref()).run().is_silent();
        });
        only_ours(lab, "has removed them");
        chain.del(Attach::new(&new, &none));
        assert_eq!(accepted(lab), [""; 0]);
    });
}

#[test]
fn status_fails_where_a_newer_cais_has_the_tables() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows no STATUS");
        let mut config = firewall(&json!({}));
        config["cniVersion"] = json!("1.1.0");
        config["name"] = json!("net");
        let call = lab.plugin("firewall").verb("STATUS").config(&config);
        call.run().is_silent();
        crate::filter::carry_out(
            lab,
            "add table inet cais
             add set inet cais layout_3 { type mark; }",
        );
        call.run().refused(50).says(&["inet cais", "layout 3"]);
    });
}
