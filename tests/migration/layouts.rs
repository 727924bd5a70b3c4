//! Layouts of the reference's nftables backend, which Debian's release does not have.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::By::Ours;
use super::{Node, Pod, Variant};
use crate::filter::carry_out;

/// Replaces all that ours made for `pod` by what the reference's nftables backend has.
fn as_the_reference_does(lab: &Lab, pod: &Pod, hostports: &str) {
    let id = pod.container.id();
    let port = pod.port;
    lab.host().run("nft flush ruleset");
    std::fs::remove_dir_all("/run/cais/netfilter").unwrap();
    let digest = |text: &str| {
        std::fs::write("/run/lab/text", text).unwrap();
        lab.host().run("sha512sum /run/lab/text")[..16].to_owned()
    };
    let tag = format!("{}-{}", digest("net"), digest(&format!("eth0:{id}")));
    let rules = hostports.replace("PORT", &port.to_string()).replace("ID", id);
    carry_out(
        lab,
        &format!(
            "table inet cni_plugins_masquerade {{
               chain masq_checks {{
                 ip saddr 10.1.0.2 ip daddr != 10.1.0.0/24 masquerade comment \"{tag}, net: net, if: eth0, id: {id}\"
               }}
               chain postrouting {{
                 type nat hook postrouting priority 100;
                 ip daddr 224.0.0.0/4 return
                 ip6 daddr ff00::/8 return
                 goto masq_checks
               }}
             }}
             table ip cni_hostport {{
               chain hostports {{ }}
               chain hostip_hostports {{ }}
               chain hostports_all {{ jump hostip_hostports
 jump hostports
 }}
               chain prerouting {{ type nat hook prerouting priority -100; fib daddr type local jump hostports_all
 }}
               chain output {{ type nat hook output priority -100; fib daddr type local jump hostports_all
 }}
               chain masquerading {{
                 type nat hook postrouting priority 100;
                 ip saddr 10.1.0.2 ip daddr 10.1.0.2 masquerade comment \"{id}\"
                 ip saddr 127.0.0.1 ip daddr 10.1.0.2 masquerade comment \"{id}\"
               }}
             }}
             {rules}"
        ),
    );
}

const OF_1_9: &str =
    "add rule ip cni_hostport hostports tcp dport PORT dnat to 10.1.0.2:80 comment \"ID\"
     add rule ip cni_hostport hostports udp dport PORT dnat to 10.1.0.2:80 comment \"ID\"";
const OF_1_6: &str = "add rule ip cni_hostport hostports meta l4proto tcp th dport PORT dnat to 10.1.0.2:80 comment \"ID\"
     add rule ip cni_hostport hostip_hostports udp dport PORT dnat to 10.1.0.2:80 comment \"ID\"";

mod a_container_of_its_nftables_backend_is_checked_and_deleted {
    use super::*;

    fn case(lab: &Lab, hostports: &str) {
        let node = Node::with(lab, Variant::Nft, &json!({ "backend": "nftables" }));
        node.serve_by(Ours);
        let pod = node.pod("a", 8001);
        as_the_reference_does(lab, &pod, hostports);
        // Its `firewall` has no such backend.
        for program in ["iptables -N CNI-ADMIN", "iptables -N CNI-FORWARD"] {
            lab.host().run(program);
        }
        node.serves(&[&pod]);
        let result = node.chain.result(pod.of());
        for index in [0, 1] {
            let call = node.chain.call(index, "CHECK", pod.of(), result.as_ref());
            call.run().is_silent();
        }
        let before = lab.snapshot();
        lab.host().run("nft flush chain ip cni_hostport hostports");
        let check = node.chain.call(1, "CHECK", pod.of(), result.as_ref());
        check.run().refused(101).says(&["no ports", "a"]);
        as_it_was(lab, hostports, &pod);
        lab.assert_unchanged(&before);
        node.chain.del(pod.of());
        node.is_closed(8001);
        assert_eq!(node.traces(), [""; 0]);
    }

    fn as_it_was(lab: &Lab, hostports: &str, pod: &Pod) {
        lab.host().run("nft flush chain ip cni_hostport hostip_hostports");
        let rules =
            hostports.replace("PORT", &pod.port.to_string()).replace("ID", pod.container.id());
        carry_out(lab, &rules);
    }

    stamp!(lab_with_plugins, case, of_version_1_9: OF_1_9, of_version_1_6: OF_1_6);
}
