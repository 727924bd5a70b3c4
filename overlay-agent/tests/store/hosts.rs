//! Registering hosts, and being there.

use std::time::Duration;

use netns_fixtures::{Etcd, lab};
use overlay_agent::store::{Me, Number, State, StoreError};
use types::Family;

use crate::stage::{
    PATIENCE, Running, begins, block_on, host, id, me, network, soon, two, two_and_a_block,
    with_etcd,
};

#[test]
fn a_host_appears_with_all_it_says_and_others_see_it() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let b = host(etcd, 2).await;
        let view = a.sees("both", |view| view.hosts.len() == 2).await;
        assert_eq!(view.hosts, [me(1).host, me(2).host]);
        let mut presence = b.store.presence();
        let both = presence.wait_for(|presence| presence.len() == 2);
        soon("both are there", both).await.unwrap();
        let host = etcd.json("hosts/host-1");
        assert_eq!(host["underlay"]["v4"], "192.0.2.1", "{host}");
        assert_eq!(host["name"], "node-1", "{host}");
        assert_eq!(host["fp"], "sha256:1", "{host}");
        assert_eq!(etcd.json("vtep/192.0.2.1"), "host-1");
        assert_eq!(etcd.json("alive/host-1")["inst"], "first-life-of-1");
    });
}

#[test]
fn the_record_of_a_host_keeps_what_others_wrote_into_it() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.ctl(
            r#"put /overlay/v1/hosts/host-1 {"v":1,"id":"host-1","underlay":{"v4":null,"v6":null},"joined":7,"deadSince":9,"rack":"r1"}"#,
        );
        block_on(async {
            let _a = host(&etcd, 1).await;
            let host = etcd.json("hosts/host-1");
            assert_eq!(host["rack"], "r1", "{host}");
            assert_eq!(host["joined"], 7, "{host}");
            assert!(host["deadSince"].is_null(), "{host}");
        });
    });
}

#[test]
fn a_clone_is_refused_with_both_fingerprints_while_the_first_is_alive() {
    with_etcd(1, async |etcd| {
        let _first = host(etcd, 1).await;
        let clone = Me {
            fingerprint: "sha256:clone".to_owned(),
            instance: "life-of-the-clone".to_owned(),
            ..me(1)
        };
        let clone = begins(etcd, clone);
        let error = soon("it gives up", clone.task).await.unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "register host host-1: a machine with fingerprint sha256:1 is alive under this id, \
                 ours is sha256:clone\nhint: a clone needs an id of its own; remove its state \
                 directory"
        );
        assert_eq!(etcd.json("alive/host-1")["inst"], "first-life-of-1");
    });
}

#[test]
fn another_machine_takes_an_id_over_once_the_first_is_dead() {
    with_etcd(1, async |etcd| {
        host(etcd, 1).await.crash().await;
        let repaired = Me {
            fingerprint: "sha256:new-board".to_owned(),
            instance: "second".to_owned(),
            ..me(1)
        };
        let repaired = begins(etcd, repaired);
        repaired.ready().await;
        assert_eq!(etcd.json("alive/host-1")["fp"], "sha256:new-board");
        assert_eq!(etcd.json("hosts/host-1")["fp"], "sha256:new-board");
    });
}

#[test]
fn an_agent_that_starts_again_goes_on_with_its_presence() {
    with_etcd(1, async |etcd| {
        host(etcd, 1).await.crash().await;
        let lease = |etcd: &Etcd| etcd.ctl("lease list");
        let before = lease(etcd);
        let changes = etcd.revision_of(0);
        let again = host(etcd, 1).await;
        assert_eq!(lease(etcd), before, "the same lease");
        assert_eq!(etcd.revision_of(0), changes + 1, "presence is written, the record is not");
        again.crash().await;
        // A machine that was booted again does not wait for its earlier life to end.
        let life = Me { instance: "second".to_owned(), boot: "two".to_owned(), ..me(1) };
        let rebooted = begins(etcd, life);
        rebooted.ready().await;
        assert_eq!(etcd.json("alive/host-1")["boot"], "two");
    });
}

#[test]
fn a_second_host_with_the_same_underlay_address_is_refused_with_the_first() {
    with_etcd(1, async |etcd| {
        let first = host(etcd, 1).await;
        let mut second = me(2);
        second.host.underlay = me(1).host.underlay;
        let second = begins(etcd, second);
        let mut state = second.store.state();
        let refused = state.wait_for(|state| matches!(state, State::Refused(_)));
        let refused = soon("it is refused", refused).await.unwrap().clone();
        let State::Refused(error) = refused else { unreachable!("it was waited for") };
        assert_eq!(
            error.to_string(),
            "register underlay address 192.0.2.1: host host-1 has it\nhint: choose an address \
                 by which only this host is reached, or remove that host"
        );
        assert_eq!(etcd.keys("hosts/"), ["hosts/host-1"]);
        // It is let in as soon as the address is free.
        first.store.leave().await.unwrap();
        second.ready().await;
    });
}

#[test]
fn a_host_moves_to_another_address_in_one_step_and_keeps_its_block() {
    with_etcd(1, async |etcd| {
        let (a, b, blue, block) = two_and_a_block(etcd).await;
        let before = etcd.revision_of(0);
        let mut moved = me(1);
        moved.host.underlay.v4 = Some([192, 0, 2, 100].into());
        a.store.announce(moved.clone());
        let view = b.sees("the move", |view| view.hosts[0] == moved.host).await;
        assert_eq!(view.blocks[&blue.name], [block]);
        assert_eq!(etcd.revision_of(0), before + 1, "one step");
        assert_eq!(etcd.keys("vtep/"), ["vtep/192.0.2.100", "vtep/192.0.2.2"]);
        // An address of another host cannot be taken by moving either.
        moved.host.underlay.v4 = me(2).host.underlay.v4;
        a.store.announce(moved);
        let mut state = a.store.state();
        let refused = state
            .wait_for(|state| matches!(state, State::Refused(StoreError::UnderlayTaken { .. })));
        soon("it is refused", refused).await.unwrap();
        assert_eq!(etcd.json("vtep/192.0.2.2"), "host-2");
    });
}

#[test]
fn presence_ends_with_its_host_and_record_and_blocks_stay() {
    with_etcd(1, async |etcd| {
        let (a, b, blue, block) = two_and_a_block(etcd).await;
        a.crash().await;
        b.misses(id(1)).await;
        let view = b.store.view().borrow().clone();
        assert_eq!(view.hosts.len(), 2);
        assert_eq!(view.blocks[&blue.name], [block]);
        assert_eq!(etcd.keys("alive/"), ["alive/host-2"]);
    });
}

#[test]
fn a_host_that_is_alive_stays_present_for_longer_than_its_lease() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let mut confirmed = a.store.confirmed();
        let first = confirmed.borrow_and_update().unwrap();
        let later =
            confirmed.wait_for(|at| at.is_some_and(|at| at - first > Duration::from_secs(5)));
        soon("it is confirmed again and again", later).await.unwrap();
        assert_eq!(etcd.keys("alive/"), ["alive/host-1"]);
        // Neither revision nor disk of etcd is touched by that.
        let revision = etcd.revision_of(0);
        let at = *confirmed.borrow_and_update();
        soon("once more", confirmed.wait_for(|now| *now > at)).await.unwrap();
        assert_eq!(etcd.revision_of(0), revision);
    });
}

#[test]
fn presence_that_somebody_deleted_is_written_again() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
        etcd.delete("alive/host-1");
        let mut presence = b.store.presence();
        let back = presence.wait_for(|presence| presence.contains(&id(1)));
        soon("it is back", back).await.unwrap();
        soon("it may claim", async { while a.store.claim(&blue, Family::V4).await.is_err() {} })
            .await;
    });
}

#[test]
fn a_host_that_leaves_takes_everything_with_it() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16", "fd77::/48"]).await;
        a.store.claim(&blue, Family::V4).await.unwrap();
        a.store.claim(&blue, Family::V6).await.unwrap();
        b.store.claim(&blue, Family::V4).await.unwrap();
        b.follow(&blue);
        b.sees("all blocks", |view| view.blocks.values().flatten().count() == 3).await;
        a.store.leave().await.unwrap();
        soon("its task ends", a.task).await.unwrap().unwrap();
        let view = b.sees("it is gone", |view| view.hosts.len() == 1).await;
        assert!(view.blocks[&blue.name].iter().all(|block| block.host == id(2)));
        assert_eq!(etcd.keys("hosts/"), ["hosts/host-2"]);
        assert_eq!(etcd.keys("alive/"), ["alive/host-2"]);
        assert_eq!(etcd.keys("vtep/"), ["vtep/192.0.2.2"]);
        assert_eq!(etcd.keys("blocks/").len(), 1);
    });
}

#[test]
fn a_host_is_removed_by_another_when_it_is_dead_and_not_before() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
        a.store.claim(&blue, Family::V4).await.unwrap();
        let error = b.store.remove_host(&id(1)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "remove host host-1: it is alive\nhint: stop its agent first"
        );
        a.crash().await;
        b.misses(id(1)).await;
        b.store.remove_host(&id(1)).await.unwrap();
        assert_eq!(etcd.keys("hosts/"), ["hosts/host-2"]);
        assert!(etcd.keys("blocks/").is_empty());
        let error = b.store.remove_host(&id(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "host host-1 does not exist");
    });
}

#[test]
fn a_command_without_etcd_ends_in_time_and_says_why() {
    lab(|lab| {
        lab.needs(netns_fixtures::Feature::Etcd);
        block_on(async {
            let config =
                overlay_agent::store::EtcdConfig::new(vec!["http://127.0.0.1:2379".to_owned()]);
            let alone = Running::with(config, me(1), None);
            let wanted = network("blue", &["10.77.0.0/16"]);
            let asked = alone.store.create_network(&wanted, Number::Any);
            let error = tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(
                    "create a network: etcd is away: connect to etcd at http://127.0.0.1:2379: "
                ) && text.contains("Connection refused"),
                "{text}"
            );
        });
    });
}
