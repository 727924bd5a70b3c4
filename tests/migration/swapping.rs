use netns_fixtures::{Feature, Lab, bins, lab_with_plugins, skip};
use serde_json::json;

use super::By::{Ours, Reference};
use super::{Node, Variant, leases};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::{are_ours, with_keys};
use crate::uplink::bridge;

/// Go, ours, Go, ours.
mod a_host_is_swapped_twice_without_a_port_that_leads_to_nobody {
    use super::*;

    fn case(lab: &Lab, variant: Variant) {
        let node = Node::new(lab, variant);
        node.serve_by(Reference);
        let (a, b) = (node.pod("a", 8001), node.pod("b", 8002));
        node.serves(&[&a, &b]);

        node.serve_by(Ours);
        node.serves(&[&a, &b]);
        for pod in [&a, &b] {
            assert!(node.chain.check(pod.of()).is_ok());
        }
        let (c, d) = (node.pod("c", 8003), node.pod("d", 8004));
        node.serves(&[&a, &b, &c, &d]);
        node.chain.del(a.of());
        node.is_closed(8001);
        // The port is free, and no rule of the dead comes before.
        let again = node.pod("again", 8001);
        node.serves(&[&again, &b, &c, &d]);

        node.cais("handback");
        node.serves(&[&again, &b, &c, &d]);
        node.serve_by(Reference);
        node.serves(&[&again, &b, &c, &d]);
        let e = node.pod("e", 8005);
        for (pod, left) in
            [(&c, [&again, &b, &d, &e].as_slice()), (&again, [&b, &d, &e].as_slice())]
        {
            node.chain.del(pod.of());
            node.is_closed(pod.port);
            node.serves(left);
        }

        node.serve_by(Ours);
        node.serves(&[&b, &d, &e]);
        for pod in [&b, &d, &e] {
            assert!(node.chain.check(pod.of()).is_ok());
            node.chain.del(pod.of());
            node.is_closed(pod.port);
        }
        assert_eq!(node.traces(), [""; 0]);
        assert_eq!(leases(), [""; 0]);
        let links = lab.host().link_names();
        assert!(links.iter().all(|link| !link.starts_with("veth")), "{links:?}");
    }

    stamp!(lab_with_plugins, case,
        with_iptables_nft: Variant::Nft, with_iptables_legacy: Variant::Legacy);
}

mod gc_takes_what_the_reference_left_of_the_dead_alone {
    use super::*;

    fn case(lab: &Lab, variant: Variant) {
        let node = Node::new(lab, variant);
        node.serve_by(Reference);
        let (living, dead) = (node.pod("living", 8001), node.pod("dead", 8002));
        dead.container.remove();
        node.serve_by(Ours);
        let living_alone = json!([{ "containerID": "living", "ifname": "eth0" }]);
        node.chain.gc(Some(&json!([
            { "containerID": "living", "ifname": "eth0" },
            { "containerID": "dead", "ifname": "eth0" },
        ])));
        node.serves(&[&living]);
        assert!(node.traces().iter().any(|line| line.contains("dead")));
        node.chain.gc(Some(&living_alone));
        node.serves(&[&living]);
        assert!(node.chain.check(living.of()).is_ok());
        node.is_closed(8002);
        let traces = node.traces();
        assert!(!traces.iter().any(|line| line.contains("dead")), "{traces:?}");
        assert_eq!(leases(), ["10.1.0.2"]);
    }

    stamp!(lab_with_plugins, case,
        with_iptables_nft: Variant::Nft, with_iptables_legacy: Variant::Legacy);
}

#[test]
fn gc_takes_what_the_reference_left_of_checks_of_frames() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        if !are_ours(lab) {
            skip("about the reference and ours");
        }
        let checking = with_keys(bridge(Family::V4, 1), &json!({ "macspoofchk": true }));
        let chain = Chain::new(lab, &[checking]);
        let reference = bins::reference();
        chain.serve_by(Some(reference.as_path()));
        let none = json!([]);
        let [living, dead] = ["living", "dead"].map(|name| lab.container(name));
        chain.add(Attach::new(&living, &none));
        let before = lab.host().link_names();
        chain.add(Attach::new(&dead, &none));
        let after = lab.host().link_names();
        let port_of_dead = after.iter().find(|link| !before.contains(link)).expect("ADD made it");
        let checked = |name: &str| {
            let ruleset = lab.host().run("nft list ruleset");
            ruleset.contains(&format!("cni-br-iface-{name}-eth0"))
        };
        assert!(checked("living") && checked("dead"));
        dead.remove();
        lab.host().wait_until_gone(port_of_dead);
        chain.serve_by(None);
        chain.gc(Some(&json!([{ "containerID": "living", "ifname": "eth0" }])));
        assert!(checked("living") && !checked("dead"));
        chain.del(Attach::new(&living, &none));
        assert!(!checked("living"));
    });
}

mod check_of_what_the_reference_made_finds_what_is_missing {
    use super::*;

    fn case(lab: &Lab, lost: &str) {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Reference);
        let pod = node.pod("a", 8001);
        node.serve_by(Ours);
        assert!(node.chain.check(pod.of()).is_ok());
        lab.host().run(lost);
        let before = lab.snapshot();
        let error = node.chain.check(pod.of()).unwrap_err();
        assert_eq!(error.code, 101, "{}", error.text());
        lab.assert_unchanged(&before);
    }

    stamp!(lab_with_plugins, case,
        of_masquerade: "iptables -t nat -F POSTROUTING",
        of_ports: "iptables -t nat -F CNI-HOSTPORT-DNAT",
        of_what_leads_to_ports: "iptables -t nat -F PREROUTING",
        of_forwarding: "iptables -F CNI-FORWARD");
}
