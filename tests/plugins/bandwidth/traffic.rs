//! What a limit does to packets, measured by iperf3.

use std::io::{BufRead as _, BufReader};

use netns_fixtures::{Container, Feature, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::{behind, bridge};
use crate::chain::Attach;
use crate::under_test::only_ours;

/// 50 Mbit/s, and as much at once as a fast wire sends in a blink.
const LIMIT: f64 = 50e6;

fn limits() -> Value {
    json!({
        "ingressRate": 50_000_000, "ingressBurst": 400_000,
        "egressRate": 50_000_000, "egressBurst": 400_000,
    })
}

/// How much is sent: for so long, or so much.
type Amount = &'static str;

const TWO_SECONDS: Amount = "--time 2";
const A_SECOND: Amount = "--time 1";
const MUCH: Amount = "--bytes 30M";

/// Bits per second that a receiver of TCP got, from `from` to the server at `address` or back.
fn bits_per_second(
    server: &Namespace,
    from: &Namespace,
    address: &str,
    (amount, way): (Amount, &str),
) -> f64 {
    let mut listening = server.spawn("iperf3 --server --one-off --forceflush");
    let mut lines = BufReader::new(listening.stdout()).lines().map_while(Result::ok);
    // It says so when it listens.
    let is_ready = lines.any(|line| line.starts_with("Server listening"));
    assert!(is_ready, "iperf3 does not listen");
    let told = from.json(&format!("iperf3 --client {address} {amount} --json {way}"));
    told["end"]["sum_received"]["bits_per_second"].as_f64().expect("iperf3 tells what was received")
}

const SENT: &str = "";
const RECEIVED: &str = "--reverse";

#[track_caller]
fn is_limited(what: &str, bits: f64) {
    println!("{what}: {:.2} Mbit/s", bits / 1e6);
    assert!((bits / LIMIT - 1.0).abs() < 0.1, "{what}: {:.2} Mbit/s", bits / 1e6);
}

/// Containers `a`, which is limited, and `b`, which is not, on one bridge.
fn neighbours(lab: &Lab, members: &Value) -> (Container, Container) {
    let (a, b) = (lab.container("a"), lab.container("b"));
    let no_ports = json!([]);
    behind(lab, &bridge(), members).add(Attach::new(&a, &no_ports));
    behind(lab, &bridge(), &json!({})).add(Attach::new(&b, &no_ports));
    (a, b)
}

#[test]
fn fifty_megabits_are_kept_within_a_tenth_both_ways() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Iperf3);
        let (a, b) = neighbours(lab, &limits());
        for (what, way) in [("sent", SENT), ("received", RECEIVED)] {
            is_limited(what, bits_per_second(&b, &a, "10.1.0.3", (TWO_SECONDS, way)));
        }
    });
}

#[test]
fn a_network_that_is_left_out_is_not_limited_and_all_others_are() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Iperf3);
        only_ours(lab, "ignores networks");
        let mut members = limits();
        members["unshapedSubnets"] = json!(["10.1.0.0/25", "fd00:1::/64"]);
        let (a, b) = neighbours(lab, &members);
        // The same neighbour by an address that is not left out.
        b.run("ip addr add 10.1.0.200/24 dev eth0");
        for way in [SENT, RECEIVED] {
            let free = bits_per_second(&b, &a, "10.1.0.3", (MUCH, way));
            println!("left out {way}: {:.0} Mbit/s", free / 1e6);
            assert!(free > 4.0 * LIMIT, "{free}");
            is_limited("not left out", bits_per_second(&b, &a, "10.1.0.200", (A_SECOND, way)));
        }
    });
}
