//! Lives of the daemon, and of the host.

use super::*;

#[test]
fn a_daemon_that_is_killed_costs_nothing_and_the_next_container_starts_it() {
    case(1, |_, town, etcd, residents| {
        let config = by_etcd("blue", 77, 1);
        let blocks = etcd.keys("blocks/");
        let stream = Stream::begin(&residents[0], &residents[1]);
        let mut longest = Duration::ZERO;
        for number in 0..20 {
            end_daemon(1, Signal::SIGKILL);
            let begun = Instant::now();
            another(town, 1, &format!("m{number}"), &config);
            longest = longest.max(begun.elapsed());
        }
        assert_eq!(etcd.keys("blocks/"), blocks, "a life of the daemon claimed more");
        let again = (longest, "at most for a container's ADD and DEL that start it");
        stream.ends_without_loss("daemon killed and started by an ADD, 20 times", Some(again));
    });
}

#[test]
fn a_hundred_lives_of_a_daemon_cost_nothing_and_leave_all_as_it_was() {
    case(1, |_, town, etcd, residents| {
        status(town, 1);
        let all = (town, &*etcd, residents);
        leaves_all_as_it_was(all, "daemon ended and started, 100 times", || {
            for number in 0..100 {
                end_daemon(1, if number % 2 == 0 { Signal::SIGKILL } else { Signal::SIGTERM });
                // Some lives are as short as their start.
                status(town, 1);
            }
            (await_store(town, 1), "until the last one is in touch with etcd")
        });
    });
}

#[test]
fn a_daemon_that_is_replaced_by_another_program_costs_nothing() {
    case(1, |lab, town, etcd, residents| {
        fs::create_dir_all("/run/newer").unwrap();
        // Whoever starts a daemon takes the one beside itself.
        for program in ["cais", "cais-overlayd"] {
            fs::copy(lab.plugins().join(program), format!("/run/newer/{program}")).unwrap();
        }
        let all = (town, &*etcd, residents);
        leaves_all_as_it_was(all, "daemon replaced by a newer program", || {
            end_daemon(1, Signal::SIGTERM);
            let begun = Instant::now();
            town.host(1).run("env CAIS_ROOT=/run/root1 /run/newer/cais overlay status");
            await_store(town, 1);
            let took = begun.elapsed();
            let program = fs::read_link(format!("/proc/{}/exe", daemon(1))).unwrap();
            assert_eq!(program.to_str(), Some("/run/newer/cais-overlayd"));
            (took, "until the new one is in touch with etcd")
        });
    });
}

/// What a reboot leaves of a host: its files below `/var/lib` and `/etc`.
fn reboot(town: &Town<'_>, resident: &Resident<'_>) {
    let number = resident.number;
    end_daemon(number, Signal::SIGKILL);
    resident.container.remove();
    let host = town.host(number);
    for link in host.link_names().iter().filter(|name| *name != "eth0") {
        // The other end of a pair may have taken it along.
        let _ = host.try_run(&format!("ip link del dev {link}"));
    }
    host.run("nft flush ruleset");
    fs::remove_dir_all(format!("/run/root{number}/run")).unwrap();
}

#[test]
fn a_host_that_is_rebooted_has_its_blocks_again() {
    with_hosts((3, 3), 1, |_, town, etcd, residents| {
        let blocks = etcd.keys("blocks/");
        let stream = Stream::begin(&residents[1], &residents[2]);
        reboot(town, &residents[0]);
        let begun = Instant::now();
        let again = town.resident(1, "again", &by_etcd("blue", 77, 1));
        await_ping(&residents[1], &again);
        let took = begun.elapsed();
        await_ping(&again, &residents[2]);
        assert_eq!(etcd.keys("blocks/"), blocks);
        let again = (took, "from the first ADD until another host reaches it");
        stream.ends_without_loss("another host rebooted", Some(again));
    });
}

#[test]
fn a_host_that_is_rebooted_while_etcd_is_away_goes_on_by_what_it_remembers() {
    with_hosts((3, 3), 1, |_, town, etcd, residents| {
        let snapshot = || fs::read_to_string("/run/root1/var/lib/cni/cais/overlay/cache.json");
        let blocks = etcd.keys("blocks/");
        await_that("the snapshot has all blocks", || {
            let snapshot = snapshot().unwrap_or_default();
            blocks.iter().all(|block| snapshot.contains(block.rsplit('/').next().unwrap()))
        });
        let stream = Stream::begin(&residents[1], &residents[2]);
        etcd.kill(0);
        reboot(town, &residents[0]);
        let begun = Instant::now();
        let again = town.resident(1, "again", &by_etcd("blue", 77, 1));
        await_ping(&residents[1], &again);
        let took = begun.elapsed();
        await_ping(&again, &residents[2]);
        etcd.restart(0);
        await_store(town, 1);
        assert_eq!(etcd.keys("blocks/"), blocks);
        await_ping(&again, &residents[2]);
        let again = (took, "from the first ADD until another host reaches it");
        stream.ends_without_loss("another host rebooted while etcd is away", Some(again));
    });
}

#[test]
fn files_of_the_daemon_that_are_damaged_are_made_anew() {
    case(1, |_, town, etcd, residents| {
        let (blocks, before) = (etcd.keys("blocks/"), entries(town.host(1)));
        let config = by_etcd("blue", 77, 1);
        let stream = Stream::begin(&residents[0], &residents[1]);
        let mut longest = Duration::ZERO;
        for file in [
            "run/cais/overlay/blue.json",
            "run/cais/overlay/instance",
            "var/lib/cni/cais/overlay/cache.json",
            "var/lib/cni/cais/overlay/store.json",
        ] {
            let path = format!("/run/root1/{file}");
            // One of them is written a while after what is in it changed.
            await_that(&path, || fs::metadata(&path).is_ok_and(|file| file.len() > 0));
            let whole = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            for damaged in [&b"\0\xff{"[..], &b""[..], &whole[..whole.len() / 2]] {
                end_daemon(1, Signal::SIGKILL);
                fs::write(&path, damaged).unwrap();
                let begun = Instant::now();
                status(town, 1);
                let outcome = await_added(town, &config);
                longest = longest.max(begun.elapsed());
                println!("{path} damaged: {outcome}");
            }
        }
        assert_eq!((etcd.keys("blocks/"), entries(town.host(1))), (blocks, before));
        let again = (longest, "at most until a container is added");
        stream.ends_without_loss("files of the daemon damaged, 12 times", Some(again));
    });
}

/// Waits until a container can be added to the first host; what was said before.
#[track_caller]
fn await_added(town: &Town<'_>, config: &Value) -> String {
    let container = town.lab.container("m");
    let said = std::cell::RefCell::default();
    await_that("a container is added", || {
        let outcome = town.try_add(1, &container, config);
        match outcome.status.success() {
            true => true,
            false => {
                said.replace(outcome.stdout);
                false
            }
        }
    });
    town.call(1, config).verb("DEL").container(&container).run().is_silent();
    container.remove();
    said.into_inner()
}

#[test]
fn hosts_that_were_removed_while_a_daemon_was_down_are_gone_after_its_start() {
    with_hosts((3, 3), 1, |_, town, etcd, residents| {
        let ping = format!("ping -c 1 -W 1 {}", residents[2].addresses()[0]);
        await_that("the third is reached", || {
            residents[0].container.try_run(&ping).status.success()
        });
        let stream = Stream::begin(&residents[0], &residents[1]);
        end_daemon(1, Signal::SIGKILL);
        residents[2].del();
        prints(town, 3, "leave");
        assert_eq!(etcd.keys("hosts/").len(), 2);
        let has_third = || entries(town.host(1)).contains("10.99.0.3");
        assert!(has_third());
        status(town, 1);
        let took = await_that("the third is gone", || !has_third());
        let set = town.host(1).run("nft list table inet cais-overlay");
        assert!(!set.contains("10.99.0.3"), "{set}");
        let again = (took, "from its start until nothing of the host is left");
        stream.ends_without_loss("host removed while the daemon was down", Some(again));
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
}
