//! Closing a socket of netfilter without waiting for RCU, judged by nft(8).

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kernel::link::{self, Deleter};
use kernel::netlink::Socket;
use kernel::nft::{Batch, Element, Field, Key, Set, Table};

use crate::deletes::{RECORD, deleters, open_files};
use crate::isolation::{isolated, isolated_as_pid_1};

const TABLE: Table = Table::inet("demo");
const HOSTS: Set = Set::new("hosts", &[Field::Ipv4]);

fn host(last: u8) -> Element {
    Element::new(Key::new().v4([10, 1, 0, last].into()))
}

/// A set of hosts 1 to `last`.
fn fill(last: u8) {
    let socket = Socket::open_netfilter("the test's namespace").unwrap();
    let mut batch = Batch::new();
    batch.add_table(&TABLE, "of a test");
    batch.add_set(&TABLE, &HOSTS);
    batch.add_elements(&TABLE, &HOSTS, &(1..=last).map(host).collect::<Vec<_>>());
    batch.commit(&socket).unwrap();
}

fn delete(socket: &Socket, last: u8) {
    let mut batch = Batch::new();
    batch.del_element(&TABLE, &HOSTS, &host(last));
    batch.commit(socket).unwrap();
}

/// How many hosts nft(8) still sees.
fn hosts() -> usize {
    let output = Command::new("nft").args(["list", "set", "inet", "demo", "hosts"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).matches("10.1.0.").count()
}

/// Reaps until the record names no child of this process any more.
fn until_reaped() {
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::exists(RECORD).unwrap() {
        link::reap();
        assert!(Instant::now() < deadline, "a child never ends: {:?}", deleters());
        std::thread::yield_now();
    }
}

#[test]
fn a_socket_closed_later_is_closed_here_at_once_and_the_child_is_named_and_ends() {
    isolated(|| {
        fill(40);
        let before = open_files();
        for round in 1..=20 {
            let socket = Socket::open_netfilter("the test's namespace").unwrap();
            delete(&socket, round);
            Deleter::detached(RECORD).close_later(vec![socket]);
            assert_eq!(open_files(), before, "round {round}");
            let record = fs::read_to_string(RECORD).unwrap();
            assert!(record.starts_with("unproven ") && !record.contains(" 0 "), "{record}");
            until_reaped();
        }
        assert_eq!(hosts(), 20);
    });
}

#[test]
fn one_who_waits_closes_a_socket_without_a_child() {
    isolated(|| {
        fill(2);
        let before = open_files();
        let socket = Socket::open_netfilter("the test's namespace").unwrap();
        delete(&socket, 1);
        Deleter::waiting().close_later(vec![socket]);
        assert_eq!((open_files(), hosts()), (before, 1));
        assert!(!fs::exists(RECORD).unwrap());
    });
}

#[test]
fn where_orphans_are_reaped_sockets_stay_closed_later() {
    isolated(|| {
        fill(11);
        // A shell reaps whatever it adopts, and --fork makes it PID 1.
        let script = "set -e; i=0; while [ $i -lt 10 ]; do i=$((i+1)); \
                      KERNEL_TEST_ELEMENT_DEL=$i \"$0\" \"$@\"; done >&2; cat /run/cais/deleter";
        let program = element_del(0);
        let output = Command::new("unshare")
            .args(["-p", "-f", "--mount-proc", "sh", "-c", script])
            .arg(program.get_program())
            .args(program.get_args())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let record = String::from_utf8_lossy(&output.stdout);
        assert!(record.starts_with("reaped "), "{record}");
        assert_eq!(link::not_reaped(RECORD.as_ref()), None);
        assert_eq!(hosts(), 1);
    });
}

#[test]
fn where_nobody_reaps_one_zombie_stays_and_closes_wait() {
    isolated_as_pid_1(|| {
        fill(41);
        for round in 1..=40 {
            let output = element_del(round).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(hosts(), 41 - usize::from(round));
            assert!(deleters().len() <= 1, "round {round}: {:?}", deleters());
        }
        let verdict = link::not_reaped(RECORD.as_ref()).expect("the zombie was noticed");
        assert!(verdict.starts_with("process 1 ("), "{verdict}");
        assert_eq!(deleters().len(), 1);
    });
}

/// Says to this test binary that it is to be a program which deletes the host with this number.
const ELEMENT_DEL: &str = "KERNEL_TEST_ELEMENT_DEL";
/// Says that it is to wait.
const WAITING: &str = "KERNEL_TEST_WAITING";

/// This binary as a program that deletes one element and exits at once, as a plugin does.
fn element_del(last: u8) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "closes::a_program_deletes_an_element_and_exits", "--nocapture"])
        .env(ELEMENT_DEL, last.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

#[test]
fn a_program_deletes_an_element_and_exits() {
    let Ok(last) = std::env::var(ELEMENT_DEL) else {
        return isolated(|| {
            fill(3);
            // `output` waits for the end of the stream, which no child may hold open.
            assert!(element_del(1).output().unwrap().status.success());
            assert_eq!(hosts(), 2);
            assert!(!element_del(1).output().unwrap().status.success(), "it is gone");
        });
    };
    let socket = Socket::open_netfilter("the test's namespace").unwrap();
    delete(&socket, last.parse().unwrap());
    match std::env::var_os(WAITING) {
        Some(_) => Deleter::waiting().close_later(vec![socket]),
        None => Deleter::detached(RECORD).close_later(vec![socket]),
    }
}
