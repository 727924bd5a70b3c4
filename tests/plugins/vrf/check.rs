//! CHECK: what each change is called. The reference looks at the member alone.

use netns_fixtures::Lab;
use serde_json::json;

use super::{call, container, lab_with_vrfs};
use crate::under_test::unlike_reference;

mod a_change_of_a_vrf_is_named {
    use super::*;

    fn case(lab: &Lab, (damage, words): (&str, &str)) {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({ "table": 7 })).run().succeeded();
        call(lab, "CHECK", &c, &json!({ "table": 7 })).run().is_silent();
        for command in damage.split("; ") {
            c.run(command);
        }
        let check = call(lab, "CHECK", &c, &json!({ "table": 7 })).run();
        unlike_reference(lab, "looks at the member alone, with other words [E]", || {
            check.refused(101).says(&[words, "/run/netns/c1"]);
        });
    }

    stamp!(lab_with_vrfs, case,
        the_member: ("ip link set dev eth0 nomaster", "eth0 in /run/netns/c1 is not in VRF blue"),
        the_vrf: ("ip link del dev blue", "VRF blue is missing"),
        its_being_up: ("ip link set dev blue down", "VRF blue in /run/netns/c1 is down"),
        its_table: (
            "ip link del dev blue; ip link add dev blue up type vrf table 8",
            "it has table 8, not 7"
        ),
        a_route: (
            "ip route del default table 7",
            "table 7 has no route 0.0.0.0/0 via 10.1.0.1 by eth0"
        ),
        a_route_in_the_main_table: (
            "ip route add 10.7.0.0/16 dev eth0",
            "route 10.7.0.0/16 by eth0 is in the main table"
        ),
        the_interface: ("ip link del dev eth0", "eth0 is missing"),
    );
}
