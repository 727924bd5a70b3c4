//! What others do to a host: links, routes and rules that go, addresses that change.

use serde_json::json;

use super::*;

/// What is taken away, by which command, and how many packets that may cost: 200 ms of them, and as
/// many for a machine that is busy.
const TAKEN: &[(&str, &str, u32)] = &[
    ("routes flushed", "ip route flush proto 202", 80),
    ("neighbours flushed", "ip neigh flush dev DEVICE nud permanent", 80),
    ("forwarding entries deleted", "bridge fdb del MAC dev DEVICE dst 10.99.0.2 self", 80),
    ("device taken down", "ip link set dev DEVICE down", 80),
    ("device deleted", "ip link del DEVICE", 80),
    ("bridge taken down", "ip link set dev BRIDGE down", 80),
    ("bridge deleted", "ip link del BRIDGE", 80),
    ("addresses of the bridge flushed", "ip addr flush dev BRIDGE", 80),
];

#[test]
fn what_is_taken_away_from_the_way_is_back_at_once() {
    case(1, |_, town, _, residents| {
        let host = town.host(1);
        let device = device_of(host);
        let bridge = device.replace("ov-", "ob-");
        let before = entries(host);
        let config = by_etcd("blue", 77, 1);
        for (what, command, most) in TAKEN {
            let shown = host.run(&format!("bridge fdb show dev {device}"));
            let mac = shown.split(' ').next().unwrap();
            let command = command.replace("DEVICE", &device).replace("BRIDGE", &bridge);
            let stream = Stream::begin(&residents[0], &residents[1]);
            host.run(&command.replace("MAC", mac));
            let took = await_that("all is there again", || {
                host.link(&device).is_some() && entries(host) == before
            });
            await_ping(&residents[0], &residents[1]);
            let again = (took, "until all entries are there");
            let counted = stream.end(what, Some(again));
            assert!(counted.lost <= *most, "{what}: {counted:?}");
            another(town, 1, "m", &config);
            residents[0].check();
        }
    });
}

#[test]
fn rules_that_are_deleted_are_back_at_once() {
    case(1, |_, town, _, residents| {
        let host = town.host(1);
        let guard = || host.run("nft -s list ruleset");
        for (what, command) in [
            ("guard's table deleted", "nft delete table inet cais-overlay"),
            ("guard's chains flushed", "nft flush table inet cais-overlay"),
            ("all rules of the host deleted", "nft flush ruleset"),
        ] {
            let before = host.run("nft -s list table inet cais-overlay");
            assert!(before.contains("10.99.0.2"), "{before}");
            let stream = Stream::begin(&residents[0], &residents[1]);
            host.run(command);
            let took = await_that("the guard is back", || guard().contains(&*before));
            stream.ends_without_loss(what, Some((took, "until the guard is there again")));
        }
    });
}

#[test]
fn an_underlay_link_that_goes_and_comes_back_is_used_again() {
    case(1, |lab, town, _, residents| {
        let host = town.host(1);
        let (before, config) = (entries(host), by_etcd("blue", 77, 1));
        let stream = Stream::begin(&residents[0], &residents[1]);
        host.run("ip link set dev eth0 down");
        pause(Duration::from_millis(500));
        another(town, 1, "m1", &config);
        host.run("ip link set dev eth0 up");
        let took = await_ping(&residents[0], &residents[1]);
        let again = (took, "after the end until answered");
        stream.end("underlay link down for 0.5 s and an ADD", Some(again));
        assert_eq!(entries(host), before);

        let stream = Stream::begin(&residents[0], &residents[1]);
        host.run("ip link del eth0");
        pause(Duration::from_millis(500));
        another(town, 1, "m2", &config);
        lab.wire((host, "eth0"), (&town.wire, "h1"));
        town.wire.run("ip link set dev h1 master wire0");
        host.run("ip addr add 10.99.0.1/24 dev eth0");
        let took = await_ping(&residents[0], &residents[1]);
        let again = (took, "after the end until answered");
        stream.end("underlay link deleted for 0.5 s and an ADD", Some(again));
        await_that("all is as before", || entries(host) == before);
    });
}

#[test]
fn an_underlay_address_that_changes_in_the_configuration_is_followed_by_the_others() {
    case(1, |_, town, etcd, residents| {
        let host = town.host(1);
        let blocks = etcd.keys("blocks/");
        // The configuration names the old one, so the daemon is told of the new one and started again.
        let own = json!({ "underlay": ["10.99.0.101"], "hostName": "h1" });
        // As systemd has it: a second address of the same network stays when the first goes.
        host.set_sysctl("ipv4/conf/all/promote_secondaries", "1");
        host.run("ip addr add 10.99.0.101/24 dev eth0");
        let stream = Stream::begin(&residents[0], &residents[1]);
        fs::write("/run/root1/etc/cais/overlayd.json", own.to_string()).unwrap();
        end_daemon(1, Signal::SIGTERM);
        let begun = Instant::now();
        another(town, 1, "m", &by_etcd("blue", 77, 1));
        let fdb = || town.host(2).run("bridge fdb show");
        await_that("the other host knows", || fdb().contains("dst 10.99.0.101"));
        await_ping(&residents[0], &residents[1]);
        let took = begun.elapsed();
        host.run("ip addr del 10.99.0.1/24 dev eth0");
        await_ping(&residents[0], &residents[1]);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let again = (took, "from its start until the other has it and answers");
        let counted = stream.end("underlay address changed in the configuration", Some(again));
        assert!(counted.lost <= 200, "{counted:?}");
    });
}

#[test]
fn an_underlay_address_that_changes_on_the_link_is_noticed_and_followed_by_the_others() {
    case(1, |_, town, etcd, residents| {
        let host = town.host(1);
        let blocks = etcd.keys("blocks/");
        // From here on the daemon takes the address of the link with the default route.
        host.run("ip route add default via 10.99.0.254");
        fs::write("/run/root1/etc/cais/overlayd.json", r#"{"hostName":"h1"}"#).unwrap();
        end_daemon(1, Signal::SIGTERM);
        another(town, 1, "m", &by_etcd("blue", 77, 1));
        assert_eq!(status(town, 1)["underlay"][0], "10.99.0.1");
        let fdb = || town.host(2).run("bridge fdb show");
        let stream = Stream::begin(&residents[0], &residents[1]);
        host.set_sysctl("ipv4/conf/all/promote_secondaries", "1");
        host.run("ip addr add 10.99.0.101/24 dev eth0");
        host.run("ip addr del 10.99.0.1/24 dev eth0");
        let took = await_that("the other host knows", || fdb().contains("dst 10.99.0.101"));
        let reached = await_ping(&residents[0], &residents[1]);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let again = (took + reached, "until the other has it and answers");
        let counted = stream.end("underlay address changed on the link", Some(again));
        assert!(counted.silence < Duration::from_secs(2), "{counted:?}");
    });
}
