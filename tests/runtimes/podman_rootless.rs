//! Podman of an ordinary user, on a network of its own: plugins run as root of a user namespace, in
//! a network namespace that slirp4netns connects, and see a `/run` and a `/var/lib` of their own.
//! Podman's `rootlessport` takes what comes to published ports of the host into that namespace.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use netns_fixtures::{Feature, Lab, Namespace, lab_with_plugins, skip};

use super::stage::{GREETING, ROOTFS, Stage, install, write};
use crate::echo::{Protocol, ask, assert_answers, serve};
use crate::under_test::only_ours;
use crate::uplink::{HOST, lan};

/// An ordinary user of the host.
#[derive(Clone, Copy)]
struct User {
    name: &'static str,
    /// One that belongs to nobody.
    number: &'static str,
    /// The first of those that the user may give to containers.
    numbers_of_containers: u32,
    /// Below what Podman does not hide from plugins.
    home: &'static str,
    runtime_directory: &'static str,
    /// Podman puts files for names into it.
    rootfs: &'static str,
}

const USER: User = User {
    name: "lab",
    number: "4242",
    numbers_of_containers: 200_000,
    home: "/opt/home",
    runtime_directory: "/run/user/4242",
    rootfs: ROOTFS,
};
const NEIGHBOUR: User = User {
    name: "neighbour",
    number: "4243",
    numbers_of_containers: 300_000,
    home: "/opt/neighbour",
    runtime_directory: "/run/user/4243",
    rootfs: "/run/lab/neighbour",
};
/// Of the users, read before anything is hidden.
const CONFIG: &str = "/opt/containers.conf";
const STORAGE: &str = "/opt/storage.conf";
const GATEWAY: [&str; 2] = ["10.1.0.1", "fd01::1"];
const OUTSIDE: u16 = 8080;

#[test]
fn podman_without_root_publishes_ports_and_leaves_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not serve [::1]");
        let (podman, lan) = Rootless::ready(lab);
        let publish = ["--publish", "8080:80/tcp", "--publish", "8080:80/udp"];
        let server = podman.started("server", &publish);
        let sibling = podman.started("sibling", &[]);
        serve(&server, "server", 80);
        for (family, gateway) in GATEWAY.iter().enumerate() {
            let loopback = ["127.0.0.1", "::1"][family];
            // The source is that of Podman's process.
            assert_is_answered(&lan, HOST[family]);
            assert_is_answered(lab.host(), HOST[family]);
            assert_is_answered(lab.host(), loopback);
            // Within, ports are those of the plugins.
            assert_answers(&sibling, (gateway, OUTSIDE), "server", gateway);
            assert_answers(&server, (gateway, OUTSIDE), "server", gateway);
        }
        podman.stage.tree.assert_also_runs("cais-proxy");
        assert!(
            podman.beside_plugins(&SHOW_RULES).contains("\"web/")
                && podman.chains().contains("CNI-DN-")
        );
        podman.end("server");
        // As long as one container lives, the namespace does.
        podman.stage.tree.assert_ends("cais-proxy");
        assert!(
            !podman.beside_plugins(&SHOW_RULES).contains("8080")
                && !podman.chains().contains("CNI-DN-")
        );
        podman.end("sibling");
        podman.assert_nothing_left();
    });
}

/// The server is the container's own process here.
#[test]
fn a_web_server_of_podman_without_root_is_fetched_from_outside() {
    lab_with_plugins(|lab| {
        let (podman, lan) = Rootless::ready(lab);
        let serve = "httpd -p 80 -h / && exec sleep 1000000";
        podman.run(&["--detach", "--name", "server", "--publish", "8080:80"], serve);
        podman.say(&["exec", "server", "/bin/wget", "-q", "-O", "-", "http://127.0.0.1/greeting"]);
        let fetch = |host: &str| format!("busybox wget -q -O - http://{host}:8080/greeting");
        assert_eq!(lan.run(&fetch(HOST[0])), GREETING);
        assert_eq!(lan.run(&fetch("[2001:db8::1]")), GREETING);
        podman.end("server");
        podman.assert_nothing_left();
    });
}

/// Shows what the plugins' network namespace has.
const SHOW_RULES: [&str; 4] = ["nft", "list", "table", "inet cais"];

/// An ordinary user's Podman with the network `web`.
pub(super) struct Rootless<'lab> {
    pub(super) stage: Rc<Stage<'lab>>,
    user: User,
}

impl<'lab> Rootless<'lab> {
    /// Makes the users, on a host with an uplink, and the network of one of them.
    #[track_caller]
    fn ready(lab: &'lab Lab) -> (Self, Namespace) {
        Self::ready_with(lab, &[])
    }

    /// As [`Self::ready`], with more programs among the plugins.
    #[track_caller]
    pub(super) fn ready_with(lab: &'lab Lab, programs: &[&str]) -> (Self, Namespace) {
        let mut stage = Stage::set(lab, Feature::RootlessPodman);
        programs.iter().for_each(|program| install(program));
        let lan = lan(lab);
        make_users(&stage);
        configure();
        offer_tun(&stage);
        let may = stage.tree.attempt(&mut as_user(&stage, USER, &["unshare", "--user", "true"]));
        if !may.status.success() {
            skip("ordinary users may not make user namespaces here");
        }
        stage.remember();
        let podman = Self { stage: Rc::new(stage), user: USER };
        let backend = podman.say(&["info", "--format", "{{.Host.NetworkBackend}}"]);
        assert_eq!(backend.trim(), "cni");
        podman.make_network();
        (podman, lan)
    }

    /// The Podman of another user, with a network that looks the same.
    #[track_caller]
    pub(super) fn of_a_neighbour(&self) -> Self {
        let podman = Self { stage: Rc::clone(&self.stage), user: NEIGHBOUR };
        podman.make_network();
        podman
    }

    #[track_caller]
    fn make_network(&self) {
        let subnets = ["--subnet", "10.1.0.0/24", "--subnet", "fd01::/64"];
        self.say(&[&["network", "create", "--ipv6"][..], &subnets, &["web"]].concat());
    }

    /// The list that Podman wrote.
    pub(super) fn list(&self) -> PathBuf {
        Path::new(self.user.home).join(".config/cni/net.d/web.conflist")
    }

    /// Calls podman, which has to succeed; gives back what it printed.
    #[track_caller]
    pub(super) fn say(&self, words: &[&str]) -> String {
        let mut command = as_user(&self.stage, self.user, &[&["podman"], words].concat());
        self.stage.tree.finish(&mut command)
    }

    /// Runs `words` where the plugins run.
    #[track_caller]
    pub(super) fn beside_plugins(&self, words: &[&str]) -> String {
        self.say(&[&["unshare", "--rootless-netns"], words].concat())
    }

    /// Runs `script` in a container.
    #[track_caller]
    pub(super) fn run(&self, options: &[&str], script: &str) -> String {
        let mut words = vec!["run", "--network", "web"];
        words.extend(without_cgroups().1);
        words.extend(options);
        let rootfs = self.user.rootfs;
        words.extend(["--env", "PATH=/bin", "--rootfs", rootfs, "/bin/sh", "-c", script]);
        self.say(&words)
    }

    /// A container that does nothing; its namespace.
    #[track_caller]
    fn started(&self, name: &str, options: &[&str]) -> Namespace {
        let options = [&["--detach", "--name", name], options].concat();
        self.run(&options, "exec sleep 1000000");
        let process = self.say(&["inspect", "--format", "{{.State.Pid}}", name]);
        let place = self.stage.tree.seen(&format!("/proc/{}/ns/net", process.trim()));
        let namespace = self.stage.lab.foreign(name, &place);
        namespace.settle();
        namespace
    }

    #[track_caller]
    pub(super) fn end(&self, container: &str) {
        self.say(&["stop", "--time", "0", container]);
        self.say(&["rm", container]);
    }

    /// The reference's chains of published ports.
    #[track_caller]
    fn chains(&self) -> String {
        self.beside_plugins(&["iptables", "-t", "nat", "-S"])
    }

    /// Claims that what Podman made for the plugins is gone, and with it what they keep.
    #[track_caller]
    pub(super) fn assert_namespace_is_gone(&self) {
        let hidden = Path::new(self.user.runtime_directory).join("libpod/tmp/rootless-netns");
        assert!(!hidden.exists(), "{} is left, with what plugins keep", hidden.display());
    }

    /// Claims that of no user anything is left, once the last container has gone.
    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        self.forget_user_namespace();
        self.stage.tree.assert_only_runs(&[]);
        self.stage.assert_nothing_left(&[USER.runtime_directory, NEIGHBOUR.runtime_directory]);
        self.assert_namespace_is_gone();
    }

    /// Podman keeps one process that holds its user namespace.
    #[track_caller]
    pub(super) fn forget_user_namespace(&self) {
        self.say(&["system", "migrate"]);
    }
}

/// Claims that the server answers at the published port by both protocols.
#[track_caller]
fn assert_is_answered(place: &Namespace, host: &str) {
    for protocol in Protocol::ALL {
        let at = SocketAddr::new(host.parse().expect("an address"), OUTSIDE);
        let answer = ask(place, protocol, at);
        let is_right = answer.as_ref().is_ok_and(|answer| answer.starts_with("server "));
        assert!(is_right, "{} asks at {at} by {protocol}, and is told {answer:?}", place.name());
    }
}

/// A command of the user.
fn as_user(stage: &Stage<'_>, user: User, words: &[&str]) -> Command {
    let change =
        ["setpriv", "--reuid", user.number, "--regid", user.number, "--clear-groups", "--"];
    let mut command = stage.tree.command(&[&change, words].concat());
    command.env("HOME", user.home).env("XDG_RUNTIME_DIR", user.runtime_directory);
    command.env("CONTAINERS_CONF", CONFIG).env("CONTAINERS_STORAGE_CONF", STORAGE);
    command
}

/// Users with numbers to give to containers, in the case's own `/etc`.
#[track_caller]
fn make_users(stage: &Stage<'_>) {
    stage.tree.run(&["cp", "--archive", ROOTFS, NEIGHBOUR.rootfs]);
    let users = [USER, NEIGHBOUR];
    let of_containers =
        |user: &User| format!("{}:{}:65536\n", user.name, user.numbers_of_containers);
    let of_containers: String = users.iter().map(of_containers).collect();
    for list in ["/etc/subuid", "/etc/subgid"] {
        write(Path::new(list), &of_containers);
    }
    for User { name, number, home, runtime_directory, rootfs, .. } in users {
        append("/etc/passwd", &format!("{name}:x:{number}:{number}::{home}:/bin/sh\n"));
        append("/etc/group", &format!("{name}:x:{number}:\n"));
        for directory in [home, runtime_directory] {
            fs::create_dir_all(directory).unwrap_or_else(|e| panic!("create {directory}: {e}"));
        }
        let owner = format!("{number}:{number}");
        stage.tree.run(&["chown", "--recursive", &owner, home, runtime_directory, rootfs]);
    }
}

#[track_caller]
fn append(path: &str, line: &str) {
    let file = OpenOptions::new().append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("append to {path}: {error}"));
}

/// The runtime that runs containers of a user who has no control groups, and how Podman is told:
/// runc where there are those of version 1, which it passes over, crun where there are none but those
/// of version 2. Neither does both.
fn without_cgroups() -> (&'static str, &'static [&'static str]) {
    match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => ("crun", &["--cgroups", "disabled"]),
        false => ("runc", &[]),
    }
}

#[track_caller]
fn configure() {
    let (runtime, _) = without_cgroups();
    write(
        Path::new(CONFIG),
        &format!(
            r#"
            [containers]
            default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
            [engine]
            runtime = "{runtime}"
            cgroup_manager = "cgroupfs"
            events_logger = "none"
            [network]
            network_backend = "cni"
            cni_plugin_dirs = ["/opt/cni/bin"]
        "#
        ),
    );
    write(Path::new(STORAGE), "[storage]\ndriver = \"vfs\"\n");
}

/// slirp4netns has to open `/dev/net/tun`, which on most machines everybody may: where not, one that
/// everybody may covers it, in the case alone.
#[track_caller]
fn offer_tun(stage: &Stage<'_>) {
    const TUN: &str = "/dev/net/tun";
    const OFFERED: &str = "/run/lab/tun";
    let Ok(found) = fs::metadata(TUN) else {
        skip("slirp4netns needs /dev/net/tun (CONFIG_TUN)");
    };
    if found.permissions().mode() & 0o6 != 0o6 {
        stage.tree.run(&["mknod", "--mode=666", OFFERED, "c", "10", "200"]);
        stage.tree.run(&["mount", "--bind", OFFERED, TUN]);
    }
}
