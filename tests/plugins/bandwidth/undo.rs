//! A failed ADD leaves nothing.

use netns_fixtures::lab_with_plugins;

use super::{both, call, container};
use crate::under_test::{BOOKKEEPING, only_ours, unlike_reference};

#[test]
fn an_add_that_the_kernel_refuses_late_leaves_nothing() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        // No place is left behind this one.
        lab.host().run("tc qdisc add dev end-c1 clsact");
        lab.host().run("tc filter add dev end-c1 ingress prio 65535 protocol ip u32 match u32 0 0");
        let before = lab.snapshot();
        call(lab, "ADD", &c, &both()).run().error();
        unlike_reference(lab, "leaves what it made before [E]", || {
            lab.assert_unchanged_but(&before, BOOKKEEPING);
        });
    });
}

#[test]
fn a_queue_of_somebody_else_is_left_and_named() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        lab.host().run("tc qdisc add dev end-c1 root handle 7: pfifo limit 9");
        let before = lab.snapshot();
        let error = call(lab, "ADD", &c, &both()).run().error();
        only_ours(lab, "says \"file exists\", and leaves what it made before [E]");
        error.says(&["end-c1 has a queue of somebody else, pfifo 7:", "hint: `tc qdisc del"]);
        lab.assert_unchanged(&before);
    });
}
