//! Hosts on which iptables' legacy tables are in use.

use netns_fixtures::lab_with_plugins;

use super::By::Ours;
use super::{Node, Variant};

/// A legacy `FORWARD` that drops knows nothing of what nf_tables accepts.
#[test]
fn published_ports_pass_a_legacy_forward_that_drops_while_there_are_any() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Legacy);
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            lab.host()
                .run(&format!("{program} -D FORWARD -i up0 -m conntrack --ctstate NEW -j ACCEPT"));
        }
        node.serve_by(Ours);
        let (a, b) = (node.pod("a", 8001), node.pod("b", 8002));
        node.serves(&[&a, &b]);
        let passing = || lab.host().run("iptables-legacy-save -t filter").matches("--mark").count();
        assert_eq!(passing(), 1);
        node.chain.del(a.of());
        node.is_closed(8001);
        node.serves(&[&b]);
        node.chain.del(b.of());
        assert_eq!(passing(), 0);
    });
}
