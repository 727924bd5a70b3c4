use cni::{Config as Network, Error};
use kernel::link::Dev;
use kernel::route::{MAIN, Route};
use types::Cidr;

use crate::check::misplaced;
use crate::config::Config;
use crate::plan::free_table;

fn network(members: &str) -> Network {
    let text = format!(r#"{{"cniVersion":"1.0.0","name":"net","type":"vrf"{members}}}"#);
    Network::parse(text.as_bytes()).unwrap()
}

fn parse(members: &str) -> Result<Config, Error> {
    Config::parse(&network(members))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

#[test]
fn keys_are_read_and_wrong_ones_are_named() {
    let config = parse(r#","vrfname":"blue","table":4294967295"#).unwrap();
    assert_eq!((config.vrf.as_str(), config.table), ("blue", Some(u32::MAX)));
    assert_eq!(parse(r#","vrfname":"blue","table":0"#).unwrap().table, None);
    for (members, word) in [
        ("", "key \"vrfname\" is required"),
        (r#","vrfname":"""#, "key \"vrfname\" is required"),
        (r#","vrfname":"a/b""#, "vrfname"),
        (r#","vrfname":"a-name-that-is-too-long""#, "vrfname"),
        (r#","vrfname":"blue","table":4294967296"#, "table"),
        (r#","vrfname":"blue","table":-1"#, "table"),
    ] {
        let error = parse(members).unwrap_err();
        assert!(error.msg.contains(word), "{}", error.msg);
    }
}

#[test]
fn del_takes_what_it_can_read() {
    let of = |members| Config::vrf_for_del(&network(members)).map(|name| name.to_string());
    assert_eq!(of(r#","vrfname":"blue","table":"x""#), Some("blue".into()));
    assert_eq!(of(r#","vrfname":"a/b""#), None);
    assert_eq!(of(""), None);
}

#[test]
fn a_new_vrf_takes_the_lowest_table_that_is_nobodys() {
    let free = |used: &[u32]| free_table(&used.iter().copied().collect());
    assert_eq!(free(&[]), 1);
    assert_eq!(free(&[1, 2, 4, MAIN]), 3);
    // Those of the kernel never, also when nothing is in them yet.
    let below: Vec<u32> = (1..=252).collect();
    assert_eq!(free(&below), 256);
}

#[test]
fn routes_have_to_be_in_the_table_of_the_vrf() {
    let text = r#","prevResult":{"cniVersion":"1.0.0",
        "ips":[{"address":"10.1.0.2/24","gateway":"10.1.0.1"}],
        "routes":[{"dst":"0.0.0.0/0"},{"dst":"10.8.0.0/16","table":200}]}"#;
    let result = network(text).prev_result().unwrap().unwrap();
    let dev = Dev::new(7, "net1");
    let by = |dst: &str, table: u32| Route {
        table,
        ..Route::to(cidr(dst)).via("10.1.0.1".parse().unwrap()).dev(&dev)
    };
    let right = [by("0.0.0.0/0", 5), by("10.8.0.0/16", 200)];
    assert_eq!(misplaced(&right, &dev, 5, &result), None);
    let named = |routes: &[Route]| misplaced(routes, &dev, 5, &result).unwrap();
    let other = Route { dev: Some(8), ..right[0].clone() };
    for routes in [vec![by("0.0.0.0/0", MAIN), right[1].clone()], vec![other, right[1].clone()]] {
        assert_eq!(named(&routes), "table 5 has no route 0.0.0.0/0 via 10.1.0.1 by net1");
    }
    let stayed = [right[0].clone(), right[1].clone(), by("10.7.0.0/16", MAIN)];
    assert_eq!(named(&stayed), "route 10.7.0.0/16 by net1 is in the main table");
    // What the kernel makes by itself is the kernel's.
    let kernels = Route { protocol: 2, ..stayed[2].clone() };
    assert_eq!(misplaced(&[right[0].clone(), right[1].clone(), kernels], &dev, 5, &result), None);
}
