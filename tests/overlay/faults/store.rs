//! What befalls etcd, and the way to it.

use super::*;

#[test]
fn etcd_that_is_killed_and_comes_back_costs_nothing_and_containers_are_added_meanwhile() {
    case(1, |_, town, etcd, residents| {
        let stream = Stream::begin(&residents[0], &residents[1]);
        etcd.kill(0);
        let config = by_etcd("blue", 77, 1);
        for number in 0..20 {
            another(town, 1 + number % 2, &format!("m{number}"), &config);
        }
        etcd.restart(0);
        let took = await_store(town, 1);
        another(town, 1, "after", &config);
        let again = (took, "until the daemon is in touch again");
        stream.ends_without_loss("etcd killed, 20 containers added, started again", Some(again));
    });
}

#[test]
fn etcd_that_says_nothing_for_longer_than_presence_lasts_costs_nothing() {
    case(1, |_, town, etcd, residents| {
        let stream = Stream::begin(&residents[0], &residents[1]);
        etcd.stop(0);
        let config = by_etcd("blue", 77, 1);
        let begun = Instant::now();
        for number in 0..5 {
            another(town, 1 + number % 2, &format!("m{number}"), &config);
        }
        pause((TTL + Duration::from_secs(2)).saturating_sub(begun.elapsed()));
        etcd.go_on(0);
        let took = await_that("both hosts are there", || {
            etcd.keys("alive/").len() == 2
                && (1..=2).all(|number| status(town, number)["store"]["state"] == "ready")
        });
        let again = (took, "until both hosts are present again");
        stream.ends_without_loss("etcd stopped for longer than presence lasts", Some(again));
    });
}

#[test]
fn etcd_that_lost_its_data_is_told_all_again_and_costs_nothing() {
    case(1, |_, town, etcd, residents| {
        let before = etcd.keys("blocks/");
        assert_eq!(before.len(), 4, "{before:?}");
        let stream = Stream::begin(&residents[0], &residents[1]);
        etcd.kill(0);
        etcd.wipe(0);
        etcd.restart(0);
        let took = await_that("all blocks are there again", || etcd.keys("blocks/") == before);
        let config = by_etcd("blue", 77, 1);
        another(town, 1, "after", &config);
        let again = (took, "until it has all blocks again");
        stream.ends_without_loss("etcd killed, wiped and started again", Some(again));
    });
}

#[test]
fn a_leader_that_is_killed_costs_nothing_and_hosts_join_afterwards() {
    with_hosts((3, 2), 3, |_, town, etcd, residents| {
        let config = by_etcd("blue", 77, 3);
        let stream = Stream::begin(&residents[0], &residents[1]);
        let leader = etcd.leader();
        etcd.kill(leader);
        let killed = Instant::now();
        let third = town.resident(3, "c3", &config);
        await_ping(&residents[0], &third);
        let again = (killed.elapsed(), "until a host that joins then is reached");
        stream.ends_without_loss("leader of three killed", Some(again));
    });
}

#[test]
fn changes_that_were_compacted_while_a_host_was_cut_off_reach_it() {
    with_hosts((3, 2), 1, |_, town, etcd, residents| {
        let config = by_etcd("blue", 77, 1);
        let stream = Stream::begin(&residents[0], &residents[1]);
        cut(town.host(1), STORE);
        await_that("the host counts as away", || etcd.keys("alive/").len() == 1);
        let third = town.resident(3, "c3", &config);
        etcd.ctl(&format!("compact {}", etcd.revision_of(0)));
        another(town, 1, "m", &config);
        join(town.host(1));
        let took = await_ping(&residents[0], &third);
        let again = (took, "until a host that joined meanwhile is reached");
        stream.ends_without_loss("changes compacted while a host was cut off", Some(again));
    });
}

#[test]
fn a_host_that_is_cut_off_from_etcd_keeps_its_containers_and_its_blocks() {
    case(1, |_, town, etcd, residents| {
        let blocks = etcd.keys("blocks/");
        let stream = Stream::begin(&residents[0], &residents[1]);
        cut(town.host(1), STORE);
        await_that("the host counts as away", || etcd.keys("alive/").len() == 1);
        let config = by_etcd("blue", 77, 1);
        another(town, 1, "m1", &config);
        assert_eq!(etcd.keys("blocks/"), blocks);
        join(town.host(1));
        let took = await_that("the host is back", || etcd.keys("alive/").len() == 2);
        let again = (took, "until it is present again");
        stream.ends_without_loss("host cut off from etcd until it counted as absent", Some(again));
    });
}

#[test]
fn hosts_that_are_cut_off_from_each_other_keep_everything_and_go_on_afterwards() {
    case(1, |_, town, etcd, residents| {
        let blocks = etcd.keys("blocks/");
        let before = entries(town.host(1));
        let stream = Stream::begin(&residents[0], &residents[1]);
        cut(town.host(1), "10.99.0.2");
        let config = by_etcd("blue", 77, 1);
        for number in 1..=2 {
            another(town, number, &format!("m{number}"), &config);
        }
        pause(Duration::from_secs(2));
        assert_eq!((etcd.keys("alive/").len(), etcd.keys("blocks/")), (2, blocks));
        assert_eq!(entries(town.host(1)), before);
        join(town.host(1));
        let took = await_ping(&residents[0], &residents[1]);
        let again = (took, "after the end until answered");
        let counted = stream.end("hosts cut off from each other for 2 s", Some(again));
        assert!(counted.silence < Duration::from_secs(4), "{counted:?}");
    });
}

#[test]
fn a_host_whose_blocks_others_may_get_soon_uses_them_no_more_until_it_is_back() {
    case(1, |lab, town, etcd, residents| {
        etcd.put("config", r#"{"v":1,"reclaimAfter":10}"#);
        let host = town.host(1);
        let device = device_of(host);
        let is_up = || !host.run(&format!("ip -o link show dev {device}")).contains("state DOWN");
        assert!(is_up());
        cut(host, STORE);
        let config = by_etcd("blue", 77, 1);
        let denied = lab.container("denied");
        let took = await_that("no more containers", || {
            let outcome = town.try_add(1, &denied, &config);
            if outcome.status.success() {
                town.call(1, &config).verb("DEL").container(&denied).run().is_silent();
            }
            !outcome.status.success()
        });
        println!("no more containers after {took:?}");
        town.try_add(1, &denied, &config).refused(11).says(&["has not confirmed"]);
        let took = await_that("its device is down", || !is_up());
        println!("taken down {took:?} later");
        join(host);
        let took = await_that("it is up again", is_up);
        tell(
            "cut off from etcd for longer than `reclaimAfter` of 10 s",
            None,
            Some((took, "after the end until its device is up again")),
        );
        await_ping(&residents[0], &residents[1]);
        await_that("containers are added again", || {
            let outcome = town.try_add(1, &denied, &config);
            outcome.status.success()
        });
    });
}
