//! CHECK: what each change is called.

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{both, call, config, container, shapers};
use crate::under_test::{are_ours, only_ours, unlike_reference, with_keys};

/// ADD, and the configuration with its result.
fn added(lab: &Lab, c: &Container, members: &Value) -> Value {
    let mut config = config(c, members);
    config["prevResult"] = call(lab, "ADD", c, members).run().result();
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("bandwidth").verb("CHECK").container(c).config(config).run()
}

#[test]
fn what_add_made_passes() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let wide = json!({ "ingressRate": 40_000_000_000_u64, "ingressBurst": 8_000_000 });
        for members in [both(), wide] {
            let config = added(lab, &c, &members);
            check(lab, &c, &config).is_silent();
            lab.del("bandwidth", &c, &config);
            let _ = lab.host().try_run("tc qdisc del dev end-c1 root");
            let _ = lab.host().try_run("tc qdisc del dev end-c1 ingress");
        }
    });
}

/// What is changed, and a word of the answer. `SHAPER` is the link of the container.
type Damage<'a> = (&'a str, &'a str);

mod a_change_is_named {
    use super::*;

    fn case(lab: &Lab, (damage, word): Damage<'_>) {
        let c = container(lab, "c1");
        let config = added(lab, &c, &both());
        check(lab, &c, &config).is_silent();
        let shaper = shapers(lab.host()).remove(0);
        lab.host().run(&damage.replace("SHAPER", &shaper));
        only_ours(lab, "looks at rates alone, of queues that are there");
        check(lab, &c, &config).refused(101).says(&[word]);
    }

    stamp!(lab_with_plugins, case,
        the_queue_to_the_container: ("tc qdisc del dev end-c1 root", "queue root of end-c1 is missing"),
        its_rate: (
            "tc qdisc replace dev end-c1 root handle 1: tbf rate 9mbit burst 10000 limit 35000",
            "rate 1125000 B/s"
        ),
        its_burst: (
            "tc qdisc replace dev end-c1 root handle 1: tbf rate 8mbit burst 20000 limit 35000",
            "burst 312500 ticks"
        ),
        its_limit: (
            "tc qdisc replace dev end-c1 root handle 1: tbf rate 8mbit burst 10000 limit 36000",
            "limit 36000 B"
        ),
        what_sends_packets_to_the_link: ("tc qdisc del dev end-c1 ingress", "without a queue"),
        the_filter: ("tc filter del dev end-c1 ingress", "filter of end-c1 for all packets is missing"),
        the_link: ("ip link del dev SHAPER", "is missing on the host"),
        that_the_link_is_up: ("ip link set dev SHAPER down", "is down"),
        the_queue_from_the_container: ("tc qdisc del dev SHAPER root", "is missing"),
    );
}

mod a_change_of_what_is_limited_is_named {
    use super::*;

    fn case(lab: &Lab, (damage, word): Damage<'_>) {
        only_ours(lab, "ignores networks");
        let c = container(lab, "c1");
        let keys = json!({ "unshapedSubnets": ["10.9.0.0/16", "fd09::/16"] });
        let config = added(lab, &c, &with_keys(both(), &keys));
        check(lab, &c, &config).is_silent();
        lab.host().run(damage);
        check(lab, &c, &config).refused(101).says(&[word]);
    }

    stamp!(lab_with_plugins, case,
        a_network_of_senders: ("tc filter del dev end-c1 pref 1", "packets from 10.9.0.0/16"),
        a_network_of_receivers: ("tc filter del dev end-c1 ingress pref 2", "packets to fd09::/16"),
        the_class: (
            "tc class change dev end-c1 parent 1: classid 1:30 htb rate 9mbit burst 10000",
            "rate 1125000 B/s"
        ),
        the_line: ("tc qdisc change dev end-c1 handle 2: bfifo limit 1000", "bfifo limit 1000 B"),
    );
}

#[test]
fn check_without_a_limit_is_silent() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        unlike_reference(lab, "crashes", || {
            call(lab, "CHECK", &c, &json!({})).run().is_silent();
        });
        let error = call(lab, "CHECK", &c, &both()).run();
        if are_ours(lab) {
            error.refused(101).says(&["queue root of end-c1 is missing"]);
        }
    });
}
