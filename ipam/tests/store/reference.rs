//! One directory used by us and by the reference plugin at the same time.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::{env, fs, thread};

use ipam::{Durability, Host, Request, Store};

use crate::fixtures::{Folder, ip, owner, sets};

/// Calls in all, half of them ours.
const CALLS: usize = 10_000;
const GO_THREADS: usize = 2;
const OUR_THREADS: usize = 2;

/// The reference plugin; `None`, with the reason, where it is not installed.
fn reference() -> Option<PathBuf> {
    let path = Path::new("/usr/lib/cni/host-local");
    if path.exists() {
        return Some(path.to_owned());
    }
    assert!(env::var_os("CI").is_none(), "install the package containernetworking-plugins");
    eprintln!("skipped: the package containernetworking-plugins is not installed");
    None
}

fn go(plugin: &Path, verb: &str, container: &str, folder: &Folder) -> Result<String, String> {
    let config = format!(
        r#"{{"cniVersion":"1.0.0","name":"net","type":"bridge","ipam":{{"type":"host-local",
            "dataDir":"{}","ranges":[[{{"subnet":"10.0.0.0/24"}}],[{{"subnet":"fd00::/120"}}]]}}}}"#,
        folder.path().join("networks").display()
    );
    let mut child = Command::new(plugin)
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", container)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_NETNS", "/var/run/netns/none")
        .env("CNI_PATH", "/usr/lib/cni")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if output.status.success() { Ok(text) } else { Err(text) }
}

/// The addresses in what the reference plugin answered to ADD.
fn addresses(answer: &str) -> Vec<String> {
    answer
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"address\": \""))
        .filter_map(|rest| Some(rest.split_once('/')?.0.to_owned()))
        .collect()
}

/// Who has which address at this moment. Entered when an answer is there, removed before DEL is
/// asked for, so two entries for one address are two leases.
#[derive(Default)]
struct Held(Mutex<HashMap<String, String>>);

impl Held {
    fn enter(&self, container: &str, addresses: &[String]) {
        let mut held = self.0.lock().unwrap();
        for address in addresses {
            if let Some(other) = held.insert(address.clone(), container.to_owned()) {
                panic!("{address} was given to {container} while {other} holds it");
            }
        }
    }

    fn leave(&self, addresses: &[String]) {
        let mut held = self.0.lock().unwrap();
        addresses.iter().for_each(|address| drop(held.remove(address)));
    }
}

#[test]
fn no_address_is_leased_twice_while_both_add_and_delete() {
    let Some(plugin) = reference() else { return };
    let folder = Folder::new();
    let held = Held::default();
    thread::scope(|scope| {
        for number in 0..GO_THREADS {
            let (plugin, folder, held) = (&plugin, &folder, &held);
            scope.spawn(move || {
                churn(&format!("go{number}"), CALLS / 4 / GO_THREADS, held, |verb, id| {
                    addresses(&go(plugin, verb, id, folder).unwrap())
                });
            });
        }
        for number in 0..OUR_THREADS {
            let (folder, held) = (&folder, &held);
            scope.spawn(move || {
                let store = folder.host_local();
                churn(&format!("cais{number}"), CALLS / 4 / OUR_THREADS, held, |verb, id| {
                    ours(&store, verb, id)
                });
            });
        }
    });
    let left = folder.host_local().leases(&Host::current()).unwrap();
    assert_eq!(left, [], "every lease was deleted");
}

fn ours(store: &Store, verb: &str, id: &str) -> Vec<String> {
    let pool = sets(&[&["10.0.0.0/24"], &["fd00::/120"]]);
    let (owner, host) = (owner(id), Host::current());
    if verb == "ADD" {
        let grants = store.allocate(&Request::new(&pool, &owner), &host).unwrap();
        return grants.iter().map(|grant| grant.address.ip().to_string()).collect();
    }
    let ended = store.release(&owner, Durability::Lazy, &host).unwrap();
    assert_eq!(ended.len(), 2, "{id} holds one address of each set");
    Vec::new()
}

/// `pairs` times ADD and DEL, with up to twelve leases held in between.
fn churn(name: &str, pairs: usize, held: &Held, call: impl Fn(&str, &str) -> Vec<String>) {
    let mut mine: Vec<(String, Vec<String>)> = Vec::new();
    for number in 0..pairs + 12 {
        if number < pairs {
            let id = format!("{name}-{number}");
            let addresses = call("ADD", &id);
            assert_eq!(addresses.len(), 2, "{id}: {addresses:?}");
            held.enter(&id, &addresses);
            mine.push((id, addresses));
        }
        if number >= 12 && !mine.is_empty() {
            let (id, addresses) = mine.remove(number % mine.len());
            held.leave(&addresses);
            call("DEL", &id);
        }
    }
    for (id, addresses) in mine {
        held.leave(&addresses);
        call("DEL", &id);
    }
}

#[test]
fn each_continues_and_deletes_what_the_other_began() {
    let Some(plugin) = reference() else { return };
    let folder = Folder::new();
    let store = folder.host_local();
    let host = Host::current();
    assert_eq!(addresses(&go(&plugin, "ADD", "c1", &folder).unwrap()), ["10.0.0.2", "fd00::2"]);
    assert_eq!(ours(&store, "ADD", "c2"), ["10.0.0.3", "fd00::3"]);
    assert_eq!(addresses(&go(&plugin, "ADD", "c3", &folder).unwrap()), ["10.0.0.4", "fd00::4"]);
    let refused = go(&plugin, "ADD", "c2", &folder).unwrap_err();
    assert!(refused.contains("duplicate allocation is not allowed"), "{refused}");
    let pool = sets(&[&["10.0.0.0/24"]]);
    let refused = store.allocate(&Request::new(&pool, &owner("c3")), &host).unwrap_err();
    assert!(refused.to_string().contains("duplicate allocation is not allowed"), "{refused}");
    go(&plugin, "DEL", "c2", &folder).unwrap();
    ours(&store, "DEL", "c1");
    ours(&store, "DEL", "c3");
    assert_eq!(store.leases(&host).unwrap(), []);
    let cursor = fs::read_to_string(folder.directory().join("last_reserved_ip.0")).unwrap();
    assert_eq!(cursor, "10.0.0.4");
    assert_eq!(ours(&store, "ADD", "c5")[0].parse(), Ok(ip("10.0.0.5")));
}
