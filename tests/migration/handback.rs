//! `cais handback`.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::By::{Ours, Reference};
use super::{Node, Pod, Variant};
use crate::echo::assert_silent;
use crate::filter::elements;
use crate::uplink::HOST;

/// Longer than any connection of a lab takes; there to end a case.
const DEADLINE: Duration = Duration::from_secs(5);

mod the_reference_goes_on_where_ours_ended {
    use super::*;

    fn case(lab: &Lab, (variant, keys): (Variant, &Value)) {
        let node = Node::with(lab, variant, keys);
        node.serve_by(Ours);
        let (a, b) = (node.pod("a", 8001), node.pod("b", 8002));
        let printed = node.cais("handback");
        for pod in ["a", "b"] {
            for plugin in ["interface", "portmap", "firewall"] {
                let line = format!("handed back {plugin} net/{pod}/eth0\n");
                assert!(printed.contains(&line), "{printed}");
            }
        }
        assert!(!lab.host().run("nft list tables").contains("cais"));
        node.serves(&[&a, &b]);
        // Nothing is left to do.
        let before = lab.snapshot();
        assert_eq!(node.cais("handback"), "");
        let json: Value = serde_json::from_str(&node.cais("--json handback")).unwrap();
        assert_eq!(json, json!({ "handedBack": [] }));
        lab.assert_unchanged(&before);
        if keys["backend"] != "nftables" {
            node.serve_by(Reference);
            for pod in [&a, &b] {
                is_as_the_reference_has_it(&node, pod, variant);
            }
            node.chain.del(a.of());
            node.is_closed(8001);
            node.serves(&[&b]);
        }
        node.serve_by(Ours);
        assert!(node.chain.check(b.of()).is_ok());
        for pod in [&a, &b] {
            node.chain.del(pod.of());
            node.is_closed(pod.port);
        }
        assert_eq!(node.traces(), [""; 0]);
    }

    /// Its `portmap` looks for the rules of IPv4 among those of IPv6 as well, where there is a
    /// program for them [E].
    fn is_as_the_reference_has_it(node: &Node<'_>, pod: &Pod, variant: Variant) {
        let program = match variant {
            Variant::Nft => "/usr/sbin/xtables-nft-multi",
            Variant::Legacy => "/usr/sbin/xtables-legacy-multi",
        };
        let _ = std::fs::create_dir("/run/v4");
        let _ = std::os::unix::fs::symlink(program, "/run/v4/iptables");
        let result = node.chain.result(pod.of());
        for index in 0..4 {
            let call = node.chain.call(index, "CHECK", pod.of(), result.as_ref());
            let call = if index == 1 { call.env("PATH", "/run/v4") } else { call };
            call.run().succeeded();
        }
    }

    stamp!(lab_with_plugins, case,
        with_iptables_nft: (Variant::Nft, &json!({})),
        with_iptables_legacy: (Variant::Legacy, &json!({})),
        with_nftables: (Variant::Nft, &json!({ "backend": "nftables" })));
}

/// Whose namespace is gone has nothing to be handed back.
#[test]
fn what_is_of_the_dead_is_not_written() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let (living, dead) = (node.pod("living", 8001), node.pod("dead", 8002));
        dead.container.remove();
        let printed = node.cais("handback");
        assert!(!printed.contains("dead"), "{printed}");
        node.serves(&[&living]);
        node.is_closed(8002);
        let traces = node.traces();
        assert!(!traces.iter().any(|line| line.contains("10.1.0.3")), "{traces:?}");
    });
}

#[test]
fn rules_of_users_stay_in_force() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let pod = node.pod("a", 8001);
        node.serves(&[&pod]);
        lab.host().run("nft add rule inet cais user_fwd ip daddr 10.1.0.2 counter drop");
        node.cais("handback");
        assert!(elements(lab).iter().all(|element| element.set.starts_with("layout_")));
        assert_silent(&node.lan, (HOST[0], 8001));
        lab.host().run("nft delete table inet cais");
        node.serves(&[&pod]);
    });
}

#[test]
fn a_host_without_attachments_is_left_alone() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        assert_eq!(node.cais("handback"), "");
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

/// One connection after the other, all along: each is answered.
#[test]
fn published_ports_are_served_all_along() {
    lab_with_plugins(|lab| {
        let node = Node::new(lab, Variant::Nft);
        node.serve_by(Ours);
        let pod = node.pod("a", 8001);
        let at = SocketAddr::new(HOST[0].parse().unwrap(), pod.port);
        let (done, connects) = (AtomicBool::new(false), AtomicUsize::new(0));
        let probe = || {
            while !done.load(Ordering::Relaxed) {
                TcpStream::connect_timeout(&at, DEADLINE).map_err(|error| error.to_string())?;
                connects.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        };
        let more = |than: usize| {
            while connects.load(Ordering::Relaxed) <= than {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let prober = scope.spawn(|| node.lan.within(probe));
            let watch = |than| {
                if !prober.is_finished() {
                    more(than);
                }
            };
            watch(0);
            for _ in 0..5 {
                node.cais("handback");
                // And ours again: an ADD of the same attachment.
                watch(connects.load(Ordering::Relaxed));
                let mut result = node.chain.result(pod.of());
                for index in [1, 2] {
                    let call = node.chain.call(index, "ADD", pod.of(), result.as_ref());
                    result = Some(call.run().result());
                }
                watch(connects.load(Ordering::Relaxed));
            }
            done.store(true, Ordering::Relaxed);
            assert_eq!(prober.join().unwrap(), Ok(()));
        });
    });
}
