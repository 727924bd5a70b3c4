//! GC: interfaces of attachments that are no longer valid leave, also in a namespace that is kept.

use serde_json::{Value, json};

use super::{call, container, lab_with_vrfs};
use crate::under_test::{NETWORK, only_ours};

#[test]
fn gc_takes_interfaces_that_are_not_listed_out_and_nothing_else() {
    lab_with_vrfs(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let (a, b) = (container(lab, "a"), container(lab, "b"));
        for c in [&a, &b] {
            call(lab, "ADD", c, &json!({})).run().succeeded();
        }
        let gc = |network: &str, valid: Option<Value>| {
            let mut config = json!({
                "cniVersion": "1.1.0", "name": network, "type": "vrf", "vrfname": "blue",
            });
            if let Some(valid) = valid {
                config["cni.dev/valid-attachments"] = valid;
            }
            lab.plugin("vrf").verb("GC").config(&config).run().is_silent();
        };
        gc(NETWORK, None);
        gc("other", Some(json!([])));
        assert!(a.link("blue").is_some() && b.link("blue").is_some());
        gc(NETWORK, Some(json!([{ "containerID": "a", "ifname": "eth0" }])));
        assert!(a.link("blue").is_some() && b.link("blue").is_none());
        assert_eq!(b.link("eth0").unwrap().get("master"), None);
        a.remove();
        gc(NETWORK, None);
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/vrf")));
    });
}
