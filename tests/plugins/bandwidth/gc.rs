//! GC: limits of attachments that are no longer valid go.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{both, call, container, shapers};
use crate::under_test::{BOOKKEEPING, NETWORK, only_ours};

fn network(valid: Option<Value>) -> Value {
    let mut config = json!({ "cniVersion": "1.1.0", "name": NETWORK, "type": "bandwidth" });
    if let Some(valid) = valid {
        config["cni.dev/valid-attachments"] = valid;
    }
    config
}

#[test]
fn gc_removes_what_no_valid_attachment_has_and_nothing_else() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let before = lab.snapshot();
        let (a, b) = (container(lab, "a"), container(lab, "b"));
        for c in [&a, &b] {
            call(lab, "ADD", c, &both()).run().succeeded();
        }
        let gc =
            |config: &Value| lab.plugin("bandwidth").verb("GC").config(config).run().is_silent();
        // Nobody is proven dead.
        gc(&network(None));
        assert_eq!(shapers(lab.host()).len(), 2);
        let mut other = network(Some(json!([])));
        other["name"] = json!("other");
        gc(&other);
        assert_eq!(shapers(lab.host()).len(), 2);
        gc(&network(Some(json!([{ "containerID": "a", "ifname": "eth0" }]))));
        assert_eq!(shapers(lab.host()).len(), 1);
        call(lab, "CHECK", &a, &both()).run().is_silent();
        assert!(!lab.host().run("tc qdisc show dev end-b").contains("tbf"));
        a.remove();
        lab.host().wait_until_gone("end-a");
        gc(&network(None));
        assert_eq!(shapers(lab.host()), [""; 0]);
        lab.host().run("ip link del dev end-b");
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}
