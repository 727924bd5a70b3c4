//! What is left of containers that nobody took care of.

use names::{Place, Topic};
use netns_fixtures::lab;

use crate::lifecycle::at;
use crate::stage::{RUN_DIR, Stage, ask, key};

#[test]
fn case_80_a_namespace_that_was_deleted_without_a_word_is_freed() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let host = lab.host();
        host.run("ip netns add gone");
        host.run("ip link add vgone type veth peer name eth0 netns gone");
        let record = names::Record {
            key: key("n1", "gone"),
            names: std::iter::once("gone".parse().unwrap()).collect(),
            places: vec![Place::Container { port: 1021 }],
            ..stage.record_of("/run/netns/gone", 3)
        };
        let netns = kernel::netns::Netns::open("/run/netns/gone").unwrap();
        stage.client().register(&record, &netns).unwrap();
        drop(netns);
        assert_eq!(ask(&web, server, "gone"), at(3));
        host.run("ip netns del gone");
        // Otherwise it is looked every half a minute.
        stage.client().about(Topic::Reload).unwrap();
        host.wait_until_gone("vgone");
        assert_ne!(ask(&web, server, "gone"), at(3));
        let (records, broken) = names::Store::under(RUN_DIR.as_ref()).all().unwrap();
        assert!(broken.is_empty(), "{broken:?}");
        let left: Vec<_> = records.into_iter().map(|record| record.key).collect();
        assert_eq!(left, [key("n1", "web")]);
        assert_eq!(ask(&web, server, "web"), at(2));
    });
}
