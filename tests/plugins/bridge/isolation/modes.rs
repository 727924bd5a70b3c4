//! What `internal` and the gateway modes do beside keeping others out, and what a network without
//! any of the keys is left alone with.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::probe::{Kind, Seen, control, listen, send, watch};
use super::town::{Frames, PUBLISHED, Town, UNPUBLISHED, portmap};
use crate::battery::Family;

#[test]
fn an_internal_network_gets_no_default_route_whatever_ipam_says() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        let mut config = town.config(1, 2, &json!({ "internal": true }));
        config["ipam"]["routes"] = json!([{ "dst": "0.0.0.0/0" }, { "dst": "10.200.0.0/16" }]);
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &config);
        assert_eq!(result["routes"], json!([{ "dst": "10.200.0.0/16" }]));
        let routes = c.routes();
        assert!(!routes.iter().any(|route| route.starts_with("default")), "{routes:?}");
        config["prevResult"] = result;
        lab.plugin("bridge").verb("CHECK").container(&c).config(&config).run().is_silent();
    });
}

mod a_bridge_of_mode_isolated_has_no_address_and_the_host_is_not_reached {
    use super::*;
    stamp!(lab_with_plugins, case, ipv4: Family::V4, ipv6: Family::V6);

    fn case(lab: &Lab, family: Family) {
        let town = Town::new(lab, family, Frames::Hidden);
        let keys = json!({ "gatewayMode": "isolated" });
        let (a, b) = (town.attach(1, 2, &keys), town.attach(1, 3, &keys));
        assert_eq!(lab.host().addresses("br1"), Vec::<String>::new());
        a.container.assert_reaches_at(&b.container, b.address);
        // By a route that a container gives itself: the bridge takes the frame, and the host drops
        // what is in it.
        watch(&b.container, town.is_v4());
        let other = town.attach(2, 2, &json!({}));
        watch(&other.container, town.is_v4());
        let mac = lab.host().link("br1").unwrap()["address"].as_str().unwrap().to_owned();
        let gateway = town.address(1, 1);
        a.container.run(&format!("ip neigh add {gateway} lladdr {mac} dev eth0"));
        a.container.run(&format!("ip route add default via {gateway}"));
        control(lab.host(), &other.container, other.address);
        watch(lab.host(), town.is_v4());
        send(&a.container, other.address, Kind::Udp(PUBLISHED), false);
        control(lab.host(), &other.container, other.address);
        let kind = Kind::Udp(PUBLISHED);
        assert!(Seen::by(lab.host()).has(a.address, other.address, kind), "it was not sent");
        assert!(!Seen::by(&other.container).has(a.address, other.address, kind), "it arrived");
    }
}

/// The host's port stays whoever's it is: it is neither taken nor in conflict.
mod a_routed_network_takes_no_port_of_the_host {
    use super::*;
    stamp!(lab_with_plugins, case, ipv4: Family::V4, ipv6: Family::V6);

    fn case(lab: &Lab, family: Family) {
        let town = Town::new(lab, family, Frames::Hidden);
        let keys = json!({ "gatewayMode": "routed" });
        let both = [town.attach(1, 2, &keys), town.attach(1, 3, &keys)];
        for resident in &both {
            town.publish(resident, &[(8001, PUBLISHED)]);
            let ports = [(8001, PUBLISHED)];
            let config = portmap(&resident.config, &resident.result, &ports);
            let call = lab.plugin("portmap").container(&resident.container).config(&config);
            call.verb("CHECK").run().is_silent();
        }
        let service = listen(lab.host(), town.host_address(), &[8001]).remove(0);
        let mut clients = Vec::new();
        for from in [&town.lan, lab.host()] {
            assert!(send(from, town.host_address(), Kind::Tcp(8001), true), "{}", from.name());
            clients.push(service.accept().unwrap().1.ip());
        }
        assert_eq!(clients, [town.lan_address(), town.host_address()]);
        for resident in &both {
            let _listeners = listen(&resident.container, resident.address, &[PUBLISHED]);
            assert!(send(&town.lan, resident.address, Kind::Tcp(PUBLISHED), true));
            town.detach(resident);
        }
        let tables = lab.host().run("nft list tables");
        assert!(!tables.contains("cais"), "{tables}");
    }
}

/// Pods of Kubernetes reach each other by their own addresses, from node to node, whatever port of
/// the host leads to them as well.
mod a_network_without_keys_is_reached_from_other_nodes_at_its_containers_addresses {
    use super::*;
    stamp_frames!(case);

    fn case(lab: &Lab, (family, frames): (Family, Frames)) {
        let town = Town::new(lab, family, frames);
        let node = &town.lan;
        let here = town.attach(1, 2, &json!({ "ipMasq": true }));
        town.publish(&here, &[(8001, PUBLISHED)]);
        // Beside it there is a network with keys, so that the table has all it can have.
        let strict = town.attach(2, 2, &json!({ "isolate": "strict" }));
        let there = town.attach_on(node, 3, 2, &json!({}));
        let length = if town.is_v4() { 24 } else { 64 };
        let pods = format!("{}/{length}", town.address(3, 0));
        lab.host().run(&format!("ip route add {pods} via {}", town.lan_address()));
        let _listeners = listen(&here.container, here.address, &[PUBLISHED]);
        let ports = [(here.address, PUBLISHED), (town.host_address(), 8001)];
        for (address, port) in ports {
            assert!(send(&there.container, address, Kind::Tcp(port), true), "{address}:{port}");
        }
        there.container.assert_reaches_at(&here.container, here.address);
        assert!(send(&there.container, here.address, Kind::Ping, true));
        watch(&strict.container, town.is_v4());
        send(&there.container, strict.address, Kind::Udp(UNPUBLISHED), false);
        control(&there.container, &here.container, here.address);
        control(lab.host(), &strict.container, strict.address);
        let kind = Kind::Udp(UNPUBLISHED);
        assert!(!Seen::by(&strict.container).has(there.address, strict.address, kind));
    }
}
