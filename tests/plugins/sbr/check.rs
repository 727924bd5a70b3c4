//! CHECK: what each change is called. The reference looks at nothing.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{call, container};
use crate::under_test::unlike_reference;

/// What is changed, and a word of the answer.
type Damage<'a> = (&'a str, &'a str);

mod a_change_is_named {
    use super::*;

    fn case(lab: &Lab, (damage, words): Damage<'_>) {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        call(lab, "CHECK", &c, &json!({})).run().is_silent();
        c.run(damage);
        unlike_reference(lab, "looks at nothing [E]", || {
            call(lab, "CHECK", &c, &json!({})).run().refused(101).says(&[words, "/run/netns/c1"]);
        });
    }

    stamp!(lab_with_plugins, case,
        a_rule: ("ip rule del from 10.1.0.2", "no rule leads from 10.1.0.2"),
        a_rule_of_ipv6: ("ip -6 rule del from fd00:1::2", "no rule leads from fd00:1::2"),
        a_default_route: (
            "ip route del default table 100",
            "table 100 has no default route via 10.1.0.1 by eth0"
        ),
        another_default_route: (
            "ip route replace default via 10.1.0.7 table 100",
            "table 100 has no default route via 10.1.0.1 by eth0"
        ),
        a_route_in_the_main_table: (
            "ip route add 10.7.0.0/16 dev eth0",
            "route 10.7.0.0/16 by eth0 is in the main table"
        ),
        the_interface: ("ip link del dev eth0", "eth0 is missing"),
    );
}
