//! DEL, whatever became of the namespace.

use serde_json::json;

use super::{attached, lab_with_taps, layer2, with_pool};
use crate::battery::Family;
use crate::under_test::{leases, only_ours, unlike_reference};

#[test]
fn del_of_tap_twice_is_success() {
    lab_with_taps(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("tap").container(&c).config(&config).verb("DEL");
        call.run().is_silent();
        call.run().is_silent();
        assert!(c.link("eth0").is_none());
        assert_eq!(leases(), [""; 0]);
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_of_tap_frees_the_address_when_the_namespace_is_gone_or_a_stale_file() {
    lab_with_taps(|lab| {
        let config = with_pool(Family::V4);
        for name in ["gone", "stale"] {
            let c = attached(lab, name, &config);
            assert_eq!(leases().len(), 1);
            c.remove();
            let call = lab.plugin("tap").container(&c).config(&config).verb("DEL");
            if name == "gone" {
                call.run().is_silent();
            } else {
                std::fs::write(c.path(), "").unwrap();
                unlike_reference(lab, "fails for ever on a stale file [E]", || {
                    call.run().is_silent();
                });
                std::fs::remove_file(c.path()).unwrap();
            }
            assert_eq!(leases(), [""; 0]);
        }
    });
}

#[test]
fn del_of_tap_without_a_namespace_removes_the_tap_that_its_record_tells_of() {
    lab_with_taps(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("tap").container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        unlike_reference(lab, "leaves the interface when DEL names no namespace", || {
            assert!(c.link("eth0").is_none());
        });
    });
}

#[test]
fn del_of_tap_without_a_namespace_leaves_a_link_of_others_alone() {
    lab_with_taps(|lab| {
        only_ours(lab, "knows nothing of it");
        let c = attached(lab, "c1", &layer2());
        c.run("ip link del dev eth0");
        c.run("ip link add dev eth0 type veth peer name other");
        let call = lab.plugin("tap").container(&c).config(&layer2()).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert!(c.link("eth0").is_some());
    });
}

#[test]
fn del_of_tap_minds_nothing_of_its_configuration_but_ipam() {
    lab_with_taps(|lab| {
        let mut config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        config["bridge"] = json!("nowhere");
        config["mac"] = json!("nonsense");
        let call = lab.plugin("tap").container(&c).config(&config).args("nonsense");
        unlike_reference(lab, "reads CNI_ARGS at DEL, and fails on malformed ones", || {
            call.verb("DEL").run().is_silent();
            assert!(c.link("eth0").is_none());
            assert_eq!(leases(), [""; 0]);
        });
    });
}

/// The program behind a tap holds its queue until it ends.
#[test]
fn del_of_tap_takes_it_away_from_the_program_behind_it() {
    lab_with_taps(|lab| {
        let c = attached(lab, "c1", &layer2());
        let queue = c.within(|| kernel::link::open_tap(&"eth0".parse().unwrap())).unwrap();
        lab.del("tap", &c, &layer2());
        assert!(c.link("eth0").is_none());
        drop(queue);
    });
}
