//! Networks that share a bridge or a subnet: what one no longer needs, another may.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{CHECK_FAILS, INSIDE, OUTSIDE, attached, both, web};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve_at};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{bridge, lan, portmap};

/// Which of two networks on `cni1` goes first. The reference never takes anything back.
mod of_two_networks_on_one_bridge_the_first_to_go_takes_nothing_from_the_other {
    use super::*;

    fn case(lab: &Lab, swapped: bool) {
        let _lan = lan(lab);
        // Another range of the same subnet, so that no address is given twice.
        let mut upper = bridge(Family::Dual, 1);
        upper["ipam"]["ranges"] = json!([
            [{ "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.100" }],
            [{ "subnet": "fd00:1::/64", "rangeStart": "fd00:1::100" }],
        ]);
        let twin = Chain::new(lab, &[upper, portmap()]).network("twin");
        let web = web(lab, Family::Dual);
        let (first, last) = if swapped { (&twin, &web) } else { (&web, &twin) };
        let (one, two) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let goes = attached(lab, first, "goes", &one);
        let stays = attached(lab, last, "stays", &two);
        first.del(Attach::new(&goes, &one));
        assert_answers(lab.host(), ("127.0.0.1", 9090), "stays", "10.1.0.1");
        unlike_reference(lab, CHECK_FAILS, || {
            assert!(last.check(Attach::new(&stays, &two)).is_ok());
        });
        only_ours(lab, "opens 127.0.0.1 of the host, and keeps its chains");
        // The guard is still there as well.
        serve_at(lab.host(), "host", "127.0.0.1:7070".parse().unwrap());
        stays.run("ip addr flush dev lo");
        stays.set_sysctl("ipv4/conf/eth0/route_localnet", "1");
        stays.run("ip route add 127.0.0.1/32 via 10.1.0.1 dev eth0");
        assert_silent(&stays, ("127.0.0.1", 7070));
        last.del(Attach::new(&stays, &two));
        assert_eq!(lab.host().sysctl("ipv4/conf/cni1/route_localnet").as_deref(), Some("0"));
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    }

    stamp!(lab_with_plugins, case, the_older: false, the_younger: true);
}
