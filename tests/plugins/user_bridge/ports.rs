//! Published ports. What they do is that of `portmap`, whose code this is.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{OF_THE_NETWORK, Resident, network, try_add};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::elements_of;
use crate::under_test::with_keys;
use crate::uplink::{HOST, HOST_TOO, LAN, both, lan};

/// A network of both families that publishes port 80 at `port`.
fn publishing(port: u16, keys: &Value) -> Value {
    let subnets = json!([{ "subnet": "10.1.0.0/24" }, { "subnet": "fd00:1::/64" }]);
    let all = json!({ "subnets": subnets, "runtimeConfig": { "portMappings": both(port, 80) } });
    network("web", &with_keys(all, keys))
}

#[test]
fn a_port_is_reached_from_outside_the_host_neighbours_and_the_container_itself() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let a = Resident::new(lab, "a", publishing(8080, &json!({})));
        let b = Resident::new(lab, "b", publishing(8081, &json!({})));
        serve(&a.container, "a", 80);
        a.check();
        for family in [0, 1] {
            assert_answers(&lan, (HOST[family], 8080), "a", LAN[family]);
        }
        // The bridge is the host's way to the container.
        assert_answers(lab.host(), ("127.0.0.1", 8080), "a", "10.1.0.1");
        assert_answers(&b.container, (HOST[0], 8080), "a", "10.1.0.1");
        assert_answers(&a.container, (HOST[0], 8080), "a", "10.1.0.1");
        a.del();
        assert_silent(&lan, (HOST[0], 8080));
        b.del();
    });
}

#[test]
fn another_network_reaches_a_published_port_by_the_host() {
    lab_with_plugins(|lab| {
        lan(lab);
        let a = Resident::new(lab, "a", publishing(8080, &json!({})));
        serve(&a.container, "a", 80);
        let other = Resident::new(lab, "b", network("other", &json!({ "subnet": "10.2.0.0/24" })));
        // What leaves its network is masqueraded.
        assert_answers(&other.container, (HOST[0], 8080), "a", "10.1.0.1");
        assert_silent(&other.container, ("10.1.0.2", 80));
    });
}

#[test]
fn ports_without_an_address_are_published_at_the_binding_of_the_network() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let bound =
            json!({ "options": { "com.docker.network.bridge.host_binding_ipv4": HOST_TOO[0] } });
        let a = Resident::new(lab, "a", publishing(8080, &bound));
        serve(&a.container, "a", 80);
        assert_answers(&lan, (HOST_TOO[0], 8080), "a", LAN[0]);
        assert_silent(&lan, (HOST[0], 8080));
        assert_silent(&lan, (HOST[1], 8080));
    });
}

#[test]
fn a_port_that_another_container_has_is_refused_with_its_name_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let _a = Resident::new(lab, "a", publishing(8080, &json!({})));
        let b = lab.container("b");
        let before = lab.snapshot();
        let error = try_add(lab, &b, &publishing(8080, &json!({}))).error();
        assert!(
            error.text().contains("8080") && error.text().contains("web/a/eth0"),
            "{}",
            error.text()
        );
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
        assert!(
            !elements_of(lab, "dnat4_any").is_empty(),
            "the other one's port is still published"
        );
    });
}
