//! Tables that somebody flushed, and tables of another cais.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{INSIDE, OUTSIDE, attached, both, web};
use crate::battery::Family;
use crate::chain::Attach;
use crate::echo::{assert_answers, assert_silent};
use crate::filter::{carry_out, elements};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

#[test]
fn the_next_add_after_a_flush_writes_what_all_that_live_want() {
    lab_with_plugins(|lab| {
        only_ours(lab, "writes the rules of the one container alone");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let first = attached(lab, &chain, "first", &ports);
        let dead = attached(lab, &chain, "dead", &both(9090, INSIDE));
        dead.remove();
        lab.host().run("nft flush ruleset");
        assert_silent(&lan, (HOST[0], OUTSIDE));
        let _second = attached(lab, &chain, "second", &both(8081, INSIDE));
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "first", of_lan);
            assert_answers(&lan, (host, 8081), "second", of_lan);
        }
        assert!(chain.check(Attach::new(&first, &ports)).is_ok());
        assert!(elements(lab).iter().all(|element| !element.comment.contains("dead")));
    });
}

#[test]
fn a_table_with_other_chains_than_ours_is_written_anew() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such table");
        let lan = lan(lab);
        carry_out(
            lab,
            "add table inet cais\nadd set inet cais masq4 { type ipv4_addr; }\nadd chain inet cais pre",
        );
        let chain = web(lab, Family::Dual);
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
    });
}

/// A table as a newer cais would make it, with the elements of an attachment in it.
fn newer(lab: &Lab) {
    carry_out(
        lab,
        "add table inet cais
         add set inet cais layout_3 { type mark; }
         add element inet cais layout_3 { 3 }
         add map inet cais dnat4_any { type inet_proto . inet_service : ipv4_addr . inet_service; }
         add element inet cais dnat4_any { tcp . 8080 comment \"net/c1/eth0\" : 10.1.0.2 . 80 }
         add element inet cais dnat4_any { tcp . 8081 comment \"net/c2/eth0\" : 10.1.0.3 . 80 }",
    );
}

#[test]
fn a_table_of_a_newer_layout_stops_add_and_status_but_not_del() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no layouts");
        newer(lab);
        let chain = web(lab, Family::Dual);
        let (c, ports) = (lab.container("c1"), both(OUTSIDE, INSIDE));
        let of = Attach::new(&c, &ports);
        let words = ["inet cais", "layout 3", "layout 2"];
        let before = lab.snapshot();
        // `bridge` masquerades, so it is the first that finds it.
        let error = chain.try_add(of).unwrap_err();
        assert_eq!(error.code, 50, "{}", error.text());
        error.says(&words);
        let result = json!({ "ips": [{ "address": "10.1.0.2/24" }], "cniVersion": "1.0.0" });
        chain.call(1, "ADD", of, Some(&result)).run().refused(50).says(&words);
        let mut status = chain.config(1, of, None);
        status["cniVersion"] = json!("1.1.0");
        lab.plugin("portmap").verb("STATUS").config(&status).run().refused(50).says(&words);
        let pool = ["/var/lib/cni/", "/run/cais/deleter", "cni1", "ip_forward", "forwarding"];
        lab.assert_unchanged_but(&before, &pool);
        chain.del(of);
        let left = lab.host().run("nft list table inet cais");
        assert!(!left.contains("8080") && left.contains("8081"), "{left}");
        assert!(left.contains("layout_3"), "{left}");
    });
}

/// The cais that made the claim was exchanged, and here is the old one back.
#[test]
fn del_of_the_last_that_is_known_keeps_a_table_of_a_newer_layout() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no layouts");
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        lab.host().run("nft flush ruleset");
        newer(lab);
        chain.del(Attach::new(&c, &ports));
        let left = lab.host().run("nft list table inet cais");
        assert!(!left.contains("8080") && left.contains("8081"), "{left}");
    });
}
