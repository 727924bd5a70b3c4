//! GC: links in containers that live, leases and records of attachments that are valid no more.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, pool, sibling, with};
use crate::battery::Family;
use crate::under_test::{leases, only_ours};

fn config(plugin: &str) -> Value {
    with(pool(plugin, Family::V4), "cniVersion", json!("1.1.0"))
}

/// `a`, `b` and `c` with 10.1.0.2 to 10.1.0.4.
fn three(lab: &Lab, plugin: &str) -> [Container; 3] {
    only_ours(lab, "cleans nothing in GC [E]");
    let containers = [("a", 1), ("b", 2), ("c", 3)]
        .map(|(name, number)| attached(lab, name, &sibling(config(plugin), number)));
    assert_eq!(leases(), ["10.1.0.2", "10.1.0.3", "10.1.0.4"]);
    containers
}

/// GC with `valid` under the key of the specification.
fn gc(lab: &Lab, plugin: &str, valid: Value) {
    let config = with(config(plugin), "cni.dev/valid-attachments", valid);
    lab.plugin(plugin).config(&config).verb("GC").run().is_silent();
}

fn records(lab: &Lab) -> usize {
    let is_record = |line: &&String| line.contains("/run/cais/attachments/");
    lab.snapshot().lines().iter().filter(is_record).count()
}

every_sublink! {
    fn gc_takes_links_that_are_not_listed_out_of_living_containers(lab, plugin) {
        let [a, b, c] = three(lab, plugin);
        gc(lab, plugin, json!([{ "containerID": "b", "ifname": "eth0" }]));
        assert_eq!(leases(), ["10.1.0.3"]);
        assert_eq!(b.addresses("eth0"), ["10.1.0.3/24"]);
        assert!(a.link("eth0").is_none() && c.link("eth0").is_none());
        assert_eq!(records(lab), 1);
    }

    fn without_a_list_gc_takes_only_what_is_proven_dead(lab, plugin) {
        let [a, b, c] = three(lab, plugin);
        a.remove();
        lab.plugin(plugin).config(&config(plugin)).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.3", "10.1.0.4"]);
        assert!(b.link("eth0").is_some() && c.link("eth0").is_some());
        assert_eq!(records(lab), 2);
    }

    /// A namespace may have been handed to another container since.
    fn gc_leaves_a_link_of_others_alone(lab, plugin) {
        let [a, ..] = three(lab, plugin);
        a.run("ip link del dev eth0");
        a.run("ip link add dev eth0 type veth peer name peer0");
        a.run("ip link set dev eth0 alias cais:other/x/eth0");
        gc(lab, plugin, json!([]));
        assert!(a.link("eth0").is_some());
        assert_eq!((leases().len(), records(lab)), (0, 0));
    }
}
