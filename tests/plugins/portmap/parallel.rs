//! Many runtimes at once: no port twice, no element lost.

use std::thread;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::Value;

use super::{INSIDE, OF_THE_POOL, attached, both, other, web};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, serve};
use crate::filter::{elements, elements_of};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

struct Publisher<'a, 'lab> {
    chain: &'a Chain<'lab>,
    container: Container,
    port: u16,
    ports: Value,
}

impl Publisher<'_, '_> {
    fn attach(&self) -> Attach<'_> {
        Attach::new(&self.container, &self.ports)
    }
}

/// Containers `<name><number>`, each with a port of its own from `first` on.
fn publishers<'a, 'lab>(
    lab: &Lab,
    chain: &'a Chain<'lab>,
    name: &str,
    (first, count): (u16, u16),
) -> Vec<Publisher<'a, 'lab>> {
    let of = |number| {
        let container = lab.container(&format!("{name}{number}"));
        let port = first + number;
        Publisher { chain, container, port, ports: both(port, INSIDE) }
    };
    (0..count).map(of).collect()
}

fn at_once(all: &[Publisher<'_, '_>], act: impl Fn(&Publisher<'_, '_>) + Sync) {
    thread::scope(|scope| {
        let act = &act;
        let running: Vec<_> = all.iter().map(|one| scope.spawn(move || act(one))).collect();
        running.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[track_caller]
fn assert_all_are_served(lab: &Lab, all: &[Publisher<'_, '_>]) {
    // Two protocols each.
    for set in ["dnat4_any", "dnat6_any", "published4", "published6"] {
        assert_eq!(elements_of(lab, set).len(), 2 * all.len(), "{set}");
    }
    for set in ["masq4", "masq6", "hairpin4", "hairpin6"] {
        assert_eq!(elements_of(lab, set).len(), all.len(), "{set}");
    }
    at_once(all, |one| assert!(one.chain.check(one.attach()).is_ok()));
}

#[test]
fn sixty_four_at_once_all_have_their_ports_and_leave_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "is beside the point: it has rules");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        drop(attached(lab, &chain, "warm", &both(99, INSIDE)));
        chain.gc(Some(&serde_json::json!([])));
        lab.host().settle();
        let before = lab.snapshot();
        let all = publishers(lab, &chain, "c", (2000, 64));
        at_once(&all, |one| drop(one.chain.add(one.attach())));
        assert_all_are_served(lab, &all);
        for one in [&all[0], &all[63]] {
            one.container.settle();
            serve(&one.container, one.container.id(), INSIDE);
            assert_answers(&lan, (HOST[0], one.port), one.container.id(), LAN[0]);
            assert_answers(&lan, (HOST[1], one.port), one.container.id(), LAN[1]);
        }
        at_once(&all, |one| one.chain.del(one.attach()));
        assert!(elements(lab).is_empty());
        lab.assert_unchanged_but(&before, OF_THE_POOL);
    });
}

#[test]
fn of_two_networks_that_come_and_go_at_once_neither_loses_anything() {
    lab_with_plugins(|lab| {
        only_ours(lab, "is beside the point: it has rules");
        let (one, two) = (web(lab, Family::Dual), other(lab, Family::Dual));
        let mut coming = publishers(lab, &one, "a", (2000, 16));
        coming.extend(publishers(lab, &two, "b", (3000, 16)));
        let mut going = publishers(lab, &one, "c", (4000, 16));
        going.extend(publishers(lab, &two, "d", (5000, 16)));
        at_once(&going, |one| drop(one.chain.add(one.attach())));
        assert_all_are_served(lab, &going);
        thread::scope(|scope| {
            scope.spawn(|| at_once(&going, |one| one.chain.del(one.attach())));
            at_once(&coming, |one| drop(one.chain.add(one.attach())));
        });
        assert_all_are_served(lab, &coming);
        at_once(&coming, |one| one.chain.del(one.attach()));
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    });
}

#[test]
fn the_last_of_all_and_the_first_again_do_not_disturb_each_other() {
    lab_with_plugins(|lab| {
        only_ours(lab, "never removes a table");
        let chain = web(lab, Family::Dual);
        // Tables go with the last and come with the next.
        let all = publishers(lab, &chain, "c", (2000, 8));
        at_once(&all, |one| {
            for _ in 0..8 {
                one.chain.add(one.attach());
                assert!(one.chain.check(one.attach()).is_ok());
                one.chain.del(one.attach());
            }
        });
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
        assert_eq!(lab.host().sysctl("ipv4/conf/cni1/route_localnet").as_deref(), Some("0"));
    });
}
