//! Pods of several nodes reach each other by routes: forwarded traffic to plain networks is left
//! alone.

use netns_fixtures::{Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::{INSIDE, OUTSIDE, attached, both, drop_what_is_forwarded, firewall};
use crate::battery::Family;
use crate::chain::Chain;
use crate::echo::{assert_answers, serve};
use crate::under_test::unlike_reference;
use crate::uplink::{HOST, LAN, bridge, lan, portmap};

const POD: [&str; 2] = ["10.1.0.2", "fd00:1::2"];
const POD_THERE: [&str; 2] = ["10.2.0.2", "fd00:2::2"];

/// A pod on another node, which knows the way to the pods of this one, as this one knows its.
fn pod_of_another_node(lab: &Lab) -> Namespace {
    let (host, node) = (lab.host(), lan(lab));
    let pod = lab.another_host("pod");
    lab.wire((&node, "pods"), (&pod, "eth0"));
    for (family, bits, switch) in [(0, 24, "ipv4/ip_forward"), (1, 64, "ipv6/conf/all/forwarding")]
    {
        let gateway = ["10.2.0.1", "fd00:2::1"][family];
        let nodad = ["", " nodad"][family];
        node.run(&format!("ip addr add {gateway}/{bits} dev pods{nodad}"));
        pod.run(&format!("ip addr add {}/{bits} dev eth0{nodad}", POD_THERE[family]));
        pod.run(&format!("ip route add default via {gateway}"));
        let (here, there) = ([("10.1.0.0/24"), ("fd00:1::/64")], ["10.2.0.0/24", "fd00:2::/64"]);
        node.run(&format!("ip route add {} via {}", here[family], HOST[family]));
        host.run(&format!("ip route add {} via {}", there[family], LAN[family]));
        node.set_sysctl(switch, "1");
    }
    for place in [host, &node, &pod] {
        place.settle_link_local();
    }
    serve(&pod, "there", INSIDE);
    pod
}

/// What comes after `bridge`, and whether the host drops what it forwards.
#[derive(Clone, Copy)]
struct Node {
    has_firewall: bool,
    drops: bool,
}

mod a_pod_of_another_node_reaches_one_with_a_host_port_by_its_own_address {
    use super::*;

    fn case(lab: &Lab, node: Node) {
        let there = pod_of_another_node(lab);
        if node.drops {
            drop_what_is_forwarded(lab);
        }
        let mut plugins: Vec<Value> = vec![bridge(Family::Dual, 1), portmap()];
        plugins.extend(node.has_firewall.then(|| firewall(&json!({}))));
        let chain = Chain::new(lab, &plugins);
        let here = attached(lab, &chain, "here", &both(OUTSIDE, INSIDE));
        let claim = || {
            for family in [0, 1] {
                assert_answers(&there, (POD[family], INSIDE), "here", POD_THERE[family]);
                assert_answers(&there, (HOST[family], OUTSIDE), "here", POD_THERE[family]);
            }
        };
        if node.drops {
            unlike_reference(lab, "leaves new connections to the policy of FORWARD [E]", claim);
        } else {
            claim();
        }
        if node.has_firewall || !node.drops {
            // `ipMasq`.
            for (pod, host) in POD_THERE.iter().zip(HOST) {
                assert_answers(&here, (pod, INSIDE), "there", host);
            }
        }
    }

    stamp!(lab_with_plugins, case,
        behind_portmap: Node { has_firewall: false, drops: false },
        behind_portmap_on_a_host_that_drops: Node { has_firewall: false, drops: true },
        behind_firewall: Node { has_firewall: true, drops: false },
        behind_firewall_on_a_host_that_drops: Node { has_firewall: true, drops: true });
}
