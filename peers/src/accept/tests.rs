use proptest::prelude::*;

use super::*;
use crate::ids::Vni;
use crate::record::Underlay;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn id(text: &str) -> HostId {
    text.parse().unwrap()
}

fn network() -> Network {
    let pools = vec![cidr("10.77.0.0/16"), cidr("fd77::/48")];
    Network::new("blue".parse().unwrap(), Vni::try_from(4103).unwrap(), pools)
}

fn host(name: &str, v4: &str) -> Host {
    let underlay = Underlay { v4: Some(v4.parse().unwrap()), v6: None };
    Host { id: id(name), underlay, mtu: None }
}

fn block(text: &str, of: &str, claimed: u64) -> Block {
    let host = id(of);
    let mac = host.vtep_mac(network().vni);
    Block { cidr: cidr(text), host, mac, state: State::Active, claimed }
}

fn hosts() -> Vec<Host> {
    vec![host("a", "192.0.2.11"), host("b", "192.0.2.12"), host("c", "192.0.2.13")]
}

fn judged(hosts: &[Host], blocks: &[Block]) -> Accepted {
    accept(&network(), &hosts[0], hosts, blocks, Limits::STORE)
}

/// The only refusal of `blocks`, as a text.
fn refusal(hosts: &[Host], blocks: &[Block]) -> String {
    let refused = judged(hosts, blocks).refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused[0].to_string()
}

#[test]
fn what_is_right_becomes_peers_and_own_blocks() {
    let blocks = [
        block("10.77.2.0/24", "b", 2),
        block("fd77:0:0:2::/64", "b", 3),
        block("10.77.1.0/24", "a", 1),
        Block { state: State::Draining, ..block("10.77.3.0/24", "b", 4) },
        Block { state: State::Released, ..block("10.77.4.0/24", "c", 5) },
    ];
    let accepted = judged(&hosts(), &blocks);
    assert_eq!(accepted.refused, []);
    assert_eq!(accepted.own, [block("10.77.1.0/24", "a", 1)]);
    let [peer] = &accepted.peers[..] else { panic!("{accepted:?}") };
    assert_eq!(peer.blocks, ["10.77.2.0/24", "fd77:0:0:2::/64", "10.77.3.0/24"].map(cidr));
    assert_eq!(peer.underlay.to_string(), "192.0.2.12");
    assert_eq!(accepted.families(), [Family::V4]);
}

#[test]
fn the_earlier_claim_wins_whatever_the_order_of_records() {
    let late = [block("10.77.0.0/20", "c", 9), block("10.77.2.0/24", "b", 2)];
    assert_eq!(refusal(&hosts(), &late), "host c, 10.77.0.0/20: overlaps 10.77.2.0/24 of host b");
    let within = [block("10.77.2.128/25", "c", 9), block("10.77.2.0/24", "a", 2)];
    assert_eq!(
        refusal(&hosts(), &within),
        "host c, 10.77.2.128/25: overlaps 10.77.2.0/24 of host a"
    );
}

#[test]
fn a_block_is_canonical_and_within_one_pool() {
    let bits = refusal(&hosts(), &[block("10.77.2.1/24", "b", 1)]);
    assert_eq!(bits, "host b, 10.77.2.1/24: has bits beyond its prefix");
    for text in ["10.78.0.0/24", "10.0.0.0/8", "fd78::/64", "::/0"] {
        let text = refusal(&hosts(), &[block(text, "b", 1)]);
        assert!(text.ends_with("lies in no pool of blue"), "{text}");
    }
}

#[test]
fn an_ethernet_address_is_local_unicast_and_one_hosts() {
    let with = |text: &str, of: &str, mac: [u8; 6], claimed| Block {
        mac: MacAddr::from_bytes(mac),
        ..block(text, of, claimed)
    };
    for mac in [[0; 6], [0x03, 0, 0, 0, 0, 1], [0, 0x16, 0x3e, 0, 0, 1]] {
        let text = refusal(&hosts(), &[with("10.77.2.0/24", "b", mac, 1)]);
        assert!(text.ends_with("is no local unicast address"), "{text}");
    }
    let mac = [2, 0, 0, 0, 0, 9];
    let same = [with("10.77.2.0/24", "b", mac, 1), with("10.77.3.0/24", "c", mac, 2)];
    assert_eq!(
        refusal(&hosts(), &same),
        "host c, 10.77.3.0/24: host b has its address 02:00:00:00:00:09"
    );
    let other = [with("10.77.2.0/24", "b", mac, 1), block("10.77.3.0/24", "b", 2)];
    assert_eq!(
        refusal(&hosts(), &other),
        "host b, 10.77.3.0/24: an earlier block of it has address 02:00:00:00:00:09"
    );
    let ours = hosts()[0].id.vtep_mac(network().vni).bytes();
    let text = refusal(&hosts(), &[with("10.77.2.0/24", "b", ours, 1)]);
    assert!(text.contains("host a has its address"), "{text}");
}

#[test]
fn an_underlay_address_is_a_hosts_outside_of_the_pools_and_nobody_elses() {
    let at =
        |ip: &str| refusal(&[hosts()[0].clone(), host("b", ip)], &[block("10.77.2.0/24", "b", 1)]);
    for ip in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        assert!(at(ip).ends_with("is no address that a host can have"), "{}", at(ip));
    }
    assert!(at("10.77.9.9").ends_with("10.77.9.9 lies in the network's pool 10.77.0.0/16"));
    assert!(at("192.0.2.11").ends_with("host a has its address 192.0.2.11"));
    let v6 = Underlay { v4: None, v6: Some("2001:db8::1".parse().unwrap()) };
    let other = Host { underlay: v6, ..host("b", "192.0.2.12") };
    let text = refusal(&[hosts()[0].clone(), other], &[block("10.77.2.0/24", "b", 1)]);
    assert!(text.ends_with("no underlay address of a family that this host has"), "{text}");
}

#[test]
fn a_host_that_is_unknown_or_told_of_twice_is_none() {
    let text = refusal(&hosts()[..1], &[block("10.77.2.0/24", "b", 1)]);
    assert_eq!(text, "host b, 10.77.2.0/24: nothing is known of the host");
    let twice = [hosts(), vec![host("b", "192.0.2.99")]].concat();
    let accepted = judged(&twice, &[block("10.77.2.0/24", "b", 1)]);
    assert_eq!(accepted.refused[0].to_string(), "host b: the host is there twice");
    assert_eq!(accepted.peers, []);
}

#[test]
fn more_hosts_or_blocks_than_the_limits_allow_are_refused() {
    let blocks: Vec<Block> = (1..=3).map(|n| block(&format!("10.77.{n}.0/24"), "b", n)).collect();
    let few = |limits| accept(&network(), &hosts()[0], &hosts(), &blocks, limits).refused;
    let refused = few(Limits { hosts: 9, blocks_per_host: 2 });
    assert_eq!(refused[0].to_string(), "host b, 10.77.3.0/24: it has more than 2 blocks");
    let refused = few(Limits { hosts: 1, blocks_per_host: 9 });
    assert_eq!(refused[0].to_string(), "host b, 10.77.1.0/24: there are more than 1 hosts");
}

proptest! {
    /// Whatever is claimed: what is accepted lies in a pool and shares no address with another.
    #[test]
    fn accepted_blocks_never_overlap(
        claims in prop::collection::vec((0u32..0x2_0000, 12u8..=32, 0usize..3, 0u64..4), 0..40)
    ) {
        let names = ["a", "b", "c"];
        let blocks: Vec<Block> = claims
            .into_iter()
            .map(|(offset, prefix, of, claimed)| {
                let ip = std::net::Ipv4Addr::from(0x0a4d_0000 + offset);
                let cidr = Cidr::new(ip.into(), prefix).unwrap().network();
                block(&cidr.to_string(), names[of], claimed)
            })
            .collect();
        let accepted = judged(&hosts(), &blocks);
        let own = accepted.own.iter().map(|block| block.cidr);
        let all: Vec<Cidr> =
            own.chain(accepted.peers.iter().flat_map(|peer| peer.blocks.clone())).collect();
        prop_assert_eq!(all.len() + accepted.refused.len(), blocks.len());
        for (place, one) in all.iter().enumerate() {
            prop_assert!(cidr("10.77.0.0/16").contains(one.ip()));
            prop_assert!(all[place + 1..].iter().all(|other| !other.overlaps(*one)));
        }
    }
}
