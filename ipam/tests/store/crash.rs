//! Writers killed at any moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{env, fs};

use ipam::{Durability, Host, Request, Store};

use crate::fixtures::{Folder, owner, sets};

/// Names the folder that the writer below works in.
const WRITER_FOLDER: &str = "CAIS_TEST_WRITER_FOLDER";
const WRITERS: usize = 4;
const KILLS: usize = 150;

/// What the single call below is to do: `add` or `del`, `table` or `host-local`, an owner.
const CALL: &str = "CAIS_TEST_CALL";

/// The system calls that change something.
const CHANGES: &str =
    "openat,write,pwrite64,linkat,unlink,unlinkat,ftruncate,utimensat,mkdir,flock";

/// One call, for the case that kills it at each of its system calls.
#[test]
#[ignore = "the case below starts it as a process of its own"]
fn one_call() {
    let folder = env::var(WRITER_FOLDER).expect("this is the process that another case kills");
    let call = env::var(CALL).expect("the case says what to do");
    let words: Vec<&str> = call.split(' ').collect();
    let [table, host_local] = stores(Path::new(&folder));
    let store = if words[1] == "table" { table } else { host_local };
    let (owner, host) = (owner(words[2]), Host::current());
    if words[0] == "add" {
        let pool = sets(&[&["10.0.0.0/29"], &["fd00::/125"]]);
        store.allocate(&Request::new(&pool, &owner), &host).unwrap();
    } else {
        store.release(&owner, Durability::Lazy, &host).unwrap();
    }
}

/// Runs one call under strace, killed when it comes to its change number `number`.
fn call_killed_at(number: usize, folder: &Folder, call: &str) -> ExitStatus {
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={CHANGES}:signal=KILL:when={number}"))
        .arg(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::one_call"])
        .env(WRITER_FOLDER, folder.path())
        .env(CALL, call)
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn killed_at_any_system_call_a_call_loses_and_doubles_nothing() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        assert!(env::var_os("CI").is_none(), "install the package strace");
        eprintln!("skipped: the package strace is not installed");
        return;
    }
    for kind in ["table", "host-local"] {
        // Some of the pool is held already; the last name takes three slots.
        for (verb, name) in
            [("add", "new".to_owned()), ("del", "b".to_owned()), ("add", "n".repeat(500))]
        {
            let mut number = 1;
            while killed_once(kind, verb, &name, number) {
                number += 1;
            }
            assert!(number > 10, "{kind} {verb}: only {number} system calls");
        }
    }
}

/// One call killed at its change number `number`; false when it ended before.
fn killed_once(kind: &str, verb: &str, name: &str, number: usize) -> bool {
    let folder = Folder::new();
    let [table, host_local] = stores(folder.path());
    let store = if kind == "table" { table } else { host_local };
    let host = Host::current();
    let pool = sets(&[&["10.0.0.0/29"], &["fd00::/125"]]);
    for name in ["a", "b", "c"] {
        store.allocate(&Request::new(&pool, &owner(name)), &host).unwrap();
    }
    let status = call_killed_at(number, &folder, &format!("{verb} {kind} {name}"));
    let at = format!("{kind} {verb} {} killed at change {number}: {status}", &name[..1]);
    // Whoever was killed is cleaned up by DEL, as runtimes do.
    store.release(&owner(name), Durability::Lazy, &host).unwrap();
    let survivors: Vec<_> = ["a", "b", "c"].into_iter().filter(|kept| *kept != name).collect();
    let held: Vec<_> =
        store.leases(&host).unwrap().into_iter().map(|lease| lease.owner.container).collect();
    let mut expected = [&survivors[..], &survivors[..]].concat();
    expected.sort_unstable();
    let mut sorted = held.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{at}");
    // Everything else can be had: 5 and 6 addresses there are.
    for number in survivors.len()..5 {
        let heir = owner(&format!("heir-{number}"));
        let granted = store.allocate(&Request::new(&pool, &heir), &host);
        assert!(granted.is_ok(), "{at}: {granted:?}");
    }
    let addresses: std::collections::HashSet<_> =
        store.leases(&host).unwrap().into_iter().map(|lease| lease.address).collect();
    assert_eq!(addresses.len(), 10, "{at}");
    if kind == "host-local" {
        let torn = fs::read_dir(folder.directory())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name() != "lock")
            .find(|entry| entry.metadata().unwrap().len() == 0);
        assert!(torn.is_none(), "{at}: {torn:?}");
    }
    status.signal() == Some(9)
}

/// Adds and deletes without end, for the cases that kill it.
#[test]
#[ignore = "the cases below start it as a process of its own"]
fn writer() {
    let folder = env::var(WRITER_FOLDER).expect("this is the process that other cases kill");
    let folder = Path::new(&folder);
    let pool = sets(&[&["10.0.0.0/22"], &["fd00::/120"]]);
    let host = Host::current();
    for number in 0_u64.. {
        // Some names take more slots than one.
        let length = if number % 5 == 0 { 300 } else { 10 };
        let owner = owner(&format!("p{}-{number}-{}", std::process::id(), "x".repeat(length)));
        for store in stores(folder) {
            store.allocate(&Request::new(&pool, &owner), &host).unwrap();
        }
        if number % 2 == 0 {
            for store in stores(folder) {
                store.release(&owner, Durability::Lazy, &host).unwrap();
            }
        }
        if number % 40 == 39 {
            let gone = format!("p{}-", std::process::id());
            for store in stores(folder) {
                let keep = |lease: &ipam::Lease| !lease.owner.container.starts_with(&gone);
                store.gc(&keep, Durability::Lazy, &host).unwrap();
            }
        }
    }
}

fn stores(folder: &Path) -> [Store; 2] {
    [
        Store::table(folder.join("leases/net")),
        Store::host_local(folder.join("networks/net"), folder.join("index/net")),
    ]
}

fn start(folder: &Folder) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::writer"])
        .env(WRITER_FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Each of these kills hits a writer wherever it happens to be: the pace is set by the survivors,
/// one of which must have come further before the next is killed.
#[test]
fn a_storm_of_kills_leaves_both_stores_whole() {
    let folder = Folder::new();
    let pool = sets(&[&["10.0.0.0/22"], &["fd00::/120"]]);
    let host = Host::current();
    let mut writers: Vec<Child> = (0..WRITERS).map(|_| start(&folder)).collect();
    for kill in 0..KILLS {
        let mut victim = std::mem::replace(&mut writers[kill % WRITERS], start(&folder));
        // Work of ours between the kills spreads them over what the victims do.
        let owner = owner(&format!("judge-{kill}"));
        for store in stores(folder.path()) {
            store.allocate(&Request::new(&pool, &owner), &host).unwrap();
            store.release(&owner, Durability::Lazy, &host).unwrap();
        }
        victim.kill().unwrap();
        let status = victim.wait().unwrap();
        assert_eq!(status.code(), None, "a writer failed by itself: {status}");
        // Full pools would stop the writers; the dead hold no more than GC leaves them.
        let dead = format!("p{}-", victim.id());
        for store in stores(folder.path()) {
            let keep = |lease: &ipam::Lease| !lease.owner.container.starts_with(&dead);
            store.gc(&keep, Durability::Lazy, &host).unwrap();
        }
    }
    for mut writer in writers {
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    for store in stores(folder.path()) {
        whole(&store, &host);
    }
}

/// No address twice, every owner found by name, everything can be released, and afterwards the
/// whole pool can be handed out: nothing has leaked.
fn whole(store: &Store, host: &Host) {
    let leases = store.leases(host).unwrap();
    let by_address: HashMap<IpAddr, _> = leases.iter().map(|l| (l.address, &l.owner)).collect();
    assert_eq!(by_address.len(), leases.len(), "{leases:?}");
    for lease in &leases {
        let own = store.leases_of(&lease.owner, host).unwrap();
        assert!(own.contains(lease), "{lease:?} is not among {own:?}");
    }
    for lease in &leases {
        store.release(&lease.owner, Durability::Lazy, host).unwrap();
    }
    assert_eq!(store.leases(host).unwrap(), []);
    assert_eq!(store.held(host).unwrap(), 0);
    let pool = sets(&[&["fd00::/120"]]);
    for number in 0..254 {
        let owner = owner(&format!("all-{number}"));
        store.allocate(&Request::new(&pool, &owner), host).unwrap();
    }
    assert_eq!(store.held(host).unwrap(), 254);
}
