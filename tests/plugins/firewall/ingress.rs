//! `ingressPolicy`: who reaches whom, in both directions.

use std::net::IpAddr;

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, firewall};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::filter::{elements_of, reload};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::bridge;

/// Whether the kernel shows bridged frames to the packet filter, and who keeps bridges apart.
#[derive(Clone, Copy)]
struct Way {
    shown: bool,
    backend: &'static str,
}

impl Way {
    fn prepare(self, lab: &Lab) {
        if self.shown {
            lab.needs(Feature::BrNetfilter);
        }
        if self.backend == "nftables" {
            only_ours(lab, "has no such backend");
        }
        for switch in ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"] {
            if lab.host().sysctl(switch).is_some() {
                lab.host().set_sysctl(switch, if self.shown { "1" } else { "0" });
            }
        }
    }

    /// A network on `cni<number>` without masquerade, so that everybody has its own address.
    fn network<'lab>(self, lab: &'lab Lab, number: u8, policy: &str) -> Chain<'lab> {
        let mut bridge = bridge(Family::Dual, number);
        bridge["ipMasq"] = json!(false);
        let keys = json!({ "backend": self.backend, "ingressPolicy": policy });
        Chain::new(lab, &[bridge, firewall(&keys)]).network(&format!("net{number}"))
    }
}

macro_rules! every_way {
    ($case:ident) => {
        stamp!(lab_with_plugins, $case,
            by_iptables: Way { shown: false, backend: "iptables" },
            by_iptables_with_br_netfilter: Way { shown: true, backend: "iptables" },
            by_nftables: Way { shown: false, backend: "nftables" },
            by_nftables_with_br_netfilter: Way { shown: true, backend: "nftables" });
    };
}

fn joined(lab: &Lab, chain: &Chain<'_>, name: &str) -> Container {
    attached(lab, chain, name, &json!([]))
}

/// Claims both directions of both families.
#[track_caller]
fn reach_each_other(a: &Container, b: &Container) {
    a.assert_reaches(b);
    b.assert_reaches(a);
}

#[track_caller]
fn do_not_reach_each_other(a: &Container, b: &Container) {
    for (from, to) in [(a, b), (b, a)] {
        let addresses: Vec<IpAddr> = to.all_addresses();
        assert_eq!(addresses.len(), 2, "{addresses:?}");
        for address in addresses {
            from.assert_cannot_reach_at(to, address);
        }
    }
}

mod bridges_with_a_policy_are_closed_to_each_other_alone {
    use super::*;

    fn case(lab: &Lab, way: Way) {
        way.prepare(lab);
        let one = way.network(lab, 1, "same-bridge");
        let two = way.network(lab, 2, "isolated");
        let open = way.network(lab, 3, "open");
        let (a, sibling) = (joined(lab, &one, "a"), joined(lab, &one, "sibling"));
        let b = joined(lab, &two, "b");
        let c = joined(lab, &open, "c");
        do_not_reach_each_other(&a, &b);
        reach_each_other(&a, &sibling);
        reach_each_other(&a, &c);
        reach_each_other(&b, &c);
    }

    every_way!(case);
}

mod containers_of_an_isolated_bridge_do_not_reach_each_other_where_frames_are_seen {
    use super::*;

    fn case(lab: &Lab, way: Way) {
        way.prepare(lab);
        let chain = way.network(lab, 1, "isolated");
        let (a, b) = (joined(lab, &chain, "a"), joined(lab, &chain, "b"));
        match way.shown {
            true => do_not_reach_each_other(&a, &b),
            // No packet filter of IP is asked about them.
            false => reach_each_other(&a, &b),
        }
        a.assert_reaches(lab.host());
    }

    every_way!(case);
}

mod a_bridge_that_is_isolated_no_more_is_open_inside_for_all_its_containers {
    use super::*;

    fn case(lab: &Lab, way: Way) {
        way.prepare(lab);
        let (isolated, none) = (way.network(lab, 1, "isolated"), json!([]));
        let a = joined(lab, &isolated, "a");
        let same_bridge = way.network(lab, 1, "same-bridge");
        let b = joined(lab, &same_bridge, "b");
        unlike_reference(lab, "keeps the rule that drops [E]", || reach_each_other(&a, &b));
        only_ours(lab, "keeps its rules");
        assert!(elements_of(lab, "alone").is_empty());
        // It is the bridge's policy, so an earlier container is as it has to be.
        assert!(isolated.check(Attach::new(&a, &none)).is_ok());
        lab.host().run("nft flush ruleset");
        reload(lab);
        assert!(elements_of(lab, "alone").is_empty());
        reach_each_other(&a, &b);
        // And back again.
        let c = joined(lab, &isolated, "c");
        assert_eq!(elements_of(lab, "alone").len(), 1);
        if way.shown {
            do_not_reach_each_other(&a, &b);
        }
        for (chain, container) in [(&isolated, &a), (&same_bridge, &b), (&isolated, &c)] {
            assert!(chain.check(Attach::new(container, &none)).is_ok());
            chain.del(Attach::new(container, &none));
        }
        assert_eq!(lab.host().run("nft list ruleset"), "");
    }

    every_way!(case);
}

mod what_a_policy_made_goes_with_the_last_container_of_the_network {
    use super::*;

    fn case(lab: &Lab, way: Way) {
        way.prepare(lab);
        only_ours(lab, "never takes any of it away");
        let (one, two) = (way.network(lab, 1, "isolated"), way.network(lab, 2, "same-bridge"));
        let none = json!([]);
        let (a, a2, b) = (joined(lab, &one, "a"), joined(lab, &one, "a2"), joined(lab, &two, "b"));
        one.del(Attach::new(&a, &none));
        assert_eq!(elements_of(lab, "policed").len(), 2);
        do_not_reach_each_other(&a2, &b);
        one.del(Attach::new(&a2, &none));
        let left: Vec<Value> =
            elements_of(lab, "policed").into_iter().map(|element| element.key).collect();
        assert_eq!(left, ["cni2"]);
        two.del(Attach::new(&b, &none));
        assert_eq!(lab.host().run("nft list ruleset"), "");
    }

    every_way!(case);
}
