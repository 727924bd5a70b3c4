//! GC forgets the names of attachments that are not valid any more.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{eth0, named, record_of};
use crate::battery::Family;
use crate::chain::Chain;

struct Three<'lab> {
    chain: Chain<'lab>,
    all: [Container; 3],
}

impl<'lab> Three<'lab> {
    fn attached(lab: &'lab Lab) -> Self {
        let chain = named(lab, Family::V4);
        let all = ["a", "b", "c"].map(|name| lab.container(name));
        all.iter().for_each(|c| drop(chain.add(eth0(c))));
        Self { chain, all }
    }

    fn gc(&self, valid: Option<&Value>) {
        let mut config = self.chain.config(1, eth0(&self.all[0]), None);
        config["cniVersion"] = json!("1.1.0");
        if let Some(valid) = valid {
            config["cni.dev/valid-attachments"] = valid.clone();
        }
        self.chain.call(1, "GC", eth0(&self.all[0]), None).config(&config).run().is_silent();
    }

    fn known(&self) -> Vec<&str> {
        let has_names = |c: &&Container| record_of(c) != Value::Null;
        self.all.iter().filter(has_names).map(Container::id).collect()
    }
}

#[test]
fn what_is_not_listed_is_forgotten() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        three.gc(Some(&json!([
            { "containerID": "a", "ifname": "eth0" }, { "containerID": "b" },
            { "containerID": "c", "ifname": "eth1" },
        ])));
        assert_eq!(three.known(), ["a", "b"]);
        assert!(three.chain.check(eth0(&three.all[0])).is_ok());
        three.gc(Some(&json!([])));
        assert_eq!(three.known(), [""; 0]);
    });
}

#[test]
fn without_a_list_what_is_proven_dead_is_forgotten() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        three.gc(None);
        assert_eq!(three.known(), ["a", "b", "c"]);
        three.all[1].remove();
        three.gc(None);
        assert_eq!(three.known(), ["a", "c"]);
    });
}

#[test]
fn networks_of_other_names_keep_theirs() {
    lab_with_plugins(|lab| {
        let three = Three::attached(lab);
        let mut config = three.chain.config(1, eth0(&three.all[0]), None);
        config["cniVersion"] = json!("1.1.0");
        config["name"] = json!("other");
        config["cni.dev/valid-attachments"] = json!([]);
        lab.plugin("dnsname").verb("GC").config(&config).run().is_silent();
        assert_eq!(three.known(), ["a", "b", "c"]);
    });
}
