//! Podman 4 with its CNI backend: `podman run --network`.

use std::path::Path;
use std::process::Command;

use netns_fixtures::{Feature, Lab, Namespace, lab_with_plugins};

use super::stage::{GREETING, ROOTFS, Stage, global_addresses, url, write};
use crate::under_test::are_ours;

/// Podman reads these two instead of all that the machine has.
const CONFIG: &str = "/run/lab/containers.conf";
const STORAGE: &str = "/run/lab/storage.conf";
/// Where our plugins write a line for each call, and what they warn of: Podman drops that.
pub(super) const LOG: &str = "/run/lab/cais.log";
/// Podman's own files, and those of runc.
pub(super) const OWN: &[&str] =
    &["/var/lib/containers", "/run/containers", "/run/libpod", "/run/lock", "/run/runc"];

#[test]
fn containers_of_podman_reach_each_other_and_leave_nothing() {
    lab_with_plugins(|lab| {
        let podman = Podman::ready(lab);
        podman.run(&["--detach", "--name", "server"], "web", "exec sleep 1000000");
        podman.assert_server_is_reached();
        if are_ours(lab) {
            let done = podman.stage.cais(&["gc", "web"]);
            assert!(done.starts_with("kept web/") && done.lines().count() == 1, "{done}");
        }
        // The same container, attached once more.
        podman.say(&["restart", "--time", "0", "server"]);
        podman.assert_server_is_reached();
        podman.say(&["stop", "--time", "0", "server"]);
        podman.say(&["rm", "server"]);
        podman.assert_nothing_left();
    });
}

/// Each network has a default route of its own.
#[test]
fn a_container_of_podman_is_on_two_networks_at_once() {
    lab_with_plugins(|lab| {
        let mut podman = Podman::ready(lab);
        podman.stage.add_network("db", 2);
        let script = "ip -o addr show && ping -c 1 -w 5 10.1.0.1 && ping -c 1 -w 5 fd01::1 \
                      && ping -c 1 -w 5 10.2.0.1 && ping -c 1 -w 5 fd02::1";
        let printed = podman.run(&["--rm"], "web,db", script);
        // Which network becomes eth0 is up to Podman.
        let mut addresses = global_addresses(&lines(&printed));
        addresses.sort();
        assert_eq!(addresses, ["10.1.0.2", "10.2.0.2", "fd01::2", "fd02::2"]);
        podman.assert_nothing_left();
    });
}

/// Podman asks by `CNI_ARGS`. That the second container gets them says that the first left them.
#[test]
fn containers_of_podman_have_the_addresses_they_ask_for_one_after_the_other() {
    lab_with_plugins(|lab| {
        let podman = Podman::ready(lab);
        for _ in 0..2 {
            let options = ["--rm", "--ip", "10.1.0.77", "--mac-address", "02:00:00:00:00:77"];
            let printed = podman.run(&options, "web", "ip -o addr show && ip link show eth0");
            assert_eq!(global_addresses(&lines(&printed))[0], "10.1.0.77");
            assert!(printed.contains("02:00:00:00:00:77"), "{printed}");
        }
        podman.assert_nothing_left();
    });
}

#[test]
fn twenty_containers_of_podman_leave_no_zombie() {
    lab_with_plugins(|lab| {
        let podman = Podman::ready(lab);
        for _ in 0..20 {
            podman.run(&["--rm"], "web", "ping -c 1 -w 5 10.1.0.1");
        }
        if are_ours(lab) {
            podman.stage.assert_deleters_were_reaped();
        }
        podman.assert_nothing_left();
    });
}

/// Podman and its host.
pub(super) struct Podman<'lab> {
    pub(super) stage: Stage<'lab>,
}

impl<'lab> Podman<'lab> {
    /// Configures it on a host with the network `web`.
    #[track_caller]
    fn ready(lab: &'lab Lab) -> Self {
        let mut podman = Self::without_networks(lab);
        podman.stage.add_network("web", 1);
        podman.stage.remember();
        podman
    }

    /// Configures it on a host without networks. What is there when the case calls
    /// [`Stage::remember`] is no trace of containers.
    #[track_caller]
    pub(super) fn without_networks(lab: &'lab Lab) -> Self {
        let stage = Stage::set(lab, Feature::Podman);
        write(
            Path::new(CONFIG),
            r#"
                [containers]
                default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
                [engine]
                runtime = "runc"
                cgroup_manager = "cgroupfs"
                events_logger = "none"
                [network]
                network_backend = "cni"
                cni_plugin_dirs = ["/opt/cni/bin"]
                network_config_dir = "/etc/cni/net.d"
            "#,
        );
        write(
            Path::new(STORAGE),
            r#"
                [storage]
                driver = "vfs"
                graphroot = "/var/lib/containers/storage"
                runroot = "/run/containers/storage"
            "#,
        );
        let podman = Self { stage };
        let backend = podman.say(&["info", "--format", "{{.Host.NetworkBackend}}"]);
        assert_eq!(backend.trim(), "cni");
        podman
    }

    /// Calls podman, which has to succeed; gives back what it printed.
    #[track_caller]
    pub(super) fn say(&self, words: &[&str]) -> String {
        self.stage.tree.finish(&mut self.command(words))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.stage.tree.command(&[&["podman"], words].concat());
        command.env("CONTAINERS_CONF", CONFIG).env("CONTAINERS_STORAGE_CONF", STORAGE);
        command.env("CAIS_LOG", LOG);
        command
    }

    /// Runs `script` in a container on `networks`.
    #[track_caller]
    pub(super) fn run(&self, options: &[&str], networks: &str, script: &str) -> String {
        self.stage.tree.finish(&mut self.run_command(options, networks, script))
    }

    /// Claims that a container is not started; gives back what Podman said.
    #[track_caller]
    pub(super) fn refuses_to_run(&self, options: &[&str], networks: &str) -> String {
        let mut command = self.run_command(options, networks, "exec sleep 1000000");
        let done = self.stage.tree.attempt(&mut command);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success(), "{command:?} succeeded\n{said}");
        said
    }

    fn run_command(&self, options: &[&str], networks: &str, script: &str) -> Command {
        let mut words = vec!["run", "--network", networks, "--cgroup-parent"];
        words.push(&self.stage.cgroup.path);
        words.extend(options);
        words.extend(["--env", "PATH=/bin", "--rootfs", ROOTFS, "/bin/sh", "-c", script]);
        self.command(&words)
    }

    /// Starts a web server in the container `server`, and claims that another container and the
    /// host get its greeting, by either family.
    #[track_caller]
    fn assert_server_is_reached(&self) {
        // It answers by the time that this returns.
        self.say(&["exec", "server", "/bin/httpd", "-p", "80", "-h", "/"]);
        let shown = self.say(&["exec", "server", "/bin/ip", "-o", "addr", "show"]);
        let addresses = global_addresses(&lines(&shown));
        assert_eq!(addresses.len(), 2, "{shown}");
        for address in &addresses {
            let script = format!(
                "ping -c 1 -w 5 10.1.0.1 && ping -c 1 -w 5 fd01::1 && \
                 ping -c 1 -w 5 {address} && wget -q -O - {}",
                url(address)
            );
            let printed = self.run(&["--rm"], "web", &script);
            assert!(printed.ends_with(GREETING), "{printed}");
            let fetch = format!("busybox wget -q -O - {}", url(address));
            assert_eq!(self.stage.lab.host().run(&fetch), GREETING);
        }
    }

    /// The network namespace of a container that runs.
    #[track_caller]
    pub(super) fn namespace(&self, container: &str) -> Namespace {
        let shown =
            self.say(&["inspect", "--format", "{{.NetworkSettings.SandboxKey}}", container]);
        self.stage.lab.foreign(container, &self.stage.tree.seen(shown.trim()))
    }

    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        self.stage.tree.assert_only_runs(&[]);
        self.stage.assert_nothing_left(OWN);
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
