//! containerd, with its own client: `ctr run --cni`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use netns_fixtures::{Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::stage::{GREETING, ROOTFS, Stage, global_addresses, url, write};
use crate::under_test::{are_ours, only_ours};
use crate::uplink::{HOST, lan};

const CONFIG: &str = "/run/lab/containerd.toml";
const LOG: &str = "/run/lab/containerd.log";
/// The part for Kubernetes wants plugins and an image that nobody needs here.
const SETTINGS: &str = r#"
    version = 2
    disabled_plugins = ["io.containerd.grpc.v1.cri"]
    [debug]
    level = "warn"
"#;
/// A script that serves the greeting, says so once it does, and stays.
const SERVE: &str = "httpd -p 80 -h / && ip -o addr show && echo ready && exec sleep 1000000";
/// containerd's own files.
const OWN: &[&str] = &["/run/containerd", "/var/lib/containerd"];

#[test]
fn containers_of_containerd_reach_each_other_and_leave_nothing() {
    lab_with_plugins(|lab| {
        let containerd = Containerd::start(lab);
        let server = containerd.serve("server");
        assert_eq!(server.addresses, ["10.1.0.2", "fd01::2"]);
        for address in &server.addresses {
            let script = format!(
                "ping -c 1 -w 5 10.1.0.1 && ping -c 1 -w 5 fd01::1 && \
                 ping -c 1 -w 5 {address} && wget -q -O - {}",
                url(address)
            );
            let printed = containerd.run("client", &[], &script);
            assert!(printed.ends_with(GREETING), "{printed}");
            let fetched = lab.host().run(&format!("busybox wget -q -O - {}", url(address)));
            assert_eq!(fetched, GREETING);
        }
        containerd.stop(server);
        containerd.assert_nothing_left();
    });
}

/// `ctr` has no option for ports: the network's own file has them.
#[test]
fn a_container_of_containerd_is_reached_at_the_port_that_its_network_publishes() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not serve [::1]");
        let lan = lan(lab);
        let ports = json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
        let containerd = Containerd::start_with(lab, &ports);
        let server = containerd.serve("server");
        let hosts = [HOST[0], "[2001:db8::1]"];
        let outside = hosts.iter().map(|host| (&lan, *host));
        let inside = hosts.iter().chain(&["127.0.0.1", "[::1]"]).map(|host| (lab.host(), *host));
        for (place, host) in outside.chain(inside) {
            let fetch = format!("busybox wget -q -O - http://{host}:8080/greeting");
            assert_eq!(place.run(&fetch), GREETING);
        }
        containerd.stage.tree.assert_also_runs("cais-proxy");
        containerd.stop(server);
        containerd.assert_nothing_left();
    });
}

/// Every other one in a namespace that outlives it, as Kubernetes has them: there DEL has links to
/// delete, which in the others may have gone with their namespace.
#[test]
fn twenty_containers_of_containerd_leave_no_zombie() {
    lab_with_plugins(|lab| {
        let containerd = Containerd::start(lab);
        let tree = &containerd.stage.tree;
        tree.run(&["ip", "netns", "add", "pod"]);
        for number in 0..20 {
            let pinned: &[&str] = &["--with-ns", "network:/run/netns/pod"];
            // `ctr` does not name the namespace to DEL, and without that the reference does not
            // delete the link: a second container could not come into it.
            let may_outlive = are_ours(lab) && number % 2 == 0;
            let options = if may_outlive { pinned } else { &[] };
            containerd.run(&format!("c{number}"), options, "ping -c 1 -w 5 10.1.0.1");
        }
        let links = tree.run(&["ip", "-netns", "pod", "-o", "link", "show"]);
        assert_eq!(links.lines().count(), 1, "more than lo is left: {links}");
        tree.run(&["ip", "netns", "delete", "pod"]);
        if are_ours(lab) {
            containerd.stage.assert_deleters_were_reaped();
        }
        containerd.assert_nothing_left();
    });
}

/// With `--detach` there is nobody who would call DEL.
#[test]
fn cais_gc_removes_what_ctr_leaves_and_keeps_what_runs() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no command cais");
        let containerd = Containerd::start(lab);
        let ctr = |words: &[&str]| containerd.stage.tree.run(&[&["ctr"], words].concat());
        for id in ["dead", "living"] {
            containerd.start_detached(id);
        }
        containerd.end_detached("dead");
        let done = containerd.stage.cais(&["gc", "web"]);
        assert_eq!(done, "removed web/default-dead/eth0\nkept web/default-living/eth0\n");
        ctr(&["task", "exec", "--exec-id", "1", "living", "/bin/ping", "-c", "1", "10.1.0.1"]);
        containerd.end_detached("living");
        containerd.stage.cais(&["del", "web", "--id", "default-living"]);
        containerd.assert_nothing_left();
    });
}

/// The daemon and its host.
struct Containerd<'lab> {
    stage: Stage<'lab>,
    daemon: Child,
}

/// A container that serves.
struct Server {
    id: &'static str,
    /// IPv4 first.
    addresses: Vec<String>,
    client: Child,
}

impl<'lab> Containerd<'lab> {
    /// Starts it on a host with the network `web`.
    #[track_caller]
    fn start(lab: &'lab Lab) -> Self {
        Self::start_with(lab, &json!({}))
    }

    /// Starts it on a host whose network `web` gives this to `portmap` as a runtime would.
    #[track_caller]
    fn start_with(lab: &'lab Lab, runtime: &Value) -> Self {
        let mut stage = Stage::set(lab, Feature::Containerd);
        write(Path::new(CONFIG), SETTINGS);
        stage.add_network_with("web", 1, runtime);
        let mut command = stage.tree.daemon(&["containerd", "--config", CONFIG]);
        let log = fs::File::create(LOG).unwrap_or_else(|error| panic!("create {LOG}: {error}"));
        command.stdout(Stdio::null()).stderr(log);
        let daemon = stage.tree.spawn(&mut command);
        // The client waits for the socket, 10 s unless told otherwise.
        let mut containerd = Self { stage, daemon };
        containerd.stage.tree.run(&["ctr", "version"]);
        containerd.stage.remember();
        containerd
    }

    /// Runs `script` in a container to its end; gives back what it printed.
    #[track_caller]
    fn run(&self, id: &str, options: &[&str], script: &str) -> String {
        let cgroup = format!("{}/{id}", self.stage.cgroup.path);
        self.stage.tree.run(&run_words(&cgroup, id, options, script))
    }

    /// Starts a container and waits until it serves.
    #[track_caller]
    fn serve(&self, id: &'static str) -> Server {
        let cgroup = format!("{}/{id}", self.stage.cgroup.path);
        let mut command = self.stage.tree.command(&run_words(&cgroup, id, &[], SERVE));
        command.stdout(Stdio::piped());
        let mut client = self.stage.tree.spawn(&mut command);
        let stdout = client.stdout.take().expect("stdout is piped");
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let lines: Vec<String> = lines.take_while(|line| line != "ready").collect();
        Server { id, addresses: global_addresses(&lines), client }
    }

    /// Kills a container, as `ctr` stops one, and waits until its client is done with DEL.
    #[track_caller]
    fn stop(&self, mut server: Server) {
        self.stage.tree.run(&["ctr", "task", "kill", "--signal", "SIGKILL", server.id]);
        let status = server.client.wait().expect("we are its parent");
        assert_eq!(status.code(), Some(128 + 9), "ctr passes the end of its container on");
    }

    #[track_caller]
    fn start_detached(&self, id: &str) {
        let cgroup = format!("{}/{id}", self.stage.cgroup.path);
        let mut words = vec!["ctr", "run", "--detach", "--cni", "--cgroup", &cgroup];
        words.extend(["--rootfs", ROOTFS, id, "/bin/sleep", "1000000"]);
        self.stage.tree.run(&words);
    }

    #[track_caller]
    fn end_detached(&self, id: &str) {
        // Kills it and waits until it has ended; then `delete` may complain of how it ended.
        self.stage.tree.run(&["ctr", "task", "delete", "--force", id]);
        self.stage.tree.run(&["ctr", "container", "delete", id]);
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        self.stage.tree.assert_only_runs(&["containerd"]);
        let host = self.stage.lab.host();
        if !are_ours(self.stage.lab) {
            // The reference leaves links to the kernel, which gets to them after DEL has returned.
            let links = host.link_names();
            links
                .iter()
                .filter(|link| link.starts_with("veth"))
                .for_each(|l| host.wait_until_gone(l));
        }
        self.stage.assert_nothing_left(OWN);
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("containerd said\n{}", fs::read_to_string(LOG).unwrap_or_default());
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn run_words<'a>(
    cgroup: &'a str,
    id: &'a str,
    options: &[&'a str],
    script: &'a str,
) -> Vec<&'a str> {
    let mut words = vec!["ctr", "run", "--rm", "--cni", "--cgroup", cgroup];
    words.extend(options);
    // Without an image there is no PATH either.
    words.extend(["--env", "PATH=/bin", "--rootfs", ROOTFS, id, "/bin/sh", "-c", script]);
    words
}
