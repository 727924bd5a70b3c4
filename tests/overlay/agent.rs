//! Networks that hosts tell each other of through etcd: the daemon, started by the first container.

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use netns_fixtures::{Feature, Lab, Namespace, Process, lab_with_plugins};
use serde_json::{Value, json};

use super::{Resident, Town, Underlay, VERSION};

/// No wait of a case is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Members of etcd on the wire of a town.
pub(super) struct Etcd {
    place: Namespace,
    members: Vec<Option<Process>>,
}

impl Etcd {
    /// Starts `count` members.
    pub(super) fn start(town: &Town<'_>, count: usize) -> Self {
        town.lab.needs(Feature::Etcd);
        let place = town.plug_in("store", 200);
        place.run("ip link set dev lo up");
        let mut etcd = Self { place, members: (0..count).map(|_| None).collect() };
        let begun: Vec<_> = (0..count).map(|number| etcd.begin(number)).collect();
        begun.into_iter().for_each(await_ready);
        etcd
    }

    fn begin(&mut self, number: usize) -> BufReader<std::process::ChildStdout> {
        let peer = |number: usize| format!("http://127.0.0.1:{}", 2380 + 10 * number);
        let client = endpoint(number);
        let all: Vec<String> =
            (0..self.members.len()).map(|number| format!("e{number}={}", peer(number))).collect();
        let own = peer(number);
        let mut process = self.place.spawn(&format!(
            "etcd --name e{number} --data-dir /run/etcd-{number} --listen-client-urls {client} \
             --advertise-client-urls {client} --listen-peer-urls {own} \
             --initial-advertise-peer-urls {own} --initial-cluster {} --logger zap \
             --log-outputs stdout --log-level info",
            all.join(",")
        ));
        let lines = BufReader::new(process.stdout());
        self.members[number] = Some(process);
        lines
    }

    pub(super) fn kill(&mut self, number: usize) {
        drop(self.members[number].take());
    }

    pub(super) fn restart(&mut self, number: usize) {
        await_ready(self.begin(number));
    }

    pub(super) fn wipe(&self, number: usize) {
        fs::remove_dir_all(format!("/run/etcd-{number}")).unwrap();
    }

    /// What etcdctl prints.
    #[track_caller]
    pub(super) fn ctl(&self, command: &str) -> String {
        let all: Vec<String> = (0..self.members.len()).map(endpoint).collect();
        let command = format!("env ETCDCTL_API=3 etcdctl --endpoints {} {command}", all.join(","));
        self.place.run(&command)
    }
}

fn endpoint(number: usize) -> String {
    format!("http://10.99.0.200:{}", 2379 + 10 * number)
}

fn await_ready(mut lines: BufReader<std::process::ChildStdout>) {
    let (mut line, mut all) = (String::new(), String::new());
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.contains("ready to serve client requests") {
            // It must not be stopped by a full pipe.
            std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
            return;
        }
        all.push_str(&std::mem::take(&mut line));
    }
    panic!("etcd ended:\n{all}");
}

/// Hosts that follow the members of etcd.
pub(super) fn followers<'lab>(lab: &'lab Lab, hosts: usize, members: usize) -> (Town<'lab>, Etcd) {
    let town = Town::new(lab, hosts, Underlay::V4);
    for number in 1..=hosts {
        town.host(number).run("ip link set dev lo up");
        let folder = format!("/run/root{number}/etc/cais");
        fs::create_dir_all(&folder).unwrap();
        let own = json!({ "underlay": [town.address(number)], "hostName": format!("h{number}") });
        fs::write(format!("{folder}/overlayd.json"), own.to_string()).unwrap();
    }
    let etcd = Etcd::start(&town, members);
    (town, etcd)
}

/// The configuration of network `name` in etcd, which the first host creates.
pub(super) fn by_etcd(name: &str, pool: u8, members: usize) -> Value {
    let endpoints: Vec<String> = (0..members).map(endpoint).collect();
    json!({
        "cniVersion": VERSION, "name": name, "type": "overlay",
        "store": { "type": "etcd", "endpoints": endpoints, "ttl": 5 },
        "create": { "pools": [format!("10.{pool}.0.0/16"), format!("fd{pool}::/48")] },
    })
}

/// Waits until `is_so`.
#[track_caller]
pub(super) fn await_that(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

fn all_reach_all(residents: &[Resident<'_>]) {
    for from in residents {
        for to in residents.iter().filter(|to| to.number != from.number) {
            for address in to.addresses() {
                let ping = format!("ping -c 1 -W 1 {address}");
                await_that(&format!("{} reaches {address}", from.number), || {
                    from.container.try_run(&ping).status.success()
                });
            }
        }
    }
}

#[test]
fn containers_of_two_hosts_reach_each_other_by_what_etcd_says() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 2, 1);
        let config = by_etcd("blue", 77, 1);
        let residents: Vec<_> =
            (1..=2).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        all_reach_all(&residents);
        for resident in &residents {
            resident.check();
            resident.del();
        }
    });
}

#[test]
fn containers_of_five_hosts_reach_each_other_with_three_members_of_etcd() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 5, 3);
        let config = by_etcd("blue", 77, 3);
        let residents: Vec<_> =
            (1..=5).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        all_reach_all(&residents);
    });
}
