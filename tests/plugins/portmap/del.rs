//! What DEL leaves: nothing, whatever has become of configuration, namespace and ruleset.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{INSIDE, OF_THE_POOL, OUTSIDE, at, both, web, web_with};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::filter::{carry_out, elements};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, lan};

const KEEPS: &str = "keeps its chains, and rules of a DEL without ports [E]";

/// A host whose bridge is there already, which stays, and a container to attach.
fn warm(lab: &Lab, chain: &Chain<'_>) -> Container {
    let _lan = lan(lab);
    let warm = lab.container("warm");
    let none = json!([]);
    let of = Attach::new(&warm, &none);
    chain.add(of);
    chain.del(of);
    lab.host().settle();
    lab.container("c1")
}

every_family! {
    /// Case 1.
    fn after_add_and_del_all_is_as_it_was(lab, family) {
        only_ours(lab, KEEPS);
        let chain = web(lab, family);
        let c = warm(lab, &chain);
        let before = lab.snapshot();
        let host = if family == Family::V6 { HOST[1] } else { HOST[0] };
        for ports in [both(OUTSIDE, INSIDE), at(host, OUTSIDE, INSIDE), json!([])] {
            let of = Attach::new(&c, &ports);
            chain.add(of);
            assert!(!elements(lab).is_empty(), "{ports}");
            chain.del(of);
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        }
    }
}

#[test]
fn the_switch_of_the_last_attachment_alone_is_turned_back() {
    lab_with_plugins(|lab| {
        only_ours(lab, "never turns route_localnet off [E]");
        let chain = web(lab, Family::Dual);
        let switch = || lab.host().sysctl("ipv4/conf/cni1/route_localnet").unwrap();
        let (one, two) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let (first, second) = (lab.container("first"), lab.container("second"));
        let (first, second) = (Attach::new(&first, &one), Attach::new(&second, &two));
        // The first turned it on, and goes before the second or after it; or comes again.
        for order in [[first, second], [second, first]] {
            chain.add(first);
            chain.add(second);
            assert_eq!(switch(), "1");
            chain.del(order[0]);
            assert_eq!(switch(), "1");
            chain.del(order[1]);
            assert_eq!(switch(), "0");
        }
        // What the administrator turned on stays on.
        lab.host().set_sysctl("ipv4/conf/cni1/route_localnet", "1");
        chain.add(first);
        chain.del(first);
        assert_eq!(switch(), "1");
    });
}

#[test]
fn the_switch_is_turned_back_after_all_rules_were_flushed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "never turns route_localnet off [E]");
        let chain = web(lab, Family::Dual);
        let (one, two) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let (first, second) = (lab.container("first"), lab.container("second"));
        let (first, second) = (Attach::new(&first, &one), Attach::new(&second, &two));
        chain.add(first);
        chain.add(second);
        chain.del(first);
        lab.host().run("nft flush ruleset");
        chain.add(first); // which writes all again
        chain.del(second);
        chain.del(first);
        assert_eq!(lab.host().sysctl("ipv4/conf/cni1/route_localnet").as_deref(), Some("0"));
    });
}

/// What the runtime hands to DEL of `portmap`, and what has happened before it.
mod del_removes_all {
    use super::*;

    /// What happens after ADD, and what becomes of the configuration.
    type Given = (fn(&Lab, &Container), fn(&mut Value));

    fn case(lab: &Lab, (happened, config): Given) {
        only_ours(lab, KEEPS);
        let chain = web(lab, Family::Dual);
        let c = warm(lab, &chain);
        let before = lab.snapshot();
        let ports = both(OUTSIDE, INSIDE);
        let of = Attach::new(&c, &ports);
        chain.add(of);
        let result = chain.result(of);
        happened(lab, &c);
        let mut given = chain.config(1, of, result.as_ref());
        config(&mut given);
        let call = chain.call(1, "DEL", of, result.as_ref()).config(&given);
        for call in [call.clone(), call.clone().env("CNI_NETNS", ""), call] {
            call.run().is_silent();
        }
        // The guard of the link stays until nobody of the network is left.
        let ports = ["dnat", "published", "hairpin", "portmap@"];
        let after = lab.snapshot();
        let left: Vec<&String> = after
            .lines()
            .iter()
            .filter(|line| line.contains("\"elem\"") || line.starts_with("file "))
            .filter(|line| ports.iter().any(|word| line.contains(word)))
            .collect();
        assert!(left.is_empty(), "{left:#?}");
        chain.call(0, "DEL", of, result.as_ref()).run().is_silent();
        for link in lab.host().link_names().iter().filter(|name| name.starts_with("veth")) {
            lab.host().wait_until_gone(link);
        }
        let own: &[&str] = if c.exists() { &[] } else { &["c1 "] };
        lab.assert_unchanged_but(&before, &[OF_THE_POOL, own].concat());
    }

    fn nothing(_: &Lab, _: &Container) {}
    fn namespace_gone(_: &Lab, c: &Container) {
        c.remove();
    }
    fn rules_flushed(lab: &Lab, _: &Container) {
        lab.host().run("nft flush ruleset");
    }
    fn table_deleted(lab: &Lab, _: &Container) {
        lab.host().run("nft delete table inet cais");
    }
    fn claims_lost(_: &Lab, _: &Container) {
        std::fs::remove_file("/run/cais/netfilter/net/portmap@c1@eth0").unwrap();
    }
    fn as_it_is(_: &mut Value) {}
    fn without_ports(config: &mut Value) {
        config["runtimeConfig"] = json!({});
    }
    fn without_result(config: &mut Value) {
        config["prevResult"] = Value::Null;
    }
    fn with_garbage(config: &mut Value) {
        config["runtimeConfig"] = json!({ "portMappings": "8080:80" });
        config["conditionsV4"] = json!(["no", "such", "words"]);
        config["backend"] = json!(7);
        config["prevResult"] = json!({ "ips": "?" });
    }

    stamp!(lab_with_plugins, case,
        again_and_again: (nothing, as_it_is),
        when_the_namespace_is_gone: (namespace_gone, as_it_is),
        after_the_ruleset_was_flushed: (rules_flushed, as_it_is),
        after_its_table_was_deleted: (table_deleted, as_it_is),
        without_ports_in_the_configuration: (nothing, without_ports),
        without_a_result: (nothing, without_result),
        with_a_configuration_full_of_garbage: (nothing, with_garbage),
        when_nothing_is_remembered: (claims_lost, without_ports),
    );
}

#[test]
fn del_of_what_was_never_added_makes_nothing() {
    lab_with_plugins(|lab| {
        let (c, ports) = (lab.container("c1"), both(OUTSIDE, INSIDE));
        let chain = web_with(lab, &json!({}));
        let before = lab.snapshot();
        chain.del(Attach::new(&c, &ports));
        unlike_reference(lab, "makes tables of iptables [E]", || {
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        });
    });
}

#[test]
fn rules_of_the_administrator_survive_and_keep_the_table() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such chain");
        let chain = web(lab, Family::Dual);
        let c = warm(lab, &chain);
        let ports = both(OUTSIDE, INSIDE);
        let of = Attach::new(&c, &ports);
        chain.add(of);
        carry_out(
            lab,
            "add rule inet cais user_fwd ip saddr 203.0.113.7 counter drop comment \"mine\"",
        );
        let has_rule = || lab.host().run("nft list chain inet cais user_fwd").contains("\"mine\"");
        chain.del(of);
        assert!(has_rule());
        chain.add(of);
        assert!(has_rule());
        chain.del(of);
        assert!(has_rule());
        assert!(elements(lab).iter().all(|element| element.set == "layout_2"));
        lab.host().run("nft flush chain inet cais user_fwd");
        chain.add(of);
        chain.del(of);
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    });
}

#[test]
fn tables_of_others_are_left_as_they_are() {
    lab_with_plugins(|lab| {
        only_ours(lab, "works in table ip nat");
        let chain = web_with(lab, &json!({ "backend": "nftables" }));
        let c = warm(lab, &chain);
        carry_out(
            lab,
            "add table ip nat
             add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }
             add rule ip nat POSTROUTING ip saddr 10.9.0.0/16 masquerade comment \"foreign\"
             add table inet cais_like
             add set inet cais_like masq4 { type ipv4_addr; }
             add element inet cais_like masq4 { 10.1.0.2 }
             add table bridge foreign
             add chain bridge foreign c { type filter hook forward priority 0; }
             add rule bridge foreign c ether saddr 02:00:00:00:00:99 drop",
        );
        let foreign = |table: &str| lab.host().run(&format!("nft list table {table}"));
        let tables = ["ip nat", "inet cais_like", "bridge foreign"];
        let before = tables.map(foreign);
        let ports = both(OUTSIDE, INSIDE);
        let of = Attach::new(&c, &ports);
        chain.add(of);
        assert_eq!(tables.map(foreign), before);
        chain.del(of);
        assert_eq!(tables.map(foreign), before);
    });
}
