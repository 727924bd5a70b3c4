//! Hosts on one wire with an etcd, each with directories of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use netns_fixtures::{Container, Etcd, Lab, Namespace};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlays::Client;
use peers::message::Request;
use serde_json::{Value, json, value::RawValue};

use crate::call::Plugin;
use crate::isolation::Scratch;
use crate::options::Options;

/// Where etcd is.
const STORE: &str = "172.31.255.1";
/// Where etcd has its data.
const DATA: &str = "/run/etcd-0";
/// The number of every network that has one of its own.
pub(super) const VNI: u32 = 4103;

/// Everything about one case; its daemons end with it.
pub(super) struct Town {
    pub(super) lab: &'static Lab,
    pub(super) etcd: Etcd,
    wire: Namespace,
    name: &'static str,
    ours: PathBuf,
    folder: PathBuf,
}

/// A host.
pub(super) struct Site {
    pub(super) namespace: Namespace,
    pub(super) root: PathBuf,
    plugins: PathBuf,
    name: String,
}

impl Town {
    /// Makes the wire, and an etcd on it.
    pub(super) fn new(options: &Options, scratch: &Scratch, name: &'static str) -> Town {
        static LAB: OnceLock<Lab> = OnceLock::new();
        let lab = LAB.get_or_init(Lab::here);
        let wire = lab.another_host(&format!("{name}-wire"));
        wire.run("ip link add dev wire0 type bridge");
        wire.run("ip link set dev wire0 addrgenmode none up");
        let store = lab.another_host(&format!("{name}-store"));
        plug(lab, &wire, &store, "store", STORE);
        let etcd = Etcd::cluster_at(lab, &store, STORE, 1);
        let (ours, folder) = (options.ours.clone(), scratch.path(&format!("overlay-{name}")));
        Town { lab, etcd, wire, name, ours, folder }
    }

    /// A host that knows where etcd is.
    pub(super) fn host(&self, number: u16) -> Result<Site> {
        let name = format!("{}-{number}", self.name);
        let namespace = self.lab.another_host(&name);
        let [high, low] = number.to_be_bytes();
        let address = format!("172.30.{high}.{low}");
        plug(self.lab, &self.wire, &namespace, &format!("h{number}"), &address);
        let root = self.folder.join(format!("root{number}"));
        let etc = root.join("etc/cais");
        fs::create_dir_all(&etc)?;
        let own = json!({ "underlay": [address], "hostName": name, "store": self.store() });
        fs::write(etc.join("overlayd.json"), own.to_string())?;
        Ok(Site { namespace, root, plugins: self.ours.clone(), name })
    }

    fn store(&self) -> Value {
        json!({ "type": "etcd", "endpoints": self.etcd.endpoints() })
    }

    /// A container as a runtime makes it.
    pub(super) fn container(&self, name: &str) -> Container {
        let container = self.lab.container(&format!("{}-{name}", self.name));
        container.run("ip link set dev lo up");
        container
    }

    /// The plugin's configuration of a network that the first host makes.
    pub(super) fn config(&self, network: &str, pools: &[String]) -> Value {
        json!({
            "cniVersion": "1.1.0", "name": network, "type": "overlay", "store": { "type": "etcd" },
            // As `bridge`, which it is measured beside.
            "names": "off",
            "create": { "pools": pools },
        })
    }

    /// What hosts have asked etcd for so far, but that they are still there.
    pub(super) fn operations(&self) -> f64 {
        self.etcd.figure("grpc_server_started_total{", &["etcdserverpb.KV\""])
            + self.etcd.figure("grpc_server_started_total{", &["LeaseGrant\""])
    }

    /// So many transactions of them.
    pub(super) fn transactions(&self) -> f64 {
        self.etcd.figure("grpc_server_started_total{", &["grpc_method=\"Txn\""])
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for pid in daemons(&self.folder.display().to_string()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        self.etcd.kill(0);
        let _ = fs::remove_dir_all(DATA);
    }
}

impl Site {
    /// A plugin of ours on this host.
    pub(super) fn plugin(&self, name: &str, container: &Container, config: &Value) -> Plugin {
        let plugin = Plugin::new(&self.plugins, name, config)
            .with("CNI_NETNS", container.path().display().to_string())
            .with("CNI_IFNAME", "eth0")
            .with("CNI_CONTAINERID", container.id())
            .with("CAIS_ROOT", self.root.display().to_string());
        Plugin { host: Some(self.namespace.path().to_owned()), ..plugin }
    }

    /// Takes part in a network; how long it takes until containers can be added. The daemon is started
    /// where none runs.
    pub(super) fn take_part(&self, config: &Value) -> Result<Duration> {
        let raw = |value: &Value| RawValue::from_string(value.to_string());
        let network = config["name"].as_str().context("a network has a name")?.parse()?;
        let create = Some(raw(&config["create"])?);
        self.ask(&Request::Ensure { network, store: None, create })
    }

    /// Asks the daemon for something that it only has to say that it has done.
    pub(super) fn ask(&self, request: &Request) -> Result<Duration> {
        let path = [self.plugins.clone()];
        let run = self.root.join("run/cais");
        let client = Client::new(&run, &path);
        let begun = Instant::now();
        let told = self.namespace.within(|| client.ask(request, Duration::from_secs(10)));
        let took = begun.elapsed();
        let log = || fs::read_to_string(run.join("overlay.log")).unwrap_or_default();
        told.map_err(|error| anyhow!("{}: {error}\n{}", self.name, log()))?;
        Ok(took)
    }

    /// The daemon's process.
    pub(super) fn daemon(&self) -> Result<Pid> {
        let root = format!("{}/", self.root.display());
        daemons(&root).into_iter().next().with_context(|| format!("no daemon runs for {root}"))
    }

    /// Ends the daemon, without a word to anybody.
    pub(super) fn kill_daemon(&self) -> Result<()> {
        let pid = self.daemon()?;
        kill(pid, Signal::SIGKILL)?;
        super::await_that("a killed daemon is gone", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        })?;
        Ok(())
    }

    /// A line of the daemon's `status` in proc(5), in megabytes.
    pub(super) fn megabytes(&self, line: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon()?))?;
        let line = status.lines().find_map(|found| found.strip_prefix(line));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kilobytes.context("the kernel tells how much memory a process has")? / 1024.0)
    }
}

/// Daemons whose control socket is below a folder.
fn daemons(folder: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let serves = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("cais-overlayd\0serve\0") && line.contains(folder)
    };
    pids.filter(serves).map(Pid::from_raw).collect()
}

fn plug(lab: &Lab, wire: &Namespace, host: &Namespace, port: &str, address: &str) {
    lab.wire((host, "eth0"), (wire, port));
    wire.run(&format!("ip link set dev {port} master wire0"));
    host.run(&format!("ip addr add {address}/12 dev eth0"));
}
