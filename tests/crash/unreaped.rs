//! Links are deleted by a child that outlives the plugin. Under a PID 1 that does not reap, each
//! would stay a zombie.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::thread;

use netns_fixtures::{Call, Container, Feature, Lab, Process, lab_with_plugins};
use serde_json::json;

use crate::under_test::{NETWORK, only_ours};

/// How many links are deleted, one by one and then many at once.
const DELETES: usize = 1_000;
const ALONE: usize = 10;
const AT_ONCE: usize = 8;

/// What PID 1 does; and what strace sees.
const INIT: &str = "/run/lab/init";
const TRACE: &str = "/run/lab/trace";

#[test]
fn a_thousand_dels_under_a_pid_1_that_does_not_reap_leave_one_zombie() {
    lab_with_plugins(|lab| {
        only_ours(lab, "deletes in its own process");
        lab.needs(Feature::Strace);
        let container = lab.container("c1");
        make_links(&container);
        fs::write(INIT, "echo\nexec sleep 1d\n").unwrap();
        let unshare = "unshare --pid --fork --kill-child --mount-proc";
        let mut holder = lab.host().spawn(&format!("{unshare} sh {INIT}"));
        let init = first_process(&mut holder);
        let within = format!("nsenter --target {init} --pid --mount");
        let del = |number| del(lab, &container, number);
        let calls: Vec<Call<'_>> =
            (0..DELETES - 1).map(|number| del(number).under(&within)).collect();
        let (alone, together) = calls.split_at(ALONE);
        run_all(alone);
        thread::scope(|scope| {
            for part in together.chunks(together.len().div_ceil(AT_ONCE)) {
                scope.spawn(|| run_all(part));
            }
        });
        // The last one shows that it waits itself.
        let strace = format!("strace -qq -f -o {TRACE} -e trace=clone,clone3,fork,vfork");
        del(DELETES - 1).under(&format!("{within} {strace}")).run().is_silent();
        let forks = fs::read_to_string(TRACE).unwrap();
        assert!(!forks.contains("fork") && !forks.contains("SIGCHLD"), "{forks}");
        assert_eq!(container.link_names(), [""; 0]);
        assert_eq!(zombies_of(init).len(), 1, "zombies of PID 1");
    });
}

fn run_all(calls: &[Call<'_>]) {
    for call in calls {
        call.run().is_silent();
    }
}

/// As many links as there are deletes, with both ends in the container.
fn make_links(container: &Container) {
    let mut batch = String::new();
    for number in 0..DELETES {
        writeln!(batch, "link add dev eth{number} type veth peer name peer{number}").unwrap();
    }
    fs::write("/run/lab/batch", batch).unwrap();
    container.run("ip -batch /run/lab/batch");
}

fn del<'lab>(lab: &'lab Lab, container: &Container, number: usize) -> Call<'lab> {
    let config = json!({
        "cniVersion": "1.0.0", "name": NETWORK, "type": "bridge", "bridge": "cni0",
    });
    let call = lab.plugin("bridge").verb("DEL").container(container).config(&config);
    call.ifname(&format!("eth{number}"))
}

/// The process that is PID 1 below `holder`, once it runs.
fn first_process(holder: &mut Process) -> u32 {
    let mut line = String::new();
    BufReader::new(holder.stdout()).read_line(&mut line).unwrap();
    let path = format!("/proc/{0}/task/{0}/children", holder.id());
    let children = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    children.trim().parse().unwrap_or_else(|error| panic!("{path}: {children:?}: {error}"))
}

/// Ids of dead children of `parent` that it has not waited for.
fn zombies_of(parent: u32) -> Vec<u32> {
    let mut zombies = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have gone meanwhile.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `id (name) state parent …`, and the name may hold anything.
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        if words.next() == Some("Z") && words.next() == Some(&parent.to_string()) {
            zombies.push(id);
        }
    }
    zombies
}
