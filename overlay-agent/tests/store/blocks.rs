//! Claiming blocks, keeping them, giving them back.

use std::collections::BTreeSet;

use netns_fixtures::{Etcd, lab};
use overlay_agent::store::{Number, StoreError};
use peers::{Network, State};
use types::Family;

use crate::stage::{all_claim, block_on, cidr, host, id, many, me, network, soon, two, with_etcd};

#[test]
fn fifty_hosts_that_claim_at_once_all_get_a_block_of_their_own() {
    with_etcd(1, async |etcd| {
        let (hosts, blue) = many(etcd, 50, "10.77.0.0/16").await;
        let begun = std::time::Instant::now();
        let claims = all_claim(&hosts, &blue);
        let (mut blocks, mut transactions) = (BTreeSet::new(), 0);
        for claim in claims {
            let claimed = soon("a claim", claim).await.unwrap().unwrap();
            blocks.insert(claimed.block.cidr);
            transactions += claimed.tries;
        }
        println!("\n50 hosts: {transactions} transactions in {:?}", begun.elapsed());
        assert_eq!(blocks.len(), 50);
        assert!(transactions <= 65, "{transactions}: more than 1.3 for each host");
        assert_eq!(etcd.keys("blocks/blue/").len(), 50);
    });
}

#[test]
fn a_claim_reaches_another_host_at_once() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("config", r#"{"v":1,"maxBlocksPerHost":100}"#);
        block_on(async {
            let (a, b) = (host(&etcd, 1).await, host(&etcd, 2).await);
            let wanted = network("blue", &["10.77.0.0/16"]);
            let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
            a.follow(&blue);
            a.sees("the network", |view| !view.networks.is_empty()).await;
            let mut times = Vec::new();
            for count in 1..=50 {
                // Changes that follow each other closely are told together: these do not.
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
                let begun = std::time::Instant::now();
                b.store.claim(&blue, Family::V4).await.unwrap();
                let has = |blocks: &Vec<_>| blocks.len() == count;
                a.sees("it", |view| view.blocks.get(&blue.name).is_some_and(has)).await;
                times.push(begun.elapsed());
            }
            times.sort();
            println!("\nfrom asking to the other's view: p50 {:?}, p98 {:?}", times[25], times[48]);
            assert!(times[25] < std::time::Duration::from_millis(250), "{times:?}");
        });
    });
}

#[test]
fn of_five_hosts_and_a_pool_of_four_blocks_one_is_told_who_has_them() {
    with_etcd(1, async |etcd| {
        let (hosts, blue) = many(etcd, 5, "10.77.0.0/22").await;
        let claims = all_claim(&hosts, &blue);
        let (mut blocks, mut errors) = (BTreeSet::new(), Vec::new());
        for claim in claims {
            match soon("an answer", claim).await.unwrap() {
                Ok(claimed) => _ = blocks.insert(claimed.block.cidr.ip()),
                Err(error) => errors.push(error.to_string()),
            }
        }
        assert_eq!(blocks.len(), 4);
        assert_eq!(
            errors,
            ["claim a block of blue: no IPv4 block is free: 4 are taken, 0 of them by hosts \
                  that are away\nhint: remove hosts that will not come back, or add a pool"]
        );
    });
}

#[test]
fn blocks_come_from_the_second_pool_when_the_first_is_full_and_never_from_what_is_reserved() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = Network {
            reserved: vec![cidr("10.77.0.0/24")],
            ..network("blue", &["10.77.0.0/23", "10.78.0.0/23"])
        };
        let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
        a.follow(&blue);
        let mut blocks = Vec::new();
        for _ in 0..3 {
            blocks.push(a.store.claim(&blue, Family::V4).await.unwrap().block.cidr);
        }
        assert_eq!(blocks[0], cidr("10.77.1.0/24"));
        assert!(blocks[1..].iter().all(|block| cidr("10.78.0.0/23").contains(block.ip())));
        let error = a.store.claim(&blue, Family::V4).await.unwrap_err();
        assert!(matches!(error, StoreError::PoolExhausted { taken: 3, dead: 0, .. }), "{error}");
    });
}

#[test]
fn a_host_gets_no_more_blocks_than_the_store_allows() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("config", r#"{"v":1,"maxBlocksPerHost":2}"#);
        block_on(async {
            let a = host(&etcd, 1).await;
            let wanted = network("blue", &["10.77.0.0/16"]);
            let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
            a.follow(&blue);
            for count in 1..=2 {
                a.store.claim(&blue, Family::V4).await.unwrap();
                let has = |blocks: &Vec<_>| blocks.len() == count;
                a.sees("its blocks", |view| view.blocks.get(&blue.name).is_some_and(has)).await;
            }
            let error = a.store.claim(&blue, Family::V4).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "claim a block of blue: this host has 2, the most that a host may have"
            );
        });
    });
}

#[test]
fn a_block_says_whose_it_is_and_by_which_address_it_is_reached() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16", "fd77::/48"]).await;
        b.follow(&blue);
        for family in [Family::V4, Family::V6] {
            a.store.claim(&blue, family).await.unwrap();
        }
        let both = |blocks: &Vec<_>| blocks.len() == 2;
        let view = b.sees("both", |view| view.blocks.get(&blue.name).is_some_and(both)).await;
        for block in &view.blocks[&blue.name] {
            assert_eq!(block.host, id(1));
            assert_eq!(block.mac, id(1).vtep_mac(blue.vni));
            assert_eq!(block.state, State::Active);
            assert!(block.claimed > 0);
            let key = format!("blocks/blue/{}-{}", block.cidr.ip(), block.cidr.prefix());
            let value = etcd.json(&key);
            assert_eq!(value["host"], "host-1", "{value}");
            assert_eq!(value["mac"], block.mac.to_string(), "{value}");
        }
        let own = &me(2).host;
        let accepted =
            peers::accept(&blue, own, &view.hosts, &view.blocks[&blue.name], peers::Limits::STORE);
        assert_eq!(accepted.peers.len(), 1, "{accepted:?}");
        assert_eq!(accepted.peers[0].blocks.len(), 2);
    });
}

#[test]
fn a_block_that_the_store_lost_is_adopted_unless_another_host_has_it_by_now() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = network("blue", &["10.77.0.0/23"]);
        let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
        let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
        assert_eq!(a.store.adopt(&blue, block.cidr).await.unwrap(), block, "nothing to do");

        let key = format!("blocks/blue/{}-24", block.cidr.ip());
        etcd.delete(&key);
        let again = a.store.adopt(&blue, block.cidr).await.unwrap();
        assert_eq!((again.host, again.state), (id(1), State::Active));

        etcd.put(&key, r#"{"v":1,"host":"host-2","mac":"02:00:00:00:00:01","state":"active"}"#);
        let error = a.store.adopt(&blue, block.cidr).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "keep block {} of blue: host host-2 has it now\nhint: containers of this host \
                     with addresses of it must be made again",
                block.cidr
            )
        );
        let error = a.store.release(&blue, block.cidr).await.unwrap_err();
        assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
        assert_eq!(etcd.keys("blocks/").len(), 1);
    });
}

#[test]
fn a_block_released_meanwhile_is_taken_back_by_its_owner() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = network("blue", &["10.77.0.0/24"]);
        let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
        let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
        let value = format!(
            r#"{{"v":1,"host":"host-1","mac":"{}","state":"released","until":9,"new":1}}"#,
            block.mac
        );
        etcd.put("blocks/blue/10.77.0.0-24", &value);
        let b = host(etcd, 2).await;
        let error = b.store.claim(&blue, Family::V4).await.unwrap_err();
        assert!(matches!(error, StoreError::PoolExhausted { .. }), "a tombstone: {error}");
        let again = a.store.adopt(&blue, block.cidr).await.unwrap();
        assert_eq!(again.state, State::Active);
        let value = etcd.json("blocks/blue/10.77.0.0-24");
        assert_eq!(value["state"], "active", "{value}");
        assert!(value["until"].is_null(), "{value}");
        assert_eq!(value["new"], 1, "{value}");
    });
}

#[test]
fn records_that_cannot_be_read_are_told_of_and_disturb_nothing() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = network("blue", &["10.77.0.0/16"]);
        let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
        a.follow(&blue);
        for (key, value) in [
            ("hosts/host-7", "nonsense"),
            ("hosts/host-8", r#"{"v":1,"id":"host-9","underlay":{}}"#),
            ("blocks/blue/10.77.3.0-24", r#"{"v":3}"#),
            ("blocks/blue/10.77.4.0", "{}"),
            ("blocks/blue/10.77.5.0-24", r#"{"v":1,"host":"x","mac":"y","state":"active"}"#),
            ("unknown", "{}"),
        ] {
            etcd.put(key, value);
        }
        let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
        let view = a
            .sees("the block", |view| {
                view.blocks.get(&blue.name).is_some_and(|blocks| !blocks.is_empty())
                    && view.refused.len() == 4
            })
            .await;
        assert_eq!(view.blocks[&blue.name], [block]);
        assert_eq!(view.hosts, [me(1).host]);
        let refused: Vec<String> =
            view.refused.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        assert_eq!(
            refused,
            [
                "/overlay/v1/blocks/blue/10.77.3.0-24: layout 3, this agent reads 1; hint: \
                     update it",
                "/overlay/v1/blocks/blue/10.77.5.0-24: mac: \"y\" is none",
                "/overlay/v1/hosts/host-7: expected ident at line 1 column 2",
                "/overlay/v1/hosts/host-8: id: \"host-9\" under another's key",
            ]
        );
    });
}
