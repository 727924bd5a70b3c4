//! A case's private world, and eyes that are not ours.

use std::process::Command;

use kernel::netns::Netns;
use serde_json::Value;

const INSIDE: &str = "KERNEL_TEST_INSIDE";

/// Runs `case` alone: this test's process starts itself again under unshare(1) for this one test.
#[track_caller]
pub(crate) fn isolated(case: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        prepare();
        return case();
    }
    let name = std::thread::current().name().expect("libtest names its threads").to_owned();
    let root = nix::unistd::geteuid().is_root();
    let output = Command::new("unshare")
        .args(if root { ["-n", "-m"].as_slice() } else { &["-U", "-r", "-n", "-m"] })
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
    print!("{}", out.lines().filter(|line| line.starts_with("skipped")).collect::<String>());
}

/// `/run` is empty and writable, and `/sys` shows the namespace's own links.
fn prepare() {
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).unwrap();
}

/// What iproute2 says: `ip("-d link show dev eth0")`, in the calling thread's namespace.
pub(crate) fn ip(arguments: &str) -> Value {
    let output = Command::new("ip").arg("-j").args(arguments.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    match text.trim() {
        "" => Value::Array(Vec::new()),
        text => serde_json::from_str(text).unwrap(),
    }
}

/// The same in another namespace.
pub(crate) fn ip_in(netns: &Netns, arguments: &str) -> Value {
    netns.run(|| ip(arguments)).unwrap()
}

/// The one link that `ip -d link show dev NAME` finds.
pub(crate) fn ip_link(name: &str) -> Value {
    ip(&format!("-d link show dev {name}"))[0].clone()
}

/// Names of all links but `lo`.
pub(crate) fn link_names() -> Vec<String> {
    let links = ip("link show");
    let names = links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap());
    names.filter(|&name| name != "lo").map(str::to_owned).collect()
}

/// Says that the running kernel lacks something. `cargo test -- --nocapture` shows it.
pub(crate) fn skip(feature: &str) {
    println!("skipped: this kernel has no {feature}");
}
