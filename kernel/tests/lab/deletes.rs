use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kernel::link::{self, Bridge, Deleted, Deleter, Veth};
use kernel::netlink::Socket;
use kernel::netns::{self, Netns};

use crate::isolation::{dev, here, ip_in, isolated, isolated_as_pid_1, link_names, name};

pub(crate) const RECORD: &str = "/run/cais/deleter";

/// A pair `veth0` here, `eth0` in `container`, the near end a port of `br0`.
fn attach(host: &Socket, container: &Netns) {
    let veth = Veth::new(name("veth0"), name("eth0")).up().peer_netns(container);
    host.run(&veth.master(&dev(host, "br0")).create()).unwrap();
}

/// Processes called `cais-deleter` and their state letters.
pub(crate) fn deleters() -> Vec<(PathBuf, char)> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        if let Some((_, rest)) = stat.split_once("(cais-deleter) ") {
            found.push((process.path(), rest.chars().next().unwrap()));
        }
    }
    found
}

/// Reaps until no deleter of this process is left.
fn settle() {
    let deadline = Instant::now() + Duration::from_secs(10);
    let me = std::process::id().to_string();
    let ours = |path: &Path| {
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&me))
    };
    while deleters().iter().any(|(path, _)| ours(path)) {
        link::reap();
        assert!(Instant::now() < deadline, "a deleter never ends: {:?}", deleters());
        std::thread::yield_now();
    }
}

pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_detached_delete_leaves_nothing_on_either_side() {
    isolated(|| {
        let (host, container) = (here(), netns::create_unnamed().unwrap());
        host.run(&Bridge::new(name("br0")).up().create()).unwrap();
        // The record is removed each time, so that each delete is detached, as in a new process.
        let deleter = Deleter::detached(RECORD);
        let before = open_files();
        for round in 0..200 {
            attach(&host, &container);
            let deleted = if round % 2 == 0 {
                deleter.delete(&host, &name("veth0"), &[]).unwrap()
            } else {
                container.run(delete_from_inside).unwrap()
            };
            assert_eq!(deleted, Deleted::Now);
            assert_eq!(link_names(), ["br0"], "round {round}");
            assert!(!Path::new("/sys/class/net/veth0").exists(), "round {round}");
            let child = fs::read_to_string(RECORD).unwrap();
            assert!(child.starts_with("unproven ") && !child.contains(" 0 "), "{child}");
            let lo = ip_in(&container, "link show");
            assert_eq!(lo.as_array().unwrap().len(), 1, "round {round}: {lo}");
            let _ = fs::remove_file(RECORD);
        }
        settle();
        assert_eq!(open_files(), before);
    });
}

/// A delete of `eth0` from within its namespace.
fn delete_from_inside() -> Deleted {
    let inside = here();
    Deleter::detached(RECORD).delete(&inside, &name("eth0"), &[]).unwrap()
}

#[test]
fn deleting_by_index_and_what_is_not_there() {
    isolated(|| {
        let (host, container) = (here(), netns::create_unnamed().unwrap());
        host.run(&Bridge::new(name("br0")).create()).unwrap();
        attach(&host, &container);
        let veth0 = dev(&host, "veth0");
        for deleter in [Deleter::detached(RECORD), Deleter::waiting()] {
            assert_eq!(deleter.delete(&host, &name("nosuch"), &[]).unwrap(), Deleted::Before);
        }
        settle();
        assert_eq!(Deleter::detached(RECORD).delete(&host, &veth0, &[]).unwrap(), Deleted::Now);
        assert_eq!(Deleter::detached(RECORD).delete(&host, &veth0, &[]).unwrap(), Deleted::Before);
        assert_eq!(Deleter::waiting().delete(&host, &name("br0"), &[]).unwrap(), Deleted::Now);
        assert_eq!(link_names(), [""; 0]);
        // What the kernel refuses is refused either way.
        settle();
        for deleter in [Deleter::detached(RECORD), Deleter::waiting()] {
            let error = deleter.delete(&host, &name("lo"), &[]).unwrap_err();
            assert!(error.to_string().starts_with("delete link lo in the test's"), "{error}");
        }
    });
}

#[test]
fn the_child_holds_its_socket_and_what_it_was_given_and_nothing_else() {
    isolated(|| {
        let (host, container) = (here(), netns::create_unnamed().unwrap());
        host.run(&Bridge::new(name("br0")).create()).unwrap();
        let held = fs::File::open("/etc/passwd").unwrap();
        // The child lives for one RCU grace period; look until it was seen with its files.
        for _ in 0..100 {
            settle();
            let _ = fs::remove_file(RECORD);
            attach(&host, &container);
            Deleter::detached(RECORD).delete(&host, &name("veth0"), &[held.as_fd()]).unwrap();
            // `unproven FORKER CHILD`; looking for it in all of /proc would take too long.
            let record = fs::read_to_string(RECORD).unwrap();
            let child = record.split_ascii_whitespace().nth(2).unwrap();
            let Ok(files) = fs::read_dir(Path::new("/proc").join(child).join("fd")) else {
                continue;
            };
            let mut targets: Vec<String> = files
                .flatten()
                .filter_map(|file| fs::read_link(file.path()).ok())
                .map(|target| target.display().to_string())
                .collect();
            targets.sort();
            match &targets[..] {
                [file, socket] if socket.starts_with("socket:[") => {
                    return assert_eq!(file, "/etc/passwd");
                }
                [] | [_] => {} // it is exiting
                more => panic!("{more:?}"),
            }
        }
        panic!("no child was seen at work in 100 deletes");
    });
}

#[test]
fn where_nobody_reaps_one_zombie_stays_and_deletes_wait() {
    isolated_as_pid_1(|| {
        // This test is PID 1 and waits for the processes it starts, not for their orphans.
        assert_eq!(std::process::id(), 1);
        let host = here();
        for round in 0..40 {
            host.run(&Veth::new(name("a"), name("b")).create()).unwrap();
            let output = link_del("a").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(link_names(), [""; 0], "round {round}");
            assert!(deleters().len() <= 1, "round {round}: {:?}", deleters());
        }
        // Forty deletes that each wait for RCU take longer than any reaper may.
        let verdict = link::not_reaped(RECORD.as_ref()).expect("the zombie was noticed");
        assert!(verdict.starts_with("process 1 ("), "{verdict}");
        assert!(verdict.contains("does not reap its children"), "{verdict}");
        assert_eq!(deleters().len(), 1);
    });
}

#[test]
fn concurrent_deletes_where_nobody_reaps_leave_one_zombie() {
    isolated_as_pid_1(|| {
        let host = here();
        for round in 0..5 {
            let names: Vec<String> = (0..12).map(|n| format!("a{n}")).collect();
            let pairs: Vec<_> = names
                .iter()
                .map(|near| Veth::new(name(near), name(&near.replace('a', "b"))).create())
                .collect();
            host.run_all(&pairs).unwrap();
            let all: Vec<_> = names.iter().map(|near| link_del(near).spawn().unwrap()).collect();
            for child in all {
                assert!(child.wait_with_output().unwrap().status.success());
            }
            assert_eq!(link_names(), [""; 0], "round {round}");
            assert!(deleters().len() <= 1, "round {round}: {:?}", deleters());
        }
    });
}

#[test]
fn where_orphans_are_reaped_deletes_stay_detached() {
    isolated(|| {
        // A shell reaps whatever it adopts, and --fork makes it PID 1.
        let script = "set -e; i=0; while [ $i -lt 10 ]; do i=$((i+1)); \
                      ip link add veth0 type veth peer name veth1; \
                      \"$0\" \"$@\"; done >&2; cat /run/cais/deleter";
        let shell = ["-p", "-f", "--mount-proc", "sh", "-c", script];
        let output = link_del_under(&shell, "veth0").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let record = String::from_utf8_lossy(&output.stdout);
        assert!(record.starts_with("reaped "), "{record}");
        assert_eq!(link::not_reaped(RECORD.as_ref()), None);
    });
}

#[test]
fn without_the_right_to_the_namespace_the_hint_says_what_is_needed() {
    isolated(|| {
        here().run(&Veth::new(name("a"), name("b")).create()).unwrap();
        // In a user namespace of its own a process has no rights over the outer network.
        let output = link_del_under(&["-U"], "a").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        let text = "delete link a in the test's namespace: EPERM: Operation not permitted\n\
                    hint: CAP_NET_ADMIN over this network namespace is needed";
        assert!(said.contains(text), "{said}");
        assert_eq!(link_names(), ["b", "a"]);
    });
}

/// Says to this test binary that it is to be a program which deletes the link named here.
const LINK_DEL: &str = "KERNEL_TEST_LINK_DEL";

/// This binary as a program that deletes `link` and exits at once, as a plugin does.
fn link_del(link: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "deletes::a_program_deletes_a_link_and_exits", "--nocapture"])
        .env(LINK_DEL, link)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The same program, started by unshare(1).
fn link_del_under(arguments: &[&str], link: &str) -> Command {
    let program = link_del(link);
    let mut command = Command::new("unshare");
    command
        .args(arguments)
        .arg(program.get_program())
        .args(program.get_args())
        .env(LINK_DEL, link)
        .env("RUST_BACKTRACE", "0");
    command
}

#[test]
fn a_program_deletes_a_link_and_exits() {
    let Ok(link) = std::env::var(LINK_DEL) else {
        return isolated(|| {
            here().run(&Veth::new(name("a"), name("b")).create()).unwrap();
            assert!(link_del("a").status().unwrap().success());
            assert!(!link_del("a").status().unwrap().success());
        });
    };
    match Deleter::detached(RECORD).delete(&here(), &name(&link), &[]) {
        Ok(deleted) => assert_eq!(deleted, Deleted::Now),
        Err(error) => panic!("{error}\nhint: {}", error.hint().unwrap_or_default()),
    }
}
