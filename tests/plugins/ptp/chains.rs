//! Other plugins after `ptp` in a list.

use netns_fixtures::Lab;
use serde_json::json;

use super::with_pool;
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, serve};
use crate::plugins::dnsname::smoke::resolved;
use crate::under_test::{BOOKKEEPING, only_ours, with_keys};
use crate::uplink::{HOST, INSIDE, LAN, both, lan, portmap};

/// The port at which they are published.
const OUTSIDE: u16 = 8080;

/// `ptp` with all that runtimes put behind it.
fn chain(lab: &Lab, family: Family) -> Chain<'_> {
    let ptp = with_keys(with_pool(family), &json!({ "ipMasq": true }));
    Chain::new(lab, &[ptp, portmap(), json!({ "type": "firewall" }), json!({ "type": "dnsname" })])
}

every_family! {
    fn ports_names_and_forwarding_serve_behind_ptp(lab, family) {
        only_ours(lab, "set has no dnsname");
        let lan = lan(lab);
        lab.host().set_sysctl("ipv4/ip_forward", "1");
        lab.host().set_sysctl("ipv6/conf/all/forwarding", "1");
        let before = lab.snapshot();
        let chain = chain(lab, family);
        let ports = both(OUTSIDE, INSIDE);
        let (web, db) = (lab.container("web"), lab.container("db"));
        for c in [&web, &db] {
            c.run("ip link set dev lo up");
        }
        let none = json!([]);
        let (of_web, of_db) = (Attach::new(&web, &ports), Attach::new(&db, &none));
        chain.add(of_web);
        chain.add(of_db);
        serve(&web, "web", INSIDE);
        if family != Family::V6 {
            assert_answers(&lan, (HOST[0], OUTSIDE), "web", LAN[0]);
            assert_eq!(resolved(&db, "127.0.0.11", "web"), Some("10.1.0.2".parse().unwrap()));
        }
        if family != Family::V4 {
            assert_answers(&lan, (HOST[1], OUTSIDE), "web", LAN[1]);
        }
        assert!(chain.check(of_web).is_ok() && chain.check(of_db).is_ok());
        chain.del(of_db);
        chain.del(of_web);
        let kept = [BOOKKEEPING, &["/var/lib/cni/", "CNI-", "/run/cais/"]].concat();
        lab.assert_unchanged_but(&before, &kept);
    }
}
