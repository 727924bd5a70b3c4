//! Programs of the host that have a port already. Case 15.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{INSIDE, OF_THE_POOL, OUTSIDE, both, web, web_with};
use crate::battery::Family;
use crate::chain::Attach;
use crate::echo::{assert_answers, serve, serve_at};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

const IS_BLIND: &str = "does not look who listens [E]";

#[test]
fn a_program_that_listens_is_named_in_a_warning_and_the_port_published_all_the_same() {
    lab_with_plugins(|lab| {
        only_ours(lab, IS_BLIND);
        let lan = lan(lab);
        serve_at(lab.host(), "program", format!("{}:{OUTSIDE}", HOST[0]).parse().unwrap());
        let (chain, ports) = (web(lab, Family::V4), both(OUTSIDE, INSIDE));
        let c = lab.container("c1");
        let of = Attach::new(&c, &ports);
        let attached = chain.call(0, "ADD", of, None).run().result();
        let published = chain.call(1, "ADD", of, Some(&attached)).run();
        published.result();
        let words = ["8080/tcp", "net/c1/eth0", "of the host listens there at", HOST[0]];
        for word in words {
            assert!(published.stderr.contains(word), "`{word}`: {}", published.stderr);
        }
        serve(&c, "c1", INSIDE);
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        chain.del(of);
        assert_answers(&lan, (HOST[0], OUTSIDE), "program", LAN[0]);
    });
}

#[test]
fn a_program_that_listens_keeps_its_port_where_that_is_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, IS_BLIND);
        let lan = lan(lab);
        serve_at(lab.host(), "program", format!("[::]:{OUTSIDE}").parse().unwrap());
        let (chain, ports) =
            (web_with(lab, &json!({ "onListener": "error" })), both(OUTSIDE, INSIDE));
        let c = lab.container("c1");
        let of = Attach::new(&c, &ports);
        // The bridge stays when its last container goes.
        chain.add(Attach::new(&c, &json!([])));
        chain.del(Attach::new(&c, &json!([])));
        let before = lab.snapshot();
        let error = chain.try_add(of).unwrap_err();
        assert_eq!(error.code, 100, "{}", error.text());
        error.says(&["8080/tcp", "net/c1/eth0", "of the host listens there", "stop it"]);
        chain.del(of);
        lab.assert_unchanged_but(&before, OF_THE_POOL);
        assert_answers(&lan, (HOST[0], OUTSIDE), "program", LAN[0]);
        // Another port is nobody's.
        let free = both(OUTSIDE + 1, INSIDE);
        chain.add(Attach::new(&c, &free));
        serve(&c, "c1", INSIDE);
        assert_answers(&lan, (HOST[0], OUTSIDE + 1), "c1", LAN[0]);
    });
}
