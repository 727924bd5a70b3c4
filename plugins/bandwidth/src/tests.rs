use cni::{Config as Network, Error};
use kernel::tc::{Bucket, Queue};

use crate::config::{Config, Subnets};
use crate::plan::{ARRIVING, Place, Way, taken_away};

fn parse(members: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.0.0","name":"net","type":"bandwidth"{members}}}"#);
    Config::parse(&Network::parse(text.as_bytes()).unwrap())
}

fn bucket(bytes_per_second: u64, burst_bytes: u32) -> Bucket {
    Bucket { bytes_per_second, burst_bytes }
}

#[test]
fn rates_are_bits_and_buckets_are_bytes() {
    let config = parse(r#","ingressRate":8000,"ingressBurst":80,"egressRate":16,"egressBurst":8"#);
    let config = config.unwrap();
    assert_eq!(config.ingress, Some(bucket(1000, 10)));
    assert_eq!(config.egress, Some(bucket(2, 1)));
    assert_eq!(config.subnets, Subnets::All);
}

#[test]
fn a_key_of_the_plugin_makes_all_of_the_runtimes_count_for_nothing() {
    let runtime = r#""runtimeConfig":{"bandwidth":{"egressRate":80,"egressBurst":80}}"#;
    assert_eq!(parse(&format!(",{runtime}")).unwrap().egress, Some(bucket(10, 10)));
    let own = parse(&format!(r#","ingressRate":8,"ingressBurst":8,{runtime}"#)).unwrap();
    assert_eq!((own.ingress, own.egress), (Some(bucket(1, 1)), None));
    assert!(parse(&format!(r#","INGRESSRATE":0,{runtime}"#)).unwrap().is_empty());
    // Networks are no rates.
    let both = parse(&format!(r#","shapedSubnets":["10.1.2.3/16"],{runtime}"#)).unwrap();
    assert_eq!(both.subnets, Subnets::Only(vec!["10.1.0.0/16".parse().unwrap()]));
    assert_eq!(both.egress, Some(bucket(10, 10)));
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    for (members, words) in [
        (r#""ingressRate":80"#, ["ingressRate", "if rate is set, burst must also be set"]),
        (r#""egressBurst":80"#, ["egressBurst", "if burst is set, rate must also be set"]),
        (r#""egressRate":7,"egressBurst":80"#, ["egressRate", "a byte each second"]),
        (r#""egressRate":80,"egressBurst":7"#, ["egressBurst", "a byte"]),
        (r#""egressRate":80,"egressBurst":34359738360"#, ["egressBurst", "more than 4GB"]),
        (r#""egressRate":-1,"egressBurst":80"#, ["egressRate", "outside"]),
        (r#""shapedSubnets":["10.0.0.0"]"#, ["shapedSubnets[0]", "10.0.0.0"]),
        (
            r#""shapedSubnets":["10.0.0.0/8"],"unshapedSubnets":["fd00::/8"]"#,
            ["unshapedSubnets", "cannot be both"],
        ),
        (
            r#""runtimeConfig":{"bandwidth":{"egressRate":1}}"#,
            ["runtimeConfig.bandwidth.egressRate", "burst must"],
        ),
    ] {
        let error = parse(&format!(",{members}")).unwrap_err();
        assert!(words.iter().all(|word| error.msg.contains(word)), "{members}: {}", error.msg);
    }
    let most = parse(r#","egressRate":80,"egressBurst":34359738359"#).unwrap();
    assert_eq!(most.egress, Some(bucket(10, 4_294_967_294)));
}

#[test]
fn a_large_burst_does_not_make_packets_wait_for_as_long_as_it_took() {
    let small = Way::for_all(bucket(6_250_000, 65_536));
    assert_eq!(small.queues.len(), 1);
    // What kubelet has containerd ask for: 512 MiB.
    let large = Way::for_all(bucket(1_250_000, 536_870_911));
    let Queue::Bfifo { limit_bytes } = large.queues[1].queue else { panic!("{large:?}") };
    // 25 ms, and one packet.
    assert_eq!(limit_bytes, 31_250 + 70_000);
}

#[test]
fn arriving_packets_are_sorted_behind_the_filters_of_others() {
    let except = Subnets::Except(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    let at = |behind| Place { parent: ARRIVING, behind };
    let filters = taken_away(&except, 7, at(49_152));
    let places: Vec<_> = filters.iter().map(|filter| (filter.priority, filter.redirect)).collect();
    assert_eq!(places, [(49_153, None), (49_154, None), (49_155, Some(7))]);
    assert_eq!(taken_away(&Subnets::All, 7, at(0))[0].priority, 1);
}
