//! etcd fails in all the ways it can; nobody forgets anybody.

use std::sync::{Arc, Mutex};

use netns_fixtures::Etcd;
use overlay_agent::store::{EtcdConfig, State, StoreError};
use peers::Network;
use tokio::task::JoinHandle;
use types::Family;

use crate::stage::{Running, TTL, config, host, id, me, soon, two, with_etcd};

/// Two hosts with a block each, that see each other.
async fn two_with_blocks(etcd: &Etcd) -> (Running, Running, Network) {
    let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
    for host in [&a, &b] {
        host.follow(&blue);
        host.store.claim(&blue, Family::V4).await.unwrap();
    }
    for host in [&a, &b] {
        sees(host, 2).await;
    }
    (a, b, blue)
}

async fn sees(host: &Running, count: usize) {
    let has = |view: &overlay_agent::store::View| {
        view.hosts.len() == count
            && view.networks.len() == 1
            && view.blocks.values().flatten().count() == count
    };
    host.sees(&format!("{count} hosts and blocks"), has).await;
}

/// Notes the fewest hosts, networks and blocks that a host's view ever has.
fn fewest(host: &Running) -> (Arc<Mutex<[usize; 3]>>, JoinHandle<()>) {
    let least = Arc::new(Mutex::new([usize::MAX; 3]));
    let (noted, mut view) = (least.clone(), host.store.view());
    let task = tokio::spawn(async move {
        loop {
            let now = view.borrow_and_update().clone();
            let blocks = now.blocks.values().flatten().count();
            let counts = [now.hosts.len(), now.networks.len(), blocks];
            {
                let mut noted = noted.lock().unwrap();
                *noted = std::array::from_fn(|place| noted[place].min(counts[place]));
            }
            if view.changed().await.is_err() {
                return;
            }
        }
    });
    (least, task)
}

#[test]
fn views_stay_while_etcd_is_dead_and_go_on_when_it_is_back() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let before = a.store.view().borrow().clone();
        etcd.kill(0);
        a.away().await;
        b.away().await;
        let error = a.store.claim(&blue, Family::V4).await.unwrap_err();
        assert!(matches!(error, StoreError::Away { .. }), "{error}");
        assert_eq!(*a.store.view().borrow(), before);
        etcd.restart(0);
        a.ready().await;
        b.ready().await;
        assert!(matches!(*a.store.state().borrow(), State::Ready { recovered: false, .. }));
        assert_eq!(*a.store.view().borrow(), before);
        b.store.claim(&blue, Family::V4).await.unwrap();
        a.sees("the third block", |view| view.blocks[&blue.name].len() == 3).await;
    });
}

#[test]
fn an_etcd_that_hangs_is_noticed_and_one_that_goes_on_is_used_again() {
    with_etcd(1, async |etcd| {
        let (a, _b, blue) = two_with_blocks(etcd).await;
        let before = a.store.view().borrow().clone();
        etcd.stop(0);
        a.away().await;
        assert_eq!(*a.store.view().borrow(), before);
        etcd.go_on(0);
        a.ready().await;
        a.store.claim(&blue, Family::V4).await.unwrap();
        a.sees("the third block", |view| view.blocks[&blue.name].len() == 3).await;
    });
}

#[test]
fn an_etcd_that_lost_everything_gets_it_back_and_no_host_forgets_another() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let before = a.store.view().borrow().clone();
        let (least_a, watching_a) = fewest(&a);
        let (least_b, watching_b) = fewest(&b);
        etcd.kill(0);
        a.away().await;
        b.away().await;
        etcd.wipe(0);
        etcd.restart(0);
        for host in [&a, &b] {
            host.ready().await;
            let state = host.store.state().borrow().clone();
            assert!(matches!(state, State::Ready { recovered: true, .. }), "{state:?}");
        }
        // A host that comes now finds everything.
        let c = host(etcd, 3).await;
        c.follow(&blue);
        c.sees("all of before", |view| {
            view.hosts.len() == 3
                && view.networks == before.networks
                && view.blocks.get(&blue.name).is_some_and(|blocks| blocks.len() == 2)
        })
        .await;
        a.sees("the new host", |view| view.hosts.len() == 3).await;
        b.sees("the new host", |view| view.hosts.len() == 3).await;
        watching_a.abort();
        watching_b.abort();
        assert_eq!(*least_a.lock().unwrap(), [2, 1, 2]);
        assert_eq!(*least_b.lock().unwrap(), [2, 1, 2]);
        let place = |view: &overlay_agent::store::View| {
            let mut blocks: Vec<_> = view.blocks[&blue.name]
                .iter()
                .map(|block| (block.cidr, block.host.clone()))
                .collect();
            blocks.sort();
            blocks
        };
        assert_eq!(place(&a.store.view().borrow()), place(&before));
    });
}

#[test]
fn a_host_that_does_not_come_back_after_the_loss_keeps_its_routes_at_the_others() {
    with_etcd(1, async |etcd| {
        let (a, b, _) = two_with_blocks(etcd).await;
        b.crash().await;
        etcd.kill(0);
        a.away().await;
        etcd.wipe(0);
        etcd.restart(0);
        a.ready().await;
        let view = a.store.view().borrow().clone();
        assert_eq!(view.hosts.len(), 2);
        assert_eq!(view.blocks.values().flatten().count(), 2);
        assert_eq!(etcd.keys("hosts/"), ["hosts/host-1"]);
        // It is back later, without its block: only then is that forgotten, by a listing.
        let _b = host(etcd, 2).await;
        let mut presence = a.store.presence();
        let back = presence.wait_for(|presence| presence.contains(&id(2)));
        soon("it is back", back).await.unwrap();
        assert_eq!(a.store.view().borrow().blocks.values().flatten().count(), 2);
    });
}

#[test]
fn what_was_held_is_forgotten_by_a_listing_after_its_owner_is_back_without_it() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let snapshot = snapshot_of(&a).await;
        a.crash().await;
        b.crash().await;
        etcd.kill(0);
        etcd.wipe(0);
        etcd.restart(0);
        let often = EtcdConfig { relist: std::time::Duration::from_millis(500), ..config(etcd) };
        let a = Running::with(often, me(1), Some(snapshot.as_bytes()));
        a.follow(&blue);
        a.ready().await;
        assert_eq!(a.store.view().borrow().blocks.values().flatten().count(), 2);
        let b = host(etcd, 2).await;
        a.sees("one block", |view| view.blocks.values().flatten().count() == 1).await;
        assert_eq!(a.store.view().borrow().hosts.len(), 2);
        drop(b);
    });
}

async fn snapshot_of(host: &Running) -> Arc<str> {
    let mut snapshot = host.store.snapshot();
    let view = host.store.view();
    let whole = snapshot.wait_for(|text| {
        let view = view.borrow();
        let keys = ["/hosts/host-1", "/hosts/host-2", "/netindex"];
        let blocks = view.blocks.values().flatten().map(|block| block.cidr.ip().to_string());
        keys.map(str::to_owned).into_iter().chain(blocks).all(|part| text.contains(&part))
    });
    soon("a snapshot", whole).await.unwrap().clone()
}

#[test]
fn a_start_without_etcd_shows_what_was_known_and_sweeps_what_went_meanwhile() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let before = a.store.view().borrow().clone();
        let snapshot = snapshot_of(&a).await;
        a.crash().await;
        b.store.leave().await.unwrap();
        etcd.kill(0);
        let a = Running::with(config(etcd), me(1), Some(snapshot.as_bytes()));
        a.follow(&blue);
        a.sees("what was known", |view| *view == *before).await;
        assert!(a.store.presence().borrow().is_empty(), "nobody knows who is there");
        a.away().await;
        etcd.restart(0);
        a.ready().await;
        sees(&a, 1).await;
        // What is no snapshot is none.
        let odd = Running::with(config(etcd), me(3), Some(b"{\"v\":1}"));
        odd.ready().await;
    });
}

#[test]
fn a_dead_leader_is_replaced_without_anybody_noticing_more_than_a_pause() {
    with_etcd(3, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let (least, watching) = fewest(&a);
        let leader = etcd.leader();
        etcd.kill(leader);
        let claimed = soon("a claim", async {
            loop {
                if let Ok(claimed) = b.store.claim(&blue, Family::V4).await {
                    break claimed;
                }
            }
        })
        .await;
        a.sees("the new block", |view| {
            view.blocks[&blue.name].iter().any(|block| block.cidr == claimed.block.cidr)
        })
        .await;
        watching.abort();
        assert_eq!(*least.lock().unwrap(), [2, 1, 2]);
    });
}

#[test]
fn a_member_that_hangs_is_left_for_another() {
    with_etcd(3, async |etcd| {
        let (a, _b, blue) = two_with_blocks(etcd).await;
        let State::Ready { endpoint, .. } = a.store.state().borrow().clone() else {
            panic!("it was ready")
        };
        let member = etcd.endpoints().iter().position(|one| *one == endpoint).unwrap();
        etcd.stop(member);
        let mut state = a.store.state();
        let elsewhere = state.wait_for(
            |state| matches!(state, State::Ready { endpoint: now, .. } if *now != endpoint),
        );
        soon("another member is used", elsewhere).await.unwrap();
        soon("a claim", async { while a.store.claim(&blue, Family::V4).await.is_err() {} }).await;
        a.sees("the new block", |view| view.blocks[&blue.name].len() == 3).await;
    });
}

#[test]
fn a_member_without_a_majority_is_left_for_another() {
    with_etcd(3, async |etcd| {
        // A follower alone goes on as if nothing were, unless it is asked about its leader.
        let config = EtcdConfig { endpoints: vec![etcd.endpoint(0)], ..config(etcd) };
        let a = Running::with(config, me(1), None);
        a.ready().await;
        etcd.stop(1);
        etcd.stop(2);
        let mut state = a.store.state();
        let away = state.wait_for(|state| !matches!(state, State::Ready { .. }));
        soon("it is noticed", away).await.unwrap();
        etcd.go_on(1);
        etcd.go_on(2);
        a.ready().await;
    });
}

#[test]
fn changes_that_were_compacted_while_a_host_was_cut_off_reach_it_by_a_listing() {
    with_etcd(3, async |etcd| {
        // Host 1 knows member 0 alone, which misses what the others do.
        let long = EtcdConfig { endpoints: vec![etcd.endpoint(0)], ttl: TTL * 20, ..config(etcd) };
        let a = Running::with(long, me(1), None);
        a.ready().await;
        let others =
            EtcdConfig { endpoints: vec![etcd.endpoint(1), etcd.endpoint(2)], ..config(etcd) };
        let b = Running::with(others.clone(), me(2), None);
        b.ready().await;
        a.sees("host 2", |view| view.hosts.len() == 2).await;
        etcd.kill(0);
        a.away().await;
        // The others may have to choose a leader first.
        soon("host 2 leaves", async { while b.store.leave().await.is_err() {} }).await;
        let c = Running::with(others, me(3), None);
        c.ready().await;
        let revision = etcd.revision_of(1);
        etcd.ctl_of(1, &format!("compact {revision}"));
        etcd.restart(0);
        a.ready().await;
        let view = a
            .sees("host 3 instead of host 2", |view| {
                view.hosts.iter().map(|host| &host.id).eq([&id(1), &id(3)])
            })
            .await;
        assert!(view.refused.is_empty(), "{view:?}");
    });
}

#[test]
fn a_compaction_under_a_watch_that_is_up_to_date_changes_nothing() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        let revision = etcd.revision_of(0);
        etcd.ctl(&format!("compact {revision} --physical"));
        b.store.claim(&blue, Family::V4).await.unwrap();
        a.sees("the third block", |view| view.blocks[&blue.name].len() == 3).await;
        assert!(matches!(*a.store.state().borrow(), State::Ready { .. }));
    });
}

#[test]
fn a_watch_without_news_is_asked_whether_it_lives_and_goes_on() {
    with_etcd(1, async |etcd| {
        let often = EtcdConfig { silence: std::time::Duration::from_millis(300), ..config(etcd) };
        let a = Running::with(often, me(1), None);
        a.ready().await;
        let mut state = a.store.state();
        state.mark_unchanged();
        // Presence is confirmed meanwhile, which is no news for the watch.
        let mut confirmed = a.store.confirmed();
        let first = confirmed.borrow_and_update().unwrap();
        let later = confirmed
            .wait_for(|at| at.is_some_and(|at| at - first > std::time::Duration::from_secs(3)));
        soon("three quiet seconds", later).await.unwrap();
        assert!(!state.has_changed().unwrap(), "{:?}", state.borrow());
        let b = host(etcd, 2).await;
        a.sees("the next host", |view| view.hosts.len() == 2).await;
        drop(b);
    });
}

#[test]
fn a_network_that_is_not_followed_any_more_shows_no_blocks_and_shows_them_again_later() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two_with_blocks(etcd).await;
        a.store.follow(std::collections::BTreeMap::new());
        a.sees("no blocks", |view| view.blocks.is_empty()).await;
        b.store.claim(&blue, Family::V4).await.unwrap();
        a.follow(&blue);
        let three = |blocks: &Vec<_>| blocks.len() == 3;
        a.sees("three", |view| view.blocks.get(&blue.name).is_some_and(three)).await;
    });
}
