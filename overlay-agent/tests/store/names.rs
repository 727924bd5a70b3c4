//! Names of endpoints, from one host to the others.

use std::net::IpAddr;

use netns_fixtures::Etcd;
use overlay_agent::store::{Interest, Named, Published};
use peers::Network;
use types::NetworkName;

use crate::stage::{Running, host, id, me, name, soon, two, with_etcd};

/// Two containers: how they are told apart, what they are called, and where they are.
const BOTH: &[(&str, &str, &str)] =
    &[("c1-eth0", "web", "10.77.4.5"), ("c2-eth0", "db", "10.77.4.6")];
/// The same without addresses.
const WEB_AND_DB: &[(&str, &str)] = &[("c1-eth0", "web"), ("c2-eth0", "db")];

/// Two hosts that follow network `blue`.
async fn followers(etcd: &Etcd) -> (Running, Running, Network) {
    let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
    a.follow(&blue);
    b.follow(&blue);
    (a, b, blue)
}

fn named(text: &str, ip: &str) -> Named {
    Named { names: vec![text.to_owned()], ips: vec![ip.parse::<IpAddr>().unwrap()] }
}

fn published(of: &[(&str, &str, &str)]) -> Published {
    of.iter()
        .map(|(endpoint, text, ip)| ((name("blue"), (*endpoint).to_owned()), named(text, ip)))
        .collect()
}

/// Waits until a host knows just these names of `network`, by endpoint.
async fn knows(host: &Running, network: &NetworkName, wanted: &[(&str, &str)]) {
    let mut names = host.store.names();
    let known = names.wait_for(|names| {
        let known = names.get(network).into_iter().flatten();
        known
            .map(|((_, endpoint), named)| (endpoint.as_str(), named.names[0].as_str()))
            .eq(wanted.iter().copied())
    });
    soon(&format!("the names are {wanted:?}"), known).await.unwrap();
}

#[test]
fn names_reach_the_other_hosts_change_and_go() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = followers(etcd).await;
        a.store.publish(published(BOTH));
        knows(&b, &blue.name, WEB_AND_DB).await;
        let value = etcd.json("names/blue/host-1/c1-eth0");
        assert_eq!(value["ips"][0], "10.77.4.5", "{value}");
        let seen = b.store.names().borrow().clone();
        let key = (id(1), "c1-eth0".to_owned());
        assert_eq!(seen[&blue.name][&key], named("web", "10.77.4.5"));
        a.store.publish(published(&[("c2-eth0", "sql", "10.77.4.6")]));
        knows(&b, &blue.name, &[("c2-eth0", "sql")]).await;
        assert_eq!(etcd.keys("names/"), ["names/blue/host-1/c2-eth0"]);
    });
}

#[test]
fn names_of_a_crashed_agent_stay_and_its_next_life_deletes_what_went_meanwhile() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = followers(etcd).await;
        a.store.publish(published(BOTH));
        knows(&b, &blue.name, WEB_AND_DB).await;
        a.crash().await;
        b.misses(id(1)).await;
        knows(&b, &blue.name, WEB_AND_DB).await;
        let a = host(etcd, 1).await;
        a.follow(&blue);
        // Before it says which names there are, none is a stray.
        knows(&a, &blue.name, WEB_AND_DB).await;
        a.store.publish(published(&[("c2-eth0", "db", "10.77.4.6")]));
        knows(&b, &blue.name, &[("c2-eth0", "db")]).await;
    });
}

#[test]
fn two_hundred_names_are_four_transactions() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = followers(etcd).await;
        let before = etcd.revision_of(0);
        let all: Published = (0..200)
            .map(|number| {
                let ip = format!("10.77.4.{number}");
                let endpoint = format!("c{number:03}-eth0");
                ((name("blue"), endpoint), named("web", &ip))
            })
            .collect();
        a.store.publish(all);
        let mut names = b.store.names();
        let known =
            names.wait_for(|names| names.get(&blue.name).is_some_and(|names| names.len() == 200));
        soon("all names", known).await.unwrap();
        assert_eq!(etcd.revision_of(0), before + 4);
    });
}

#[test]
fn who_does_not_ask_for_names_gets_none() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
        a.follow(&blue);
        b.store.follow([(blue.name.clone(), Interest::Blocks)].into());
        a.store.publish(published(&[("c1-eth0", "web", "10.77.4.5")]));
        knows(&a, &blue.name, &[("c1-eth0", "web")]).await;
        let block = a.store.claim(&blue, types::Family::V4).await.unwrap().block;
        b.sees("the block", |view| view.blocks.contains_key(&blue.name)).await;
        assert_eq!(block.host, id(1));
        assert!(b.store.names().borrow().is_empty());
    });
}

#[test]
fn names_published_while_etcd_is_dead_are_written_when_it_is_back() {
    with_etcd(1, async |etcd| {
        let (a, b, blue) = followers(etcd).await;
        etcd.kill(0);
        a.away().await;
        a.store.publish(published(&[("c1-eth0", "web", "10.77.4.5")]));
        etcd.restart(0);
        knows(&b, &blue.name, &[("c1-eth0", "web")]).await;
        assert_eq!(me(1).host.id, id(1));
    });
}
