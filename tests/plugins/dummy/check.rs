//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, Outcome};
use serde_json::Value;

use super::{lab_with_dummies, with_pool};
use crate::battery::Family;
use crate::under_test::unlike_reference;

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container) -> Value {
    let mut config = with_pool(Family::V4);
    config["ipam"]["routes"] = serde_json::json!([{ "dst": "10.8.0.0/16" }]);
    config["prevResult"] = lab.add("dummy", c, &config);
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("dummy").container(c).config(config).verb("CHECK").run()
}

#[test]
fn check_of_dummy_passes_after_add() {
    lab_with_dummies(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c);
        check(lab, &c, &config).is_silent();
    });
}

/// Each thing that somebody may have broken.
mod what_is_missing_of_a_dummy_is_named {
    use super::*;

    fn case(lab: &Lab, (breaks, named): (&str, &str)) {
        let c = lab.container("c1");
        let config = attached(lab, &c);
        for command in breaks.split("; ") {
            c.run(command);
        }
        check(lab, &c, &config).error().says(&[named]);
    }

    stamp!(lab_with_dummies, case,
        the_link: ("ip link del dev eth0", "eth0"),
        the_kind:
            ("ip link del dev eth0; ip link add dev eth0 type veth peer name other", "eth0"),
        its_being_up: ("ip link set dev eth0 down", "eth0"),
        the_address: ("ip addr del 10.1.0.2/24 dev eth0", "10.1.0.2"),
        the_mac: ("ip link set dev eth0 address 02:00:00:00:00:07", "02:00:00:00:00:07"),
    );
}

#[test]
fn check_of_dummy_looks_at_routes() {
    lab_with_dummies(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c);
        c.run("ip route del 10.8.0.0/16");
        unlike_reference(lab, "does not look at routes", || {
            check(lab, &c, &config).refused(101).says(&["10.8.0.0/16"]);
        });
    });
}
