//! Several networks of one container, and how wide their ways are.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{Resident, network};

#[test]
fn the_network_with_the_highest_priority_gives_the_default_route() {
    lab_with_plugins(|lab| {
        let one = json!({ "subnet": "10.1.0.0/24", "gwPriority": 5 });
        let two = json!({ "subnet": "10.2.0.0/24" });
        let three = json!({ "subnet": "10.3.0.0/24", "gwPriority": 10 });
        let four = json!({ "subnet": "10.4.0.0/24", "internal": true });
        let first = Resident::new(lab, "c", network("one", &one));
        let c = || first.container.clone();
        let way = || first.container.run("ip route get 198.51.100.7");
        let second = Resident::on(lab, c(), "eth1", network("two", &two));
        assert!(way().contains("via 10.1.0.1 dev eth0"), "{}", way());
        let third = Resident::on(lab, c(), "eth2", network("three", &three));
        let fourth = Resident::on(lab, c(), "eth3", network("four", &four));
        assert!(way().contains("via 10.3.0.1 dev eth2"), "{}", way());
        assert_eq!(third.result["routes"][0]["priority"], 90);
        assert_eq!(second.result["routes"][0]["priority"], 100);
        for resident in [&first, &second, &third, &fourth] {
            resident.check();
        }
        third.del();
        assert!(way().contains("via 10.1.0.1 dev eth0"), "{}", way());
        first.del();
        assert!(way().contains("via 10.2.0.1 dev eth1"), "{}", way());
    });
}

#[test]
fn the_mtu_is_that_of_the_way_out_unless_given() {
    lab_with_plugins(|lab| {
        let host = lab.host();
        host.run("ip link add dev up0 mtu 1420 type veth peer name up1");
        host.run("ip addr add 192.0.2.1/24 dev up0");
        host.run("ip link set dev up0 up");
        host.run("ip route add default via 192.0.2.2 dev up0");
        let a = Resident::new(lab, "a", network("web", &json!({})));
        assert_eq!(a.container.link("eth0").unwrap()["mtu"], 1420);
        assert_eq!(host.link(&a.bridge()).unwrap()["mtu"], 1420);
        let b = Resident::new(lab, "b", network("other", &json!({ "mtu": 1300 })));
        assert_eq!(b.container.link("eth0").unwrap()["mtu"], 1300);
    });
}
