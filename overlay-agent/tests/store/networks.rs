//! Creating and deleting networks.

use netns_fixtures::{Etcd, lab};
use overlay_agent::store::{Number, StoreError};
use peers::Network;
use types::Family;

use crate::stage::{block_on, cidr, host, id, name, network, soon, two, with_etcd};

#[test]
fn a_network_gets_a_number_and_is_found_again_by_the_next_host() {
    with_etcd(1, async |etcd| {
        let (a, b) = (host(etcd, 1).await, host(etcd, 2).await);
        let wanted = network("blue", &["10.77.0.0/16", "fd77::/48"]);
        let made = a.store.create_network(&wanted, Number::Any).await.unwrap();
        assert!(made.vni.get() >= 4096, "{made:?}");
        let found = b.store.create_network(&wanted, Number::Any).await.unwrap();
        assert_eq!(found, made);
        let seen = b.sees("the network", |view| !view.networks.is_empty()).await;
        assert_eq!(seen.networks[&name("blue")], made);
        let vni = format!("{:06x}", made.vni.get());
        assert_eq!(etcd.json(&format!("vni/{vni}")), "blue");
        let index = etcd.json("netindex");
        assert_eq!(index["nets"]["blue"]["vni"], made.vni.get(), "{index}");
        assert_eq!(index["nets"]["blue"]["pools"][1], "fd77::/48", "{index}");
    });
}

#[test]
fn a_network_that_exists_with_other_pools_is_refused_with_both() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = network("blue", &["10.77.0.0/16"]);
        a.store.create_network(&wanted, Number::Any).await.unwrap();
        let other = network("blue", &["10.78.0.0/16"]);
        let error = a.store.create_network(&other, Number::Any).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "create network blue: it exists with other pools ([10.77.0.0/16], wanted \
                 [10.78.0.0/16])"
        );
    });
}

#[test]
fn a_network_that_overlaps_another_is_refused_with_its_name() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let wanted = network("blue", &["10.77.0.0/16"]);
        a.store.create_network(&wanted, Number::Any).await.unwrap();
        let other = network("green", &["10.99.0.0/16", "10.77.128.0/17"]);
        let error = a.store.create_network(&other, Number::Any).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "create network green: pool 10.77.128.0/17 overlaps 10.77.0.0/16 of network blue"
        );
        assert_eq!(etcd.keys("nets/"), ["nets/blue"]);
    });
}

#[test]
fn of_networks_that_overlap_and_are_created_at_once_one_comes_about() {
    with_etcd(1, async |etcd| {
        let a = host(etcd, 1).await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = a.store.clone();
                let wanted = network(&format!("net-{number}"), &["10.77.0.0/16"]);
                tokio::spawn(async move { store.create_network(&wanted, Number::Any).await })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            match soon("an answer", task).await.unwrap() {
                Ok(network) => made.push(network),
                Err(StoreError::PoolsOverlap { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(made.len(), 1, "{made:?}");
        assert_eq!(etcd.keys("nets/").len(), 1);
        assert_eq!(etcd.keys("vni/").len(), 1);
    });
}

#[test]
fn networks_created_at_once_get_different_numbers() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        // Six numbers for six networks: all but the last collide.
        etcd.put("config", r#"{"v":1,"vniRange":[7,12]}"#);
        block_on(async {
            let a = host(&etcd, 1).await;
            let tasks: Vec<_> = (0..6)
                .map(|number| {
                    let store = a.store.clone();
                    let pool = format!("10.{number}.0.0/16");
                    let wanted = network(&format!("net-{number}"), &[&pool]);
                    tokio::spawn(async move { store.create_network(&wanted, Number::Any).await })
                })
                .collect();
            let mut numbers = Vec::new();
            for task in tasks {
                let made: Network = soon("an answer", task).await.unwrap().unwrap();
                numbers.push(made.vni.get());
            }
            numbers.sort_unstable();
            assert_eq!(numbers, [7, 8, 9, 10, 11, 12]);
            let wanted = network("late", &["10.9.0.0/16"]);
            let error = a.store.create_network(&wanted, Number::Any).await.unwrap_err();
            assert_eq!(error.to_string(), "create network late: all VNIs from 7 to 12 are in use");
        });
    });
}

#[test]
fn what_a_newer_agent_wrote_into_the_index_stays_in_it() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.ctl(
            r#"put /overlay/v1/netindex {"v":1,"new":[1],"nets":{"red":{"vni":9,"pools":["10.1.0.0/16"],"shade":"dark"}}}"#,
        );
        block_on(async {
            let a = host(&etcd, 1).await;
            let wanted = network("blue", &["10.77.0.0/16"]);
            a.store.create_network(&wanted, Number::Any).await.unwrap();
            a.store.delete_network(&name("blue")).await.unwrap();
            let index = etcd.json("netindex");
            assert_eq!(index["new"][0], 1, "{index}");
            assert_eq!(index["nets"]["red"]["shade"], "dark", "{index}");
            assert_eq!(index["nets"].as_object().unwrap().len(), 1, "{index}");
        });
    });
}

#[test]
fn an_index_of_another_layout_is_left_alone() {
    lab(|lab| {
        let etcd = Etcd::start(lab);
        etcd.put("netindex", r#"{"v":2,"networks":[]}"#);
        block_on(async {
            let a = host(&etcd, 1).await;
            let wanted = network("blue", &["10.77.0.0/16"]);
            let error = a.store.create_network(&wanted, Number::Any).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "read /overlay/v1/netindex: layout 2, this agent reads 1; hint: update it"
            );
            assert_eq!(etcd.json("netindex")["v"], 2);
            let view = a.store.view().borrow().clone();
            assert_eq!(view.refused[0].0, "/overlay/v1/netindex");
        });
    });
}

#[test]
fn a_network_is_deleted_when_nobody_has_blocks_of_it_and_not_before() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
        let block = b.store.claim(&blue, Family::V4).await.unwrap().block;
        let error = a.store.delete_network(&blue.name).await.unwrap_err();
        assert_eq!(error.to_string(), "delete network blue: hosts host-2 have blocks of it");
        assert_eq!(block.host, id(2));
        assert!(cidr("10.77.0.0/16").overlaps(block.cidr), "{block:?}");
        b.store.release(&blue, block.cidr).await.unwrap();
        a.store.delete_network(&blue.name).await.unwrap();
        assert!(etcd.keys("nets/").is_empty());
        assert!(etcd.keys("vni/").is_empty());
        assert_eq!(etcd.json("netindex")["nets"], serde_json::json!({}));
        b.sees("no network", |view| view.networks.is_empty()).await;
        let error = b.store.claim(&blue, Family::V4).await.unwrap_err();
        assert!(matches!(error, StoreError::NoNetwork(_)), "{error}");
    });
}
