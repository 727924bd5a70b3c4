//! Hosts that want what another one has, or all the same at once.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::*;

/// A network with one /24 in blocks of this length.
fn small(length: u8) -> Value {
    let mut config = by_etcd("small", 78, 1);
    config["create"] = json!({ "pools": ["10.78.0.0/24"], "blockLen4": length });
    config
}

#[test]
fn five_hosts_and_a_pool_of_four_blocks_leave_one_without_that_is_told_why() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 5, 1);
        let config = small(26);
        let residents: Vec<_> =
            (1..=4).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        await_ping(&residents[0], &residents[3]);
        let stream = Stream::begin(&residents[0], &residents[3]);
        let container = lab.container("c5");
        let begun = Instant::now();
        town.try_add(5, &container, &config).refused(11).says(&[
            "no",
            "block is free",
            "4 are taken",
        ]);
        let took = begun.elapsed();
        another(&town, 1, "m", &config);
        let again = (took, "until the fifth host is refused");
        stream.ends_without_loss("pool of 4 blocks, 5 hosts", Some(again));
    });
}

#[test]
fn a_host_that_fills_its_block_gets_another() {
    lab_with_plugins(|lab| {
        let (town, etcd) = followers(lab, 2, 1);
        let mut config = small(29);
        config["quarantine"] = json!(0);
        let other = town.resident(2, "other", &config);
        let first = town.resident(1, "c0", &config);
        await_ping(&first, &other);
        let stream = Stream::begin(&first, &other);
        let mut longest = Duration::ZERO;
        let add = |number: usize| town.resident(1, &format!("c{number}"), &config);
        let residents: Vec<_> = (1..=9)
            .map(|number| {
                let begun = Instant::now();
                let resident = add(number);
                longest = longest.max(begun.elapsed());
                resident
            })
            .collect();
        for resident in [&residents[0], &residents[8]] {
            await_ping(resident, &other);
            await_ping(&other, resident);
            resident.check();
        }
        assert!(etcd.keys("blocks/").len() >= 3);
        let again = (longest, "for the slowest of ten containers in blocks of five");
        stream.ends_without_loss("block full", Some(again));
    });
}

#[test]
fn a_second_host_with_an_underlay_address_that_another_has_is_refused_with_its_name() {
    with_hosts((3, 3), 1, |lab, town, etcd, residents| {
        let stream = Stream::begin(&residents[0], &residents[1]);
        end_daemon(3, Signal::SIGKILL);
        fs::remove_dir_all("/run/root3").unwrap();
        fs::create_dir_all("/run/root3/etc/cais").unwrap();
        let own = json!({ "underlay": [town.address(1)], "hostName": "h3" });
        fs::write("/run/root3/etc/cais/overlayd.json", own.to_string()).unwrap();
        let blocks = etcd.keys("blocks/");
        let first = status(town, 1)["host"].as_str().unwrap().to_owned();
        let container = lab.container("second");
        let begun = Instant::now();
        let config = by_etcd("blue", 77, 1);
        town.try_add(3, &container, &config).error().says(&["10.99.0.1", &first]);
        let took = begun.elapsed();
        another(town, 1, "m", &config);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let again = (took, "until the second one is refused");
        stream.ends_without_loss("second host with the same underlay address", Some(again));
    });
}

/// Gives daemons that start from now on another machine's hardware, as they look at it.
fn another_machine() {
    let none = None::<&str>;
    mount(Some("tmpfs"), "/sys/class", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    fs::create_dir_all("/sys/class/dmi/id").unwrap();
    fs::write("/sys/class/dmi/id/product_uuid", "another machine").unwrap();
}

#[test]
fn a_clone_of_a_host_is_refused_while_the_first_is_there() {
    with_hosts((3, 3), 1, |lab, town, etcd, residents| {
        let stream = Stream::begin(&residents[0], &residents[1]);
        end_daemon(3, Signal::SIGKILL);
        fs::remove_dir_all("/run/root3/run").unwrap();
        let id = "var/lib/cni/cais/overlay/host-id";
        fs::copy(format!("/run/root1/{id}"), format!("/run/root3/{id}")).unwrap();
        let (first, blocks) = (status(town, 1)["host"].clone(), etcd.keys("blocks/"));
        let alive = etcd.json(&format!("alive/{}", first.as_str().unwrap()));
        another_machine();
        let container = lab.container("clone");
        let config = by_etcd("blue", 77, 1);
        let begun = Instant::now();
        let log = || fs::read_to_string("/run/root3/run/cais/overlay.log").unwrap_or_default();
        let fingerprint = alive["fp"].as_str().unwrap();
        await_that("the clone is refused", || {
            let outcome = town.try_add(3, &container, &config);
            assert!(!outcome.status.success(), "{outcome}");
            log().contains(fingerprint)
        });
        let took = begun.elapsed();
        umount2("/sys/class", MntFlags::MNT_DETACH).unwrap();
        // The first one is there as before, in the same life.
        assert_eq!(etcd.json(&format!("alive/{}", first.as_str().unwrap())), alive);
        assert_eq!(status(town, 1)["store"]["state"], "ready");
        another(town, 1, "m", &config);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let again = (took, "until the clone is refused, presence lasting 5 s");
        stream.ends_without_loss("clone of a host started", Some(again));
    });
}

#[test]
fn fifty_daemons_that_start_together_all_get_a_block_and_reach_each_other() {
    const HOSTS: usize = 50;
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, etcd) = followers(lab, HOSTS, 1);
        let mut config = by_etcd("blue", 77, 1);
        config["create"] = json!({ "pools": ["10.77.0.0/16"] });
        let begun = Instant::now();
        let residents: Vec<_> = std::thread::scope(|scope| {
            let add = |number: usize| {
                let (town, config) = (&town, &config);
                scope.spawn(move || town.resident(number, &format!("c{number}"), config))
            };
            let all: Vec<_> = (1..=HOSTS).map(add).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let added = begun.elapsed();
        assert_eq!(etcd.keys("blocks/").len(), HOSTS);
        let routes = |number: usize| town.host(number).run("ip -4 route show proto 202");
        await_that("each knows all others", || {
            (1..=HOSTS).all(|number| routes(number).lines().count() == HOSTS - 1)
        });
        await_ping(&residents[0], &residents[HOSTS - 1]);
        println!("all {HOSTS} containers are added after {added:?}");
        let again = (begun.elapsed(), "until each reaches all others");
        tell("50 daemons started together", None, Some(again));
    });
}

#[test]
fn a_block_that_is_four_fifths_full_is_followed_by_another_before_it_is_needed() {
    lab_with_plugins(|lab| {
        let (town, etcd) = followers(lab, 1, 1);
        // Thirteen containers in each block.
        let config = small(28);
        let blocks = || etcd.keys("blocks/").len();
        for number in 1..=10 {
            town.resident(1, &format!("c{number}"), &config);
        }
        pause(Duration::from_millis(300));
        assert_eq!(blocks(), 1);
        town.resident(1, "c11", &config);
        let took = await_that("there is another block", || blocks() == 2);
        tell("block four fifths full", None, Some((took, "until there is another")));
    });
}
