//! Hosts that drop what they forward: as Docker, ufw and administrators set the policy of `FORWARD`.

use netns_fixtures::{Feature, Lab, lab_with_plugins};
use serde_json::json;

use super::{Resident, network};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::uplink::{HOST, LAN, lan};

/// The programs of one variant of iptables, one for each family.
type Variant = [&'static str; 2];

const NFT: Variant = ["iptables-nft", "ip6tables-nft"];
const LEGACY: Variant = ["iptables-legacy", "ip6tables-legacy"];

fn resident<'lab>(lab: &'lab Lab, number: u8) -> Resident<'lab> {
    let subnets = json!([
        { "subnet": format!("10.{number}.0.0/24") },
        { "subnet": format!("fd00:{number}::/64") },
    ]);
    let network = network(&format!("net{number}"), &json!({ "subnets": subnets }));
    Resident::new(lab, &format!("c{number}"), network)
}

fn rules(lab: &Lab, variant: Variant) -> String {
    variant.map(|program| lab.host().run(&format!("{program} -S"))).concat()
}

/// A network without published ports passes, another one needs nothing more, and the last takes all
/// away; `staying` are rules that the reference leaves, too.
fn networks_pass(lab: &Lab, variant: Variant, staying: &[&str]) {
    let lan = lan(lab);
    serve(&lan, "lan", 80);
    for program in variant {
        lab.host().run(&format!("{program} -P FORWARD DROP"));
    }
    let before = rules(lab, variant);
    let one = resident(lab, 1);
    let with_one = rules(lab, variant);
    assert_ne!(with_one, before);
    let another = resident(lab, 2);
    assert_eq!(rules(lab, variant), with_one, "one rule does for all");
    serve(&one.container, "one", 80);
    for out in [&one, &another] {
        assert_answers(&out.container, (LAN[0], 80), "lan", HOST[0]);
    }
    // Nobody comes in by that.
    lan.run(&format!("ip route add 10.1.0.0/24 via {}", HOST[0]));
    assert_silent(&lan, (&one.address().to_string(), 80));
    one.del();
    assert_answers(&another.container, (LAN[0], 80), "lan", HOST[0]);
    another.del();
    let left = rules(lab, variant);
    let left: Vec<&str> = left.lines().filter(|line| !staying.contains(line)).collect();
    assert_eq!(left, before.lines().collect::<Vec<_>>());
}

#[test]
fn networks_pass_a_forward_that_drops_by_one_rule() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Iptables);
        networks_pass(lab, NFT, &[]);
    });
}

#[test]
fn networks_pass_a_legacy_forward_that_drops_by_one_rule() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::LegacyIptables);
        if std::fs::read("/proc/thread-self/net/ip_tables_names").is_err() {
            netns_fixtures::skip(
                "only root of the machine may read which legacy tables are in use",
            );
        }
        // Chains that others may use stay in the legacy tables.
        let entry = r#"-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD"#;
        networks_pass(lab, LEGACY, &["-N CNI-FORWARD", entry]);
    });
}

#[test]
fn check_notices_that_nothing_passes_any_more_and_the_next_container_repairs_it() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Iptables);
        lab.host().run("iptables-nft -P FORWARD DROP");
        let one = resident(lab, 1);
        one.check();
        lab.host().run("iptables-nft -F CNI-FORWARD");
        one.call("CHECK").run().refused(101).says(&["CNI-FORWARD"]);
        let another = resident(lab, 2);
        one.check();
        another.check();
    });
}

#[test]
fn a_host_that_has_no_forward_chain_gets_none() {
    lab_with_plugins(|lab| {
        let one = resident(lab, 1);
        let tables = lab.host().run("nft list tables");
        assert!(!tables.contains("filter"), "{tables}");
        one.check();
    });
}
