//! Many runtimes at once, and no daemon yet.

use std::collections::BTreeSet;
use std::thread;

use netns_fixtures::{Container, lab_with_plugins};
use serde_json::Value;

use super::{OF_THE_POOL, eth0, named, record_of};
use crate::battery::Family;

#[test]
fn twenty_containers_are_named_and_forgotten_at_once() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::Dual);
        let all: Vec<Container> = (0..20).map(|n| lab.container(&format!("c{n}"))).collect();
        // The bridge is one thing, the names another.
        let results: Vec<Value> =
            all.iter().map(|c| chain.call(0, "ADD", eth0(c), None).run().result()).collect();
        let before = lab.snapshot();
        let at_once = |act: &(dyn Fn(&Container, &Value) + Sync)| {
            thread::scope(|scope| {
                let pairs = all.iter().zip(&results);
                let running: Vec<_> =
                    pairs.map(|(c, result)| scope.spawn(move || act(c, result))).collect();
                running.into_iter().for_each(|one| one.join().unwrap());
            });
        };
        at_once(&|c, result| {
            chain.call(1, "ADD", eth0(c), Some(result)).run().succeeded();
        });
        let ports = |c: &Container| record_of(c)["places"][0]["port"].as_u64();
        let distinct: BTreeSet<_> = all.iter().map(ports).collect();
        assert_eq!(distinct.len(), 1, "all of a network are answered at one port");
        at_once(&|c, result| {
            chain.call(1, "CHECK", eth0(c), Some(result)).run().is_silent();
        });
        at_once(&|c, result| {
            chain.call(1, "DEL", eth0(c), Some(result)).run().is_silent();
        });
        let of_the_daemon = ["/run/cais/dns"];
        assert!(all.iter().all(|c| record_of(c).is_null()));
        lab.assert_unchanged_but(&before, &[OF_THE_POOL, &of_the_daemon].concat());
    });
}
