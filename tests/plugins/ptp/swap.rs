//! Ours and the Go plugin in turn: what one made, the other checks and removes.

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{OF_THE_STORE, with, with_pool};
use crate::battery::Family;
use crate::under_test::{BOOKKEEPING, leases, only_ours};

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reference,
    Ours,
}

use By::{Ours, Reference};

fn call<'lab>(lab: &'lab Lab, by: By, c: &Container, verb: &str, config: &Value) -> Call<'lab> {
    let call = match by {
        Reference => lab.reference_plugin("ptp"),
        Ours => lab.plugin("ptp"),
    };
    call.container(c).config(config).verb(verb)
}

/// ADD by one of them; the config with its result, as CHECK and DEL are given it.
#[track_caller]
fn added(lab: &Lab, by: By, c: &Container) -> Value {
    lab.needs(Feature::ReferencePlugins);
    let mut config = with_pool(Family::Dual);
    config["prevResult"] = call(lab, by, c, "ADD", &config).run().result();
    c.settle();
    config
}

/// Each pair of who adds and who comes after.
mod a_pair_of_one_is_checked_and_deleted_by_the_other {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        let c = lab.container("c1");
        // Forwarding stays, whoever turned it on.
        lab.host().set_sysctl("ipv4/ip_forward", "1");
        lab.host().set_sysctl("ipv6/conf/all/forwarding", "1");
        let before = lab.snapshot();
        let config = added(lab, maker, &c);
        call(lab, other, &c, "CHECK", &config).run().is_silent();
        c.run("ip addr del 10.1.0.2/24 dev eth0");
        call(lab, other, &c, "CHECK", &config).run().error();
        // The second time there is nothing left.
        for _ in 0..2 {
            call(lab, other, &c, "DEL", &config).run().succeeded();
        }
        // The Go plugin cannot know of our records.
        let own = ["/run/cais/attachments/"];
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &own].concat());
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn our_gc_frees_what_the_reference_took_for_a_pair_and_its_valid_one_stays() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let (a, b) = (lab.container("a"), lab.container("b"));
        let config = added(lab, Reference, &a);
        added(lab, Reference, &b);
        let config = with(config, "cniVersion", json!("1.1.0"));
        let config = with(config, "prevResult", Value::Null);
        let valid = json!([{ "containerID": "a", "ifname": "eth0" }]);
        let config = with(config, "cni.dev/valid-attachments", valid);
        lab.plugin("ptp").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.2", "fd00:1::2"]);
        assert_eq!(a.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
    });
}
