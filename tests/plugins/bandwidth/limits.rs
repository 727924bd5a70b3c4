//! What is made of which keys.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{behind, both, bridge, call, config, container, filters, queues, shapers};
use crate::battery::USUAL;
use crate::chain::Attach;
use crate::under_test::{NETWORK, end_of, of_a_pair, only_ours, with_keys};

/// As tc shows a bucket of 8 Mbit/s with 10 kB.
const BUCKET: &str = "rate 8Mbit burst 10000b";

#[test]
fn what_a_container_receives_waits_on_the_hosts_end() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = json!({ "ingressRate": 8_000_000, "ingressBurst": 80_000 });
        let result = call(lab, "ADD", &c, &members).run().result();
        let seen = queues(lab.host(), "end-c1");
        assert!(seen.len() == 1 && seen[0].starts_with("qdisc tbf 1: root"), "{seen:?}");
        assert!(seen[0].contains(BUCKET), "{seen:?}");
        assert_eq!(shapers(lab.host()), [""; 0]);
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn what_a_container_sends_waits_on_a_link_of_its_own() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        lab.host().run("ip link set dev end-c1 mtu 1400");
        let members = json!({ "egressRate": 8_000_000, "egressBurst": 80_000 });
        let result = call(lab, "ADD", &c, &members).run().result();
        let shaper = shapers(lab.host()).remove(0);
        let seen = queues(lab.host(), &shaper);
        assert!(seen[0].starts_with("qdisc tbf 1: root") && seen[0].contains(BUCKET), "{seen:?}");
        let arriving = queues(lab.host(), "end-c1");
        assert!(arriving.len() == 1 && arriving[0].contains("qdisc ingress ffff:"), "{arriving:?}");
        let filters = filters(lab.host(), "end-c1");
        assert!(filters.contains(&format!("Redirect to device {shaper}")), "{filters}");
        let link = lab.host().link(&shaper).unwrap();
        assert_eq!((&link["mtu"], &link["linkinfo"]["info_kind"]), (&json!(1400), &json!("ifb")));
        assert!(link["flags"].as_array().unwrap().contains(&json!("UP")), "{link}");
        // Its name and address are in the result, as the last interface.
        let told = result["interfaces"].as_array().unwrap().last().unwrap();
        assert_eq!((&told["name"], &told["mac"]), (&json!(shaper), &link["address"]));
        assert!(told["sandbox"].is_null());
    });
}

#[test]
fn limits_of_the_runtime_count_where_the_configuration_has_none() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let runtime = json!({ "bandwidth": both() });
        // As containerd writes them: with a capital letter, and zeros for no limit.
        let of_containerd = json!({ "bandwidth": {
            "IngressRate": 8_000_000, "IngressBurst": 80_000, "EgressRate": 0, "EgressBurst": 0,
        } });
        for (keys, to, from) in [
            (json!({ "runtimeConfig": runtime }), 1, 1),
            (json!({ "runtimeConfig": of_containerd }), 1, 0),
            (
                json!({ "runtimeConfig": runtime, "egressRate": 80_000, "egressBurst": 80_000 }),
                0,
                1,
            ),
            (json!({ "runtimeConfig": runtime, "egressRate": 0 }), 0, 0),
        ] {
            call(lab, "ADD", &c, &keys).run().result();
            let tbf =
                queues(lab.host(), "end-c1").iter().filter(|line| line.contains("tbf")).count();
            assert_eq!((tbf, shapers(lab.host()).len()), (to, from), "{keys}");
            call(lab, "DEL", &c, &keys).run().is_silent();
            // The reference leaves the queue of a pair to its end.
            let _ = lab.host().try_run("tc qdisc del dev end-c1 root");
            let _ = lab.host().try_run("tc qdisc del dev end-c1 ingress");
        }
    });
}

#[test]
fn without_a_limit_the_result_is_passed_on_and_nothing_is_made() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        for members in [json!({}), json!({ "ingressRate": 0, "egressBurst": 0 })] {
            let result = call(lab, "ADD", &c, &members).run().result();
            assert_eq!(result["interfaces"].as_array().unwrap().len(), 2);
            lab.assert_unchanged(&before);
        }
    });
}

/// The configuration of a plugin that makes a pair.
fn plugin_with_a_pair(name: &str) -> Value {
    match name {
        "bridge" => bridge(),
        "ptp" => json!({ "type": "ptp", "ipam": bridge()["ipam"] }),
        other => json!({ "type": other }),
    }
}

mod behind_each_plugin_with_a_pair_both_directions_are_limited {
    use super::*;

    fn case(lab: &Lab, first: &str) {
        if first == "user-bridge" {
            only_ours(lab, "has no such plugin");
        }
        let first = plugin_with_a_pair(first);
        let chain = behind(lab, &first, &both());
        let c = lab.container("c1");
        let no_ports = json!([]);
        let of = Attach::new(&c, &no_ports);
        let result = chain.add(of);
        let shaper = shapers(lab.host()).remove(0);
        assert_eq!(result["interfaces"].as_array().unwrap().last().unwrap()["name"], shaper);
        let shown = lab.host().run("tc qdisc show");
        assert_eq!(shown.matches("qdisc tbf 1: ").count(), 2, "{shown}");
        c.settle();
        if let Err(error) = chain.check(of) {
            panic!("CHECK: {}", error.text());
        }
        lab.host().assert_reaches(&c);
        chain.del(of);
        assert_eq!(shapers(lab.host()), [""; 0]);
    }

    stamp!(lab_with_plugins, case,
        bridge: "bridge", ptp: "ptp", user_bridge: "user-bridge");
}

#[test]
fn an_interface_that_has_no_end_on_the_host_is_refused_by_its_kind() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev mac0 link eth0 type macvlan");
        c.run("ip link add dev v0 type veth peer name v1");
        let add = |ifname: &str| call(lab, "ADD", &c, &both()).ifname(ifname).run();
        let before = lab.snapshot();
        let errors = [add("mac0").error(), add("v0").error(), add("none0").error()];
        lab.assert_unchanged(&before);
        only_ours(lab, "has other words");
        errors[0].says(&["mac0", "/run/netns/c1", "macvlan, which has no end on the host", "hint"]);
        errors[1].says(&["v0", "the other end of its veth pair is not on the host"]);
        errors[2].says(&["none0", "there is no such link"]);
    });
}

#[test]
fn a_result_without_the_hosts_end_is_refused() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let mut config = config(&c, &both());
        config["prevResult"]["interfaces"][1]["name"] = json!("other0");
        let before = lab.snapshot();
        let error = lab.plugin("bandwidth").container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged(&before);
        only_ours(lab, "has other words");
        error.says(&["prevResult has no interface end-c1 on the host"]);
    });
}

/// The reference knows those from 0.3.0 on.
mod limits_are_made_in_each_version {
    use super::*;

    fn case(lab: &Lab, version: &str) {
        if version < "0.3.0" {
            only_ours(lab, "needs the interfaces of results");
        }
        crate::under_test::must_know(lab, version);
        let c = container(lab, "c1");
        let mut config = json!({ "cniVersion": version, "name": NETWORK, "type": "bandwidth" });
        config["prevResult"] = of_a_pair(version, &c);
        let config = with_keys(config, &both());
        let call = lab.plugin("bandwidth").container(&c).config(&config);
        let result = call.clone().verb("ADD").run().result();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(queues(lab.host(), &end_of(&c)).len(), 2);
        assert_eq!(shapers(lab.host()).len(), 1);
        // Only in 1.1.0 interfaces have an MTU.
        let last = result["interfaces"].as_array().and_then(|all| all.last().cloned());
        let mtu = last.map_or(Value::Null, |last| last["mtu"].clone());
        assert_eq!(mtu.as_u64(), (version == "1.1.0").then_some(1500), "{result}");
        call.verb("DEL").run().is_silent();
        assert_eq!(shapers(lab.host()), [""; 0]);
    }

    stamp!(lab_with_plugins, case,
        at_0_1_0: "0.1.0", at_0_2_0: "0.2.0", at_0_3_0: "0.3.0", at_0_4_0: "0.4.0",
        at_1_0_0: USUAL, at_1_1_0: "1.1.0");
}
