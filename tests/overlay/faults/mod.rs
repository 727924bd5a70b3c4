//! Everything that goes wrong around a network, while a packet each 5 ms goes from one container to
//! another: none may be lost but by what takes the way itself, and that comes back soon.
//!
//! Each fault prints one line, which `cargo xtask bench overlay-faults` makes a table of.

mod crowd;
mod daemon;
mod host;
mod store;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netns_fixtures::{Etcd, Lab, Namespace, Process, lab_with_plugins};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::agent::{STORE, await_that, by_etcd, followers, pause};
use super::command::prints;
use super::{Resident, Town};

/// Presence in these towns, see [`by_etcd`].
const TTL: Duration = Duration::from_secs(5);

/// Packets each 5 ms from one container to another.
struct Stream {
    ping: Process,
    answers: JoinHandle<Answers>,
}

/// What ping(8) said.
#[derive(Default)]
struct Answers {
    /// When an answer came, in seconds.
    at: Vec<f64>,
    /// All lines that are none.
    rest: String,
}

/// What became of them.
#[derive(Debug)]
struct Counted {
    sent: u32,
    lost: u32,
    /// The longest time between two answers.
    silence: Duration,
}

impl Stream {
    fn begin(from: &Resident<'_>, to: &Resident<'_>) -> Self {
        let address = to.addresses()[0];
        let mut ping = from.container.spawn(&format!("ping -D -i 0.005 -W 1 {address}"));
        let said = ping.stdout();
        let stream = Self { ping, answers: std::thread::spawn(move || Answers::read(said)) };
        pause(Duration::from_millis(100));
        stream
    }

    /// Ends it, and prints the line of the fault: what it was, and what took how long to be as before.
    #[track_caller]
    fn end(self, fault: &str, again: Option<(Duration, &str)>) -> Counted {
        // What was sent last may be on its way.
        pause(Duration::from_millis(200));
        let id = i32::try_from(self.ping.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
        let answers = self.answers.join().unwrap();
        let number = |word: &str| {
            let before = answers.rest.split(word).next().unwrap_or_default();
            let digits = before.rsplit([' ', '\n']).find(|word| !word.is_empty());
            digits.and_then(|digits| digits.parse::<u32>().ok())
        };
        let (Some(sent), Some(received)) = (number(" packets transmitted"), number(" received"))
        else {
            panic!("ping said {:?}", answers.rest);
        };
        let gaps = answers.at.windows(2).map(|two| two[1] - two[0]);
        let silence = Duration::from_secs_f64(gaps.fold(0.0, f64::max));
        // The last one may have been sent right before the end.
        let counted = Counted { sent, lost: sent.saturating_sub(received + 1), silence };
        tell(fault, Some(&counted), again);
        assert!(counted.sent > 20, "{fault}: {counted:?}");
        counted
    }

    #[track_caller]
    fn ends_without_loss(self, fault: &str, again: Option<(Duration, &str)>) {
        let counted = self.end(fault, again);
        assert_eq!(counted.lost, 0, "{fault}: {counted:?}");
    }
}

impl Answers {
    fn read(said: ChildStdout) -> Self {
        let mut answers = Self::default();
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            let at = line.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse().ok());
            match at.filter(|_| line.contains("icmp_seq=") && line.contains("time=")) {
                Some(at) => answers.at.push(at),
                None => {
                    answers.rest.push_str(&line);
                    answers.rest.push('\n');
                }
            }
        }
        answers
    }
}

/// Prints the line of a fault: `fault: what | lost of sent | ms | ms until …`.
fn tell(fault: &str, counted: Option<&Counted>, again: Option<(Duration, &str)>) {
    let ms = |time: Duration| time.as_millis();
    let traffic = counted.map_or("– | –".to_owned(), |counted| {
        format!("{} of {} | {}", counted.lost, counted.sent, ms(counted.silence))
    });
    let again = again.map_or("–".to_owned(), |(took, what)| format!("{} ms {what}", ms(took)));
    // The test runner leaves the line unfinished on which it names the case.
    println!("\nfault: {fault} | {traffic} | {again}");
}

/// Two hosts with a container each that reach each other.
fn case(members: usize, act: impl Fn(&Lab, &Town<'_>, &mut Etcd, &[Resident<'_>])) {
    with_hosts((2, 2), members, act);
}

/// So many hosts, and containers on the first of them, of which two reach each other.
fn with_hosts(
    (hosts, count): (usize, usize),
    members: usize,
    act: impl Fn(&Lab, &Town<'_>, &mut Etcd, &[Resident<'_>]),
) {
    lab_with_plugins(|lab| {
        let (town, mut etcd) = followers(lab, hosts, members);
        let config = by_etcd("blue", 77, members);
        let residents: Vec<_> = (1..=count)
            .map(|number| town.resident(number, &format!("c{number}"), &config))
            .collect();
        let _logs = Logs;
        await_ping(&residents[0], &residents[1]);
        await_ping(&residents[1], &residents[0]);
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

/// Claims that `act`, of which something takes a while, costs no packet and no block, and that the first
/// host has what it had of its peers.
#[track_caller]
fn leaves_all_as_it_was(
    (town, etcd, residents): (&Town<'_>, &Etcd, &[Resident<'_>]),
    fault: &str,
    act: impl FnOnce() -> (Duration, &'static str),
) {
    let (blocks, before) = (etcd.keys("blocks/"), entries(town.host(1)));
    let stream = Stream::begin(&residents[0], &residents[1]);
    let again = act();
    another(town, 1, "after", &by_etcd("blue", 77, 1));
    assert_eq!((etcd.keys("blocks/"), entries(town.host(1))), (blocks, before));
    stream.ends_without_loss(fault, Some(again));
}

/// The control socket of the host `number`.
fn socket(number: usize) -> String {
    format!("/run/root{number}/run/cais/overlay.sock")
}

/// The daemon of the host `number`.
#[track_caller]
pub(super) fn daemon(number: usize) -> Pid {
    let socket = socket(number);
    // Other labs have daemons at such paths, too.
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let is_it = |pid: &&str| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("overlayd\0serve") && line.contains(&socket) && mounts(pid) == mounts("self")
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let names: Vec<_> = processes.map(|entry| entry.file_name()).collect();
    let pid = names.iter().filter_map(|name| name.to_str()).find(is_it);
    let pid = pid.and_then(|pid| pid.parse().ok());
    Pid::from_raw(pid.unwrap_or_else(|| panic!("no daemon at {socket}")))
}

/// Ends the daemon of the host `number`.
#[track_caller]
fn end_daemon(number: usize, by: Signal) {
    let pid = daemon(number);
    kill(pid, by).unwrap();
    // Some machines have a first process that looks for orphans once a second only.
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    await_that("it is gone", || stat().is_empty() || stat().contains(") Z "));
}

/// What the daemon of a host says of itself; started where none runs.
#[track_caller]
fn status(town: &Town<'_>, number: usize) -> Value {
    let said = prints(town, number, "status --json");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Waits until the daemon of a host is in touch with etcd.
#[track_caller]
fn await_store(town: &Town<'_>, number: usize) -> Duration {
    await_that("etcd is there for the daemon", || status(town, number)["store"]["state"] == "ready")
}

/// Another container on a host, gone again.
#[track_caller]
fn another(town: &Town<'_>, number: usize, name: &str, config: &Value) {
    let resident = town.resident(number, name, config);
    resident.del();
    resident.container.remove();
}

/// Cuts a host off from an address, until [`join`].
fn cut(host: &Namespace, address: &str) {
    host.run("nft add table inet cut");
    for (chain, way) in [("input", "saddr"), ("output", "daddr")] {
        let hook = format!("{{ type filter hook {chain} priority 0 ; }}");
        host.run(&format!("nft add chain inet cut {chain} {hook}"));
        host.run(&format!("nft add rule inet cut {chain} ip {way} {address} drop"));
    }
}

fn join(host: &Namespace) {
    host.run("nft delete table inet cut");
}

/// The name of the only device that `ip -o link` shows.
#[track_caller]
fn device_of(host: &Namespace) -> String {
    let shown = host.run("ip -o link show type vxlan");
    let name = shown.split(": ").nth(1).unwrap_or_default().trim().to_owned();
    assert!(name.starts_with("ov-"), "{shown}");
    name
}

/// Everything that a host has of its peers, for comparing.
fn entries(host: &Namespace) -> String {
    let device = device_of(host);
    let mut all: Vec<String> = [
        "ip -4 route show proto 202",
        "ip -6 route show proto 202",
        &format!("ip neigh show dev {device} nud permanent"),
        &format!("bridge fdb show dev {device}"),
    ]
    .iter()
    .flat_map(|command| host.run(command).lines().map(str::to_owned).collect::<Vec<_>>())
    .collect();
    all.sort();
    all.join("\n")
}
