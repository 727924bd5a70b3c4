//! A case's private world, and eyes that are not ours.

use std::process::Command;

use kernel::link::{self, Dev};
use kernel::netlink::{Request, Socket};
use kernel::netns::Netns;
use serde_json::Value;
use types::{Cidr, IfName, MacAddr};

const INSIDE: &str = "KERNEL_TEST_INSIDE";

/// Runs `case` alone, in a process and namespaces of its own.
#[track_caller]
pub(crate) fn isolated(case: impl FnOnce()) {
    isolated_under(&[], case);
}

/// The same as PID 1 of a PID namespace. A case reaps nobody but the children it waits for.
#[track_caller]
pub(crate) fn isolated_as_pid_1(case: impl FnOnce()) {
    isolated_under(&["-p", "-f", "--mount-proc"], case);
}

/// This test's process starts itself again under unshare(1), for this one test.
#[track_caller]
fn isolated_under(more: &[&str], case: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        prepare();
        return case();
    }
    let name = std::thread::current().name().expect("libtest names its threads").to_owned();
    let root = nix::unistd::geteuid().is_root();
    let output = Command::new("unshare")
        .args(if root { ["-n", "-m"].as_slice() } else { &["-U", "-r", "-n", "-m"] })
        .args(more)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare(1) of util-linux is needed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    // A renamed case would run nothing, and nothing succeeds.
    assert!(out.contains("running 1 test"), "no test is called {name}\n{out}{err}");
    assert!(output.status.success(), "{name} {}\n{out}\n{err}", output.status);
    for line in out.lines().filter(|line| line.starts_with("skipped")) {
        println!("{line}");
    }
}

/// `/run` is empty and writable, and `/sys` shows the namespace's own links.
fn prepare() {
    kernel::mount::tmpfs("/run".as_ref()).unwrap();
    kernel::mount::sysfs("/sys".as_ref()).unwrap();
}

/// What iproute2 says: `ip("-d link show dev eth0")`, in the calling thread's namespace.
#[track_caller]
pub(crate) fn ip(arguments: &str) -> Value {
    json("ip", arguments)
}

/// The same in another namespace.
pub(crate) fn ip_in(netns: &Netns, arguments: &str) -> Value {
    netns.run(|| ip(arguments)).unwrap()
}

/// What bridge(8) says.
#[track_caller]
pub(crate) fn bridge(arguments: &str) -> Value {
    json("bridge", arguments)
}

#[track_caller]
fn json(tool: &str, arguments: &str) -> Value {
    let output = Command::new(tool).arg("-j").args(arguments.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments}: {said}");
    match text.trim() {
        "" => Value::Array(Vec::new()),
        text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")),
    }
}

/// The one link that `ip -d link show dev NAME` finds.
#[track_caller]
pub(crate) fn ip_link(name: &str) -> Value {
    ip(&format!("-d link show dev {name}"))[0].clone()
}

/// Names of all links but `lo`.
pub(crate) fn link_names() -> Vec<String> {
    let links = ip("link show");
    let names = links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap());
    names.filter(|&name| name != "lo").map(str::to_owned).collect()
}

/// Runs `request`. `false`, with a line that names it, when this kernel lacks `feature`.
#[track_caller]
pub(crate) fn available(socket: &Socket, request: &Request, feature: &str) -> bool {
    match socket.run(request) {
        Ok(()) => true,
        Err(error) if error.is_unsupported() => {
            println!("skipped: this kernel has no {feature}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn here() -> Socket {
    Socket::open("the test's namespace").unwrap()
}

/// The link called `name`, as we see it.
#[track_caller]
pub(crate) fn dev(socket: &Socket, name: &str) -> Dev {
    link::get(socket, &self::name(name)).unwrap().dev
}

pub(crate) fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(crate) fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}
