//! Networks that are limited, or are not: keys of 1.5 that later releases of the reference ignore.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{both, call, container, filters, queues};
use crate::under_test::{only_ours, with_keys};

fn classes(lab: &Lab) -> String {
    let host = lab.host();
    host.run("tc class show dev end-c1") + &host.run("tc filter show dev end-c1")
}

#[test]
fn networks_of_both_families_are_left_out() {
    lab_with_plugins(|lab| {
        only_ours(lab, "ignores networks");
        let c = container(lab, "c1");
        let keys = json!({ "unshapedSubnets": ["10.9.0.0/16", "fd09::/16"] });
        call(lab, "ADD", &c, &with_keys(both(), &keys)).run().result();
        let seen = queues(lab.host(), "end-c1").join("\n");
        assert!(seen.contains("qdisc htb 1: root") && seen.contains("default 0x30"), "{seen}");
        let classes = classes(lab);
        assert!(classes.contains("class htb 1:30") && classes.contains("rate 8Mbit"), "{classes}");
        assert!(classes.contains("match 0a090000/ffff0000 at 12"), "{classes}");
        assert!(classes.contains("match fd090000/ffff0000 at 8"), "{classes}");
        let arriving = filters(lab.host(), "end-c1");
        assert!(arriving.contains("match 0a090000/ffff0000 at 16"), "{arriving}");
        assert!(arriving.contains("match fd090000/ffff0000 at 24"), "{arriving}");
        assert_eq!(arriving.matches("Redirect to").count(), 1, "{arriving}");
    });
}

#[test]
fn networks_of_both_families_alone_are_limited() {
    lab_with_plugins(|lab| {
        only_ours(lab, "ignores networks");
        let c = container(lab, "c1");
        let keys = json!({ "shapedSubnets": ["0.0.0.0/0", "fd09::1:0:0/96"] });
        let members = with_keys(both(), &keys);
        call(lab, "ADD", &c, &members).run().result();
        let classes = classes(lab);
        assert!(classes.contains("flowid 1:30"), "{classes}");
        let arriving = filters(lab.host(), "end-c1");
        assert_eq!(arriving.matches("Redirect to").count(), 2, "{arriving}");
        call(lab, "CHECK", &c, &members).run().is_silent();
        call(lab, "DEL", &c, &members).run().is_silent();
        assert_eq!(queues(lab.host(), "end-c1"), [""; 0]);
    });
}

#[test]
fn both_lists_at_once_are_refused() {
    lab_with_plugins(|lab| {
        only_ours(lab, "ignores networks");
        let c = container(lab, "c1");
        let keys = json!({ "shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["10.0.0.0/8"] });
        let add = call(lab, "ADD", &c, &with_keys(both(), &keys)).run();
        add.refused(7).says(&["unshapedSubnets and shapedSubnets", "hint: leave one of them out"]);
    });
}
