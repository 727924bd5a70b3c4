//! Everything that goes wrong around a network, while a packet each 5 ms goes from one container to
//! another: none may be lost but by what takes the way itself, and that comes back soon.

use std::fs;
use std::io::Read;
use std::time::Duration;

use netns_fixtures::{Etcd, Lab, Process, lab_with_plugins};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::agent::{await_that, by_etcd, followers, pause};
use super::{Resident, Town};

/// Presence in these towns, see [`by_etcd`].
const TTL: Duration = Duration::from_secs(5);

/// Packets each 5 ms from one container to another.
struct Stream {
    ping: Process,
}

/// What became of them.
#[derive(Debug)]
struct Counted {
    sent: u32,
    lost: u32,
}

impl Stream {
    fn begin(from: &Resident<'_>, to: &Resident<'_>) -> Self {
        let address = to.addresses()[0];
        Self { ping: from.container.spawn(&format!("ping -q -i 0.005 -W 1 {address}")) }
    }

    #[track_caller]
    fn end(mut self, what: &str) -> Counted {
        // What was sent last may be on its way.
        pause(Duration::from_millis(200));
        let id = i32::try_from(self.ping.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
        let mut said = String::new();
        self.ping.stdout().read_to_string(&mut said).unwrap();
        let number = |word: &str| {
            let before = said.split(word).next().unwrap_or_default();
            let digits = before.rsplit([' ', '\n']).find(|word| !word.is_empty());
            digits.and_then(|digits| digits.parse::<u32>().ok())
        };
        let (Some(sent), Some(received)) = (number(" packets transmitted"), number(" received"))
        else {
            panic!("ping said {said:?}");
        };
        // The last one may have been sent right before the end.
        let counted = Counted { sent, lost: sent.saturating_sub(received + 1) };
        println!("{what}: {} of {} packets lost", counted.lost, counted.sent);
        assert!(counted.sent > 20, "{what}: {counted:?}");
        counted
    }

    #[track_caller]
    fn ends_without_loss(self, what: &str) {
        let counted = self.end(what);
        assert_eq!(counted.lost, 0, "{what}: {counted:?}");
    }
}

/// Two hosts with a container each that reach each other.
fn case(members: usize, act: impl Fn(&Lab, &Town<'_>, &mut Etcd, &[Resident<'_>])) {
    lab_with_plugins(|lab| {
        let (town, mut etcd) = followers(lab, 2, members);
        let config = by_etcd("blue", 77, members);
        let residents: Vec<_> =
            (1..=2).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        let _logs = Logs;
        await_ping(&residents[0], &residents[1]);
        act(lab, &town, &mut etcd, &residents);
    });
}

/// What daemons said, for a case that fails.
pub(super) struct Logs;

impl Drop for Logs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for number in 1..=5 {
                let path = format!("/run/root{number}/run/cais/overlay.log");
                if let Ok(text) = fs::read_to_string(&path) {
                    println!("{path}:\n{text}");
                }
            }
        }
    }
}

#[track_caller]
fn await_ping(from: &Resident<'_>, to: &Resident<'_>) -> Duration {
    let ping = format!("ping -c 1 -W 1 {}", to.addresses()[0]);
    await_that(&ping, || from.container.try_run(&ping).status.success())
}

/// The daemon of the host `number`.
pub(super) fn daemon(town: &Town<'_>, number: usize) -> Pid {
    let socket = format!("/run/root{number}/run/cais/overlay.sock");
    let found = town.host(number).run("pgrep -f cais-overlayd");
    // Other labs have daemons at such paths, too.
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let is_it = |pid: &&str| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(&socket) && mounts(pid) == mounts("self")
    };
    let pid = found.lines().map(str::trim).find(is_it);
    Pid::from_raw(pid.unwrap_or_else(|| panic!("no daemon at {socket}: {found}")).parse().unwrap())
}

/// Another container on a host, gone again.
#[track_caller]
fn another(town: &Town<'_>, number: usize, name: &str, config: &Value) {
    let resident = town.resident(number, name, config);
    resident.del();
    resident.container.remove();
}

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
        another(town, 1, "after", &config);
        stream.ends_without_loss("etcd killed and started again");
    });
}

#[test]
fn etcd_that_says_nothing_for_longer_than_presence_lasts_costs_nothing() {
    case(1, |_, _, etcd, residents| {
        let stream = Stream::begin(&residents[0], &residents[1]);
        etcd.stop(0);
        pause(TTL + Duration::from_secs(2));
        etcd.go_on(0);
        await_that("both hosts are present again", || etcd.keys("alive/").len() == 2);
        stream.ends_without_loss("etcd stopped for longer than presence lasts");
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
        await_that("all blocks are there again", || etcd.keys("blocks/") == before);
        let config = by_etcd("blue", 77, 1);
        another(town, 1, "after", &config);
        stream.ends_without_loss("etcd wiped");
    });
}

#[test]
fn a_leader_that_is_killed_costs_nothing_and_hosts_join_afterwards() {
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, mut etcd) = followers(lab, 3, 3);
        let config = by_etcd("blue", 77, 3);
        let residents: Vec<_> =
            (1..=2).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        await_ping(&residents[0], &residents[1]);
        let stream = Stream::begin(&residents[0], &residents[1]);
        let leader = etcd.leader();
        etcd.kill(leader);
        let third = town.resident(3, "c3", &config);
        let took = await_ping(&residents[0], &third);
        println!("a host that joined after the leader was killed is reached after {took:?}");
        stream.ends_without_loss("leader killed");
    });
}

#[test]
fn a_host_that_is_cut_off_from_etcd_keeps_its_containers_and_its_blocks() {
    case(1, |_, town, etcd, residents| {
        let blocks = etcd.keys("blocks/");
        let stream = Stream::begin(&residents[0], &residents[1]);
        let host = town.host(1);
        host.run("nft add table inet cut");
        host.run("nft add chain inet cut out { type filter hook output priority 0 ; }");
        host.run("nft add rule inet cut out ip daddr 10.99.0.200 drop");
        await_that("the host counts as away", || etcd.keys("alive/").len() == 1);
        let config = by_etcd("blue", 77, 1);
        another(town, 1, "m1", &config);
        assert_eq!(etcd.keys("blocks/"), blocks);
        host.run("nft delete table inet cut");
        let took = await_that("the host is back", || etcd.keys("alive/").len() == 2);
        println!("a host that was cut off is back after {took:?}");
        stream.ends_without_loss("host cut off from etcd");
    });
}

#[test]
fn a_daemon_that_is_killed_costs_nothing_and_the_next_container_starts_it() {
    case(1, |_, town, etcd, residents| {
        let config = by_etcd("blue", 77, 1);
        let blocks = etcd.keys("blocks/");
        let stream = Stream::begin(&residents[0], &residents[1]);
        for number in 0..20 {
            let pid = daemon(town, 1);
            kill(pid, Signal::SIGKILL).unwrap();
            await_that("it is gone", || kill(pid, None).is_err());
            another(town, 1, &format!("m{number}"), &config);
        }
        assert_eq!(etcd.keys("blocks/"), blocks, "a life of the daemon claimed more");
        stream.ends_without_loss("daemon killed and started 20 times");
    });
}

#[test]
fn what_is_taken_away_from_the_way_is_back_at_once() {
    case(1, |_, town, _, residents| {
        let host = town.host(1);
        for (what, command) in [
            ("route flushed", "ip route flush proto 202"),
            ("neighbours flushed", "ip neigh flush dev ov-001000 nud permanent"),
            ("device taken down", "ip link set dev ov-001000 down"),
            ("device deleted", "ip link del ov-001000"),
        ] {
            let device = device_of(&host.run("ip -o link show type vxlan"));
            let command = command.replace("ov-001000", &device);
            let stream = Stream::begin(&residents[0], &residents[1]);
            host.run(&command);
            let took = await_ping(&residents[0], &residents[1]);
            let counted = stream.end(what);
            println!("{what}: reached again after {took:?}");
            // 200 ms of packets, and as much for a machine that is busy.
            assert!(counted.lost <= 80, "{what}: {counted:?}");
        }
        let guard = || host.run("nft -s list ruleset");
        assert!(guard().contains("10.99.0.2"), "{}", guard());
        let stream = Stream::begin(&residents[0], &residents[1]);
        host.run("nft flush ruleset");
        let took = await_that("the guard is back", || guard().contains("10.99.0.2"));
        println!("rules deleted: there again after {took:?}");
        stream.ends_without_loss("rules deleted");
    });
}

/// The name of the only device that `ip -o link` shows.
fn device_of(shown: &str) -> String {
    let name = shown.split(": ").nth(1).unwrap_or_default().trim().to_owned();
    assert!(name.starts_with("ov-"), "{shown}");
    name
}

#[test]
fn an_underlay_address_that_changes_is_followed_by_the_others() {
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
        let pid = daemon(town, 1);
        kill(pid, Signal::SIGTERM).unwrap();
        await_that("it ends", || kill(pid, None).is_err());
        another(town, 1, "m", &by_etcd("blue", 77, 1));
        let fdb = || town.host(2).run("bridge fdb show");
        await_that("the other host knows", || fdb().contains("dst 10.99.0.101"));
        let took = await_ping(&residents[0], &residents[1]);
        host.run("ip addr del 10.99.0.1/24 dev eth0");
        await_ping(&residents[0], &residents[1]);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let counted = stream.end("underlay address changed");
        println!("underlay address changed: reached after {took:?}");
        assert!(counted.lost <= 200, "{counted:?}");
    });
}

#[test]
fn five_hosts_and_a_pool_of_four_blocks_leave_one_without_that_is_told_why() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 5, 1);
        let mut config = by_etcd("small", 78, 1);
        config["create"] = json!({ "pools": ["10.78.0.0/24"], "blockLen4": 26 });
        let residents: Vec<_> =
            (1..=4).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        await_ping(&residents[0], &residents[3]);
        let container = lab.container("c5");
        town.try_add(5, &container, &config).refused(11).says(&[
            "no",
            "block is free",
            "4 are taken",
        ]);
    });
}

#[test]
fn a_host_that_fills_its_block_gets_another() {
    lab_with_plugins(|lab| {
        let (town, etcd) = followers(lab, 2, 1);
        let mut config = by_etcd("small", 78, 1);
        config["create"] = json!({ "pools": ["10.78.0.0/24"], "blockLen4": 29 });
        config["quarantine"] = json!(0);
        let other = town.resident(2, "other", &config);
        let residents: Vec<_> =
            (1..=9).map(|number| town.resident(1, &format!("c{number}"), &config)).collect();
        for resident in [&residents[0], &residents[8]] {
            await_ping(resident, &other);
            await_ping(&other, resident);
            resident.check();
        }
        assert!(etcd.keys("blocks/").len() >= 3);
    });
}

#[test]
fn a_host_whose_blocks_others_may_get_soon_uses_them_no_more_until_it_is_back() {
    case(1, |lab, town, etcd, residents| {
        etcd.put("config", r#"{"v":1,"reclaimAfter":10}"#);
        let host = town.host(1);
        let device = device_of(&host.run("ip -o link show type vxlan"));
        let is_up = || !host.run(&format!("ip -o link show dev {device}")).contains("state DOWN");
        assert!(is_up());
        host.run("nft add table inet cut");
        host.run("nft add chain inet cut out { type filter hook output priority 0 ; }");
        host.run("nft add rule inet cut out ip daddr 10.99.0.200 drop");
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
        host.run("nft delete table inet cut");
        let took = await_that("it is up again", is_up);
        println!("up again after {took:?}");
        await_ping(&residents[0], &residents[1]);
        await_that("containers are added again", || {
            let outcome = town.try_add(1, &denied, &config);
            outcome.status.success()
        });
    });
}
