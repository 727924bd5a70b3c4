//! Taking away what hosts have that do not come back.

use netns_fixtures::{Etcd, lab};
use overlay_agent::store::{Collected, Number};
use types::Family;

use crate::stage::{PATIENCE, Running, block_on, host, id, network, with_etcd};

async fn misses(host: &Running, number: u16) {
    host.misses(id(number)).await;
}

/// Rounds until one did something.
async fn round(host: &Running) -> Collected {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let collected = host.store.collect().await.unwrap().expect("nobody else collects");
        if collected != Collected::default() {
            return collected;
        }
        assert!(std::time::Instant::now() < deadline, "nothing was collected");
    }
}

#[test]
fn a_lost_host_is_noted_then_its_blocks_become_tombstones_and_then_they_go() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("config", r#"{"v":1,"reclaimAfter":1}"#);
        block_on(async {
            let (a, b) = (host(&etcd, 1).await, host(&etcd, 2).await);
            let wanted = network("blue", &["10.77.0.0/24"]);
            let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
            b.store.claim(&blue, Family::V4).await.unwrap();
            b.crash().await;
            misses(&a, 2).await;
            let noted = round(&a).await;
            assert_eq!(noted, Collected { missed: vec![id(2)], ..Collected::default() });
            assert!(etcd.json("hosts/host-2")["deadSince"].as_u64().is_some());
            let released = round(&a).await;
            assert_eq!(released, Collected { released: vec![id(2)], ..Collected::default() });
            let block = etcd.json("blocks/blue/10.77.0.0-24");
            assert_eq!(block["state"], "released", "{block}");
            assert_eq!(block["host"], "host-2", "its owner may take it back: {block}");
            assert!(a.store.claim(&blue, Family::V4).await.is_err(), "not free yet");
            // Ten minutes later:
            let mut over = block;
            over["until"] = 1.into();
            etcd.ctl(&format!("put /overlay/v1/blocks/blue/10.77.0.0-24 {over}"));
            let buried = round(&a).await;
            assert_eq!(buried, Collected { buried: 1, ..Collected::default() });
            let removed = round(&a).await;
            assert_eq!(removed, Collected { removed: vec![id(2)], ..Collected::default() });
            assert_eq!(etcd.keys("hosts/"), ["hosts/host-1"]);
            assert_eq!(etcd.keys("vtep/"), ["vtep/192.0.2.1"]);
            a.store.claim(&blue, Family::V4).await.unwrap();
        });
    });
}

#[test]
fn a_host_that_comes_back_is_not_missed_any_more_and_takes_its_block_back() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("config", r#"{"v":1,"reclaimAfter":1}"#);
        block_on(async {
            let (a, b) = (host(&etcd, 1).await, host(&etcd, 2).await);
            let wanted = network("blue", &["10.77.0.0/24"]);
            let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
            let block = b.store.claim(&blue, Family::V4).await.unwrap().block;
            b.crash().await;
            misses(&a, 2).await;
            round(&a).await;
            assert_eq!(round(&a).await.released, [id(2)]);
            let b = host(&etcd, 2).await;
            assert!(etcd.json("hosts/host-2")["deadSince"].is_null());
            b.store.adopt(&blue, block.cidr).await.unwrap();
            assert_eq!(etcd.json("blocks/blue/10.77.0.0-24")["state"], "active");
            assert_eq!(a.store.collect().await.unwrap(), Some(Collected::default()));
        });
    });
}

#[test]
fn one_agent_collects_and_another_does_after_it() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("config", r#"{"v":1,"reclaimAfter":1000}"#);
        block_on(async {
            let (a, b) = (host(&etcd, 1).await, host(&etcd, 2).await);
            assert!(a.store.collect().await.unwrap().is_some());
            assert!(b.store.collect().await.unwrap().is_none(), "a does");
            a.crash().await;
            misses(&b, 1).await;
            assert_eq!(b.store.collect().await.unwrap().unwrap().missed, [id(1)]);
        });
    });
}

#[test]
fn nothing_is_collected_where_the_store_does_not_ask_for_it() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        assert!(a.store.collect().await.unwrap().is_none());
        assert!(etcd.keys("gc").is_empty());
    });
}
