//! What people do with the store.

use overlay_agent::store::Number;
use overlay_agent::store::admin::Admin;
use peers::State;
use types::Family;

use crate::stage::{config, host, id, me, name, network, soon, with_etcd};

#[test]
fn a_command_lists_networks_hosts_and_blocks_without_being_a_host() {
    with_etcd(1, async |etcd| {
        let admin = Admin::connect(&config(etcd)).await.unwrap();
        let wanted = network("blue", &["10.77.0.0/16"]);
        let blue = admin.create_network(&wanted, Number::Any).await.unwrap();
        let (a, b) = (host(etcd, 1).await, host(etcd, 2).await);
        let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
        b.crash().await;
        etcd.put("hosts/host-3", "nonsense");
        soon("presence ends", async { while admin.hosts().await.unwrap().items[1].is_alive {} })
            .await;
        assert_eq!(admin.networks().await.unwrap().items, std::slice::from_ref(&blue));
        assert_eq!(admin.network(&blue.name).await.unwrap(), blue);
        let hosts = admin.hosts().await.unwrap();
        assert_eq!(hosts.items[0].record.host, me(1).host);
        assert_eq!(hosts.items[0].record.name, "node-1");
        assert!(hosts.items[0].is_alive);
        assert_eq!(hosts.items[0].blocks, [(blue.name.clone(), block.clone())]);
        assert!(hosts.items[1].blocks.is_empty());
        assert_eq!(hosts.refused[0].0, "/overlay/v1/hosts/host-3");
        let all = admin.blocks(None).await.unwrap().items;
        assert_eq!(all, [(blue.name.clone(), block)]);
        assert!(admin.blocks(Some(&name("green"))).await.unwrap().items.is_empty());
        assert_eq!(etcd.keys("alive/"), ["alive/host-1"], "the command is no host");
    });
}

#[test]
fn a_host_that_is_drained_learns_of_it_and_is_removed_after_its_end() {
    with_etcd(1, async |etcd| {
        let admin = Admin::connect(&config(etcd)).await.unwrap();
        let wanted = network("blue", &["10.77.0.0/16", "fd77::/48"]);
        let blue = admin.create_network(&wanted, Number::Any).await.unwrap();
        let a = host(etcd, 1).await;
        a.follow(&blue);
        a.store.claim(&blue, Family::V4).await.unwrap();
        a.store.claim(&blue, Family::V6).await.unwrap();
        assert_eq!(admin.drain_host(&id(1)).await.unwrap(), 2);
        a.sees("its blocks are draining", |view| {
            let blocks = view.blocks.get(&blue.name).map(Vec::as_slice).unwrap_or_default();
            blocks.len() == 2 && blocks.iter().all(|block| block.state == State::Draining)
        })
        .await;
        let error = admin.remove_host(&id(1)).await.unwrap_err();
        assert!(error.to_string().starts_with("remove host host-1: it is alive"), "{error}");
        a.crash().await;
        soon("it is removed", async { while admin.remove_host(&id(1)).await.is_err() {} }).await;
        assert!(etcd.keys("blocks/").is_empty());
        let error = admin.drain_host(&id(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "host host-1 does not exist");
        admin.delete_network(&blue.name).await.unwrap();
    });
}
