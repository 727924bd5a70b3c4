//! GC: rules of attachments that are no longer valid go, also in a namespace that is kept.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{call, container, routes, rules};
use crate::under_test::{NETWORK, only_ours};

#[test]
fn gc_removes_what_no_valid_attachment_has_and_nothing_else() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let (a, b) = (container(lab, "a"), container(lab, "b"));
        for c in [&a, &b] {
            call(lab, "ADD", c, &json!({})).run().succeeded();
        }
        let gc = |network: &str, valid: Option<Value>| {
            let mut config = json!({ "cniVersion": "1.1.0", "name": network, "type": "sbr" });
            if let Some(valid) = valid {
                config["cni.dev/valid-attachments"] = valid;
            }
            lab.plugin("sbr").verb("GC").config(&config).run().is_silent();
        };
        gc(NETWORK, None);
        gc("other", Some(json!([])));
        assert_eq!((rules(&a).len(), rules(&b).len()), (2, 2));
        gc(NETWORK, Some(json!([{ "containerID": "a", "ifname": "eth0" }])));
        assert_eq!((rules(&a).len(), rules(&b)), (2, Vec::new()));
        assert_eq!(routes(&b, "100"), [""; 0]);
        a.remove();
        gc(NETWORK, None);
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/sbr")));
    });
}
