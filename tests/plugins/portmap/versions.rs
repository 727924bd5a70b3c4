//! The same under every version of the specification.

use serde_json::json;

use super::{INSIDE, OUTSIDE, attached, both, web};
use crate::battery::Family;
use crate::chain::Attach;
use crate::echo::{assert_answers, assert_silent};
use crate::under_test::least_config;
use crate::uplink::{HOST, LAN, lan};

every_version! {
    fn a_port_is_published_and_taken_back(lab, version) {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual).version(version);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "c1", of_lan);
        }
        chain.del(Attach::new(&c, &ports));
        assert_silent(&lan, (HOST[0], OUTSIDE));
    }

    fn the_result_of_the_plugin_before_is_handed_on(lab, version) {
        let chain = web(lab, Family::Dual).version(version);
        let c = lab.container("c1");
        let (ports, none) = (both(OUTSIDE, INSIDE), json!([]));
        for ports in [&none, &ports] {
            let of = Attach::new(&c, ports);
            let result = chain.call(0, "ADD", of, None).run().result();
            let passed = chain.call(1, "ADD", of, Some(&result)).run().result();
            assert_eq!(passed, result);
            chain.del(of);
        }
    }

    fn it_must_be_in_a_chain(lab, version) {
        let (c, ports) = (lab.container("c1"), both(OUTSIDE, INSIDE));
        let chain = web(lab, Family::Dual).version(version);
        for ports in [&ports, &json!([])] {
            let error = chain.call(1, "ADD", Attach::new(&c, ports), None).run().error();
            error.says(&["must be called as chained plugin"]);
        }
    }
}

#[test]
fn status_is_silent_and_makes_nothing() {
    netns_fixtures::lab_with_plugins(|lab| {
        crate::under_test::only_ours(lab, "of Debian has no STATUS");
        let before = lab.snapshot();
        let config = least_config("portmap", "1.1.0");
        lab.plugin("portmap").verb("STATUS").config(&config).run().is_silent();
        lab.assert_unchanged(&before);
    });
}
