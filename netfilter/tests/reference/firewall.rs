use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use netfilter::claim::{Forward, Forwarder, Handle, Ingress};
use netfilter::reference::firewall;
use netns_fixtures::{Feature, Lab, Namespace, assert_same_lines, lab};
use serde_json::{Value, json};

use crate::ground::{asked, behind_a_router, done, removed, saved, saved_with, sh, tried};

fn forward(addresses: &[&str], ingress: Ingress) -> Forward {
    Forward {
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        by: Forwarder::Chains("CNI-ADMIN".into()),
        ingress,
        bridge: Some("cni0".parse().unwrap()),
    }
}

const BOTH: [&str; 2] = ["10.1.0.2", "fd00::2"];

#[track_caller]
fn add(host: &Namespace, forward: &Forward, stored: &[Handle]) -> Vec<Handle> {
    done(host, |socket, batch| firewall::add(socket, batch, forward, stored))
}

#[track_caller]
fn remove(host: &Namespace, forward: &Forward, stored: &[Handle]) -> bool {
    removed(host, |socket, batch| {
        firewall::remove(socket, batch, (&forward.addresses, &[]), stored)
    })
}

fn config(forward: &Forward) -> Value {
    let ips: Vec<Value> = forward
        .addresses
        .iter()
        .map(|ip| json!({ "address": format!("{ip}/{}", if ip.is_ipv4() { 24 } else { 64 }) }))
        .collect();
    let policy = match forward.ingress {
        Ingress::Open => "open",
        Ingress::SameBridge => "same-bridge",
        Ingress::Isolated => "isolated",
    };
    json!({
        "cniVersion": "1.0.0", "name": "mynet", "type": "firewall", "backend": "iptables",
        "ingressPolicy": policy,
        "prevResult": {
            "cniVersion": "1.0.0", "ips": ips, "interfaces": [{ "name": "cni0" }],
        },
    })
}

fn is_as_theirs(lab: &Lab, forward: &Forward) {
    lab.needs(Feature::Iptables);
    lab.needs(Feature::ReferencePlugins);
    let (ours, theirs) = (lab.another_host("ours"), lab.another_host("theirs"));
    let c = lab.container("c1");
    let config = config(forward);
    let go = |host, verb: &str| {
        lab.reference_plugin("firewall").on(host).container(&c).config(&config).verb(verb).run()
    };
    let handles = add(&ours, forward, &[]);
    assert_eq!(handles.len(), 2 * forward.addresses.len());
    go(&theirs, "ADD").succeeded();
    assert_same_lines("the Go plugin and ours", &saved(&theirs), &saved(&ours));

    go(&ours, "CHECK").succeeded();
    asked(&ours, |socket| firewall::check(socket, forward, &handles)).unwrap();
    asked(&theirs, |socket| firewall::check(socket, forward, &[])).unwrap();
    go(&ours, "DEL").succeeded();
    assert!(remove(&theirs, forward, &[]));
    assert_same_lines("after the other's DEL", &saved(&theirs), &saved(&ours));
    assert_eq!(saved_with(&ours, "10.1.0.2"), [""; 0]);
    asked(&ours, |socket| firewall::check(socket, forward, &handles)).unwrap_err();
}

#[test]
fn forwarding_is_allowed_as_the_go_plugin_does() {
    lab(|lab| is_as_theirs(lab, &forward(&BOTH, Ingress::Open)));
}

#[test]
fn bridges_are_kept_apart_as_the_go_plugin_does() {
    lab(|lab| is_as_theirs(lab, &forward(&BOTH, Ingress::SameBridge)));
}

#[test]
fn containers_are_kept_apart_and_no_longer_when_their_network_is_not_isolated_any_more() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let isolated = forward(&["10.1.0.2"], Ingress::Isolated);
        add(lab.host(), &isolated, &[]);
        let comment =
            "-m comment --comment \"CNI firewall plugin rules (ingressPolicy: isolated)\"";
        let rule = |rest: &str| format!("-A CNI-ISOLATION-STAGE-{rest}");
        let stages = saved_with(lab.host(), "-A CNI-ISOLATION");
        assert_eq!(
            stages,
            [
                rule(&format!("1 -i cni0 -o cni0 {comment} -j DROP")),
                rule(&format!("1 -i cni0 ! -o cni0 {comment} -j CNI-ISOLATION-STAGE-2")),
                rule(&format!("1 {comment} -j RETURN")),
                rule(&format!("2 -o cni0 {comment} -j DROP")),
                rule(&format!("2 {comment} -j RETURN")),
            ]
        );
        asked(lab.host(), |socket| firewall::check(socket, &isolated, &[])).unwrap();
        let shared = forward(&["10.1.0.2"], Ingress::SameBridge);
        add(lab.host(), &shared, &[]);
        assert_eq!(saved_with(lab.host(), "-i cni0 -o cni0"), [""; 0]);
        asked(lab.host(), |socket| firewall::check(socket, &isolated, &[])).unwrap_err();

        assert!(removed(lab.host(), |socket, batch| {
            firewall::remove_ingress(socket, batch, "cni0")
        }));
        assert_eq!(saved_with(lab.host(), "cni0"), [""; 0]);
    });
}

#[test]
fn a_second_add_with_its_handles_writes_nothing() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let forward = forward(&BOTH, Ingress::SameBridge);
        let first = add(lab.host(), &forward, &[]);
        let before = saved(lab.host());
        assert_eq!(add(lab.host(), &forward, &first), first);
        assert_eq!(saved(lab.host()), before);
    });
}

#[test]
fn a_late_del_leaves_the_rules_of_the_next_container_with_that_address() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let forward = forward(&["10.1.0.2"], Ingress::Open);
        let old = add(lab.host(), &forward, &[]);
        let new = add(lab.host(), &forward, &[]);
        assert!(remove(lab.host(), &forward, &old));
        asked(lab.host(), |socket| firewall::check(socket, &forward, &new)).unwrap();
        assert_eq!(saved_with(lab.host(), "10.1.0.2").len(), 2);
        assert!(remove(lab.host(), &forward, &new));
        assert_eq!(saved_with(lab.host(), "10.1.0.2"), [""; 0]);
        assert!(!remove(lab.host(), &forward, &new));
    });
}

#[test]
fn the_administrators_chain_keeps_its_rules_and_its_place() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let admin = "-A CNI-ADMIN -s 192.0.2.0/24 -j DROP";
        sh(
            lab.host(),
            &format!("iptables -N CNI-ADMIN; iptables {admin}; iptables -A INPUT -j CNI-ADMIN"),
        );
        let forward = forward(&["10.1.0.2"], Ingress::Open);
        for _ in 0..2 {
            let handles = add(lab.host(), &forward, &[]);
            let chain = saved_with(lab.host(), "-A CNI-FORWARD");
            assert_eq!(chain.len(), 3, "{chain:?}");
            assert!(chain[0].ends_with("-j CNI-ADMIN"), "{chain:?}");
            assert!(remove(lab.host(), &forward, &handles));
        }
        assert_eq!(saved_with(lab.host(), admin).len(), 1);
    });
}

#[test]
fn a_chain_that_is_something_else_is_refused_by_name() {
    lab(|lab| {
        sh(
            lab.host(),
            "nft add table ip filter; nft add chain ip filter FORWARD \
             '{ type filter hook input priority 0; }'",
        );
        let forward = forward(&["10.1.0.2"], Ingress::Open);
        let refused =
            tried(lab.host(), |socket, batch| firewall::add(socket, batch, &forward, &[]));
        let error = cni::Error::from(refused.unwrap_err());
        assert!(
            error.msg.contains("use chain ip filter FORWARD: it is no base chain"),
            "{}",
            error.msg
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("nft list ruleset")));
    });
}

/// Whether TCP gets from one to the other at `address`.
fn gets_through(from: &Namespace, to: &Namespace, address: &str) -> bool {
    let ip: IpAddr = address.parse().unwrap();
    let server = to.within(|| TcpListener::bind((ip, 80)).unwrap());
    let tried =
        from.within(|| TcpStream::connect_timeout(&(ip, 80).into(), Duration::from_millis(500)));
    drop(server);
    tried.is_ok()
}

#[test]
fn a_host_that_drops_what_it_forwards_lets_a_containers_traffic_through() {
    lab(|lab| {
        let (outside, host, c) = behind_a_router(lab);
        outside.run("ip route add 10.1.0.0/24 via 10.99.0.2");
        assert!(gets_through(&c, &outside, "10.99.0.1"));
        sh(
            &host,
            "nft add table ip filter; nft add chain ip filter FORWARD \
             '{ type filter hook forward priority 0; policy drop; }'",
        );
        assert!(!gets_through(&c, &outside, "10.99.0.1"));

        let forward = forward(&["10.1.0.2"], Ingress::Open);
        let handles = add(&host, &forward, &[]);
        assert!(gets_through(&c, &outside, "10.99.0.1"));
        assert!(!gets_through(&outside, &c, "10.1.0.2"), "nobody asked for this");
        assert!(sh(&host, "nft list chain ip filter FORWARD").contains("policy drop"));
        assert!(remove(&host, &forward, &handles));
        assert!(!gets_through(&c, &outside, "10.99.0.1"));
    });
}
