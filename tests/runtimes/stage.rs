//! What a runtime finds on its host: plugins, a place for networks, a root file system to run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use netns_fixtures::{Feature, Lab, Snapshot, skip};
use serde_json::{Value, json};

use super::tree::Tree;
use crate::under_test::are_ours;

/// What every container runs: busybox, and `/greeting` to be fetched from its web server.
pub(super) const ROOTFS: &str = "/run/lab/rootfs";
/// What `/greeting` holds.
pub(super) const GREETING: &str = "hello from the other container";

/// Where runtimes look for plugins and networks unless told otherwise.
const PLUGINS: &str = "/opt/cni/bin";
const NETWORKS: &str = "/etc/cni/net.d";
/// Where the directory with the plugins under test is seen.
const TESTED: &str = "/opt/cni/tested";
/// Below here the lab keeps its own, which no snapshot shows.
const OWN: &str = "/run/lab";
/// Control groups are called so, and by the number of the case's process.
const CGROUP: &str = "cais-lab-";

/// What stays for good reason when the last container of a network has gone.
const STAYS: &[&str] = &[
    // Forwarding stays on as with the reference, and so does the bridge (see `what_stays`).
    "ip_forward",
    "conf/all/forwarding",
    "conf/lo/forwarding",
    "conf/up0/forwarding",
    "conf/default/forwarding",
    // Directories, and in them what is there once per host or network: never one per container.
    "dir /run/cais",
    "dir /var/lib/cni",
    "dir /run/netns",
    "/run/cais/deleter ",
    // The daemon of names stays for a while.
    "/run/cais/dns.sock",
    "/var/lib/cni/cais/index/",
    "/last_reserved_ip.",
];

/// What else stays of the reference: its shared chains, and tables that iptables made.
const STAYS_OF_THE_REFERENCE: &[&str] =
    &[r#""table":"nat""#, r#""table":"filter""#, r#""name":"nat""#, r#""name":"filter""#];

/// A host in a lab, ready for one runtime.
pub(super) struct Stage<'lab> {
    pub(super) lab: &'lab Lab,
    pub(super) tree: Tree,
    pub(super) cgroup: Cgroup,
    /// By name, with the bridge of each.
    networks: Vec<(&'static str, String)>,
    before: Option<Snapshot>,
}

impl<'lab> Stage<'lab> {
    /// Prepares the host, or ends the case where `runtime` or what it needs is missing.
    #[track_caller]
    pub(super) fn set(lab: &'lab Lab, runtime: Feature) -> Self {
        let ids = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if ids.split_whitespace().ne(["0", "0", "4294967295"]) {
            skip("runtimes as a service of the host need root");
        }
        lab.needs(runtime);
        lab.needs(Feature::Busybox);
        // The lab covers /sys, and with it the control groups.
        lab.host().run("umount /sys");
        for directory in ["/etc", "/opt"] {
            make_changeable(lab, directory);
        }
        install_plugins(lab);
        build_root();
        let _ = fs::remove_dir_all(NETWORKS);
        create(NETWORKS);
        let cgroup = Cgroup::new();
        Self { lab, tree: Tree::start(lab), cgroup, networks: Vec::new(), before: None }
    }

    /// From now on every trace counts; called once the runtime is up.
    pub(super) fn remember(&mut self) {
        self.before = Some(self.lab.snapshot());
    }

    /// Writes a network as Podman writes its own: `10.<number>.0.0/24` and `fd<number>::/64` on the
    /// bridge `cni<number>`.
    pub(super) fn add_network(&mut self, name: &'static str, number: u8) {
        self.add_network_with(name, number, &json!({}));
    }

    /// As [`Self::add_network`], with what the runtime would fill in for `portmap`.
    pub(super) fn add_network_with(&mut self, name: &'static str, number: u8, runtime: &Value) {
        self.expect_network(name, format!("cni{number}"));
        let list: Value = json!({
            // What Podman 4 writes; containerd takes it as well.
            "cniVersion": "0.4.0",
            "name": name,
            "plugins": [{
                "type": "bridge",
                "bridge": format!("cni{number}"),
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "capabilities": { "ips": true },
                "ipam": {
                    "type": "host-local",
                    "ranges": [
                        [{ "subnet": format!("10.{number}.0.0/24") }],
                        [{ "subnet": format!("fd{number:02}::/64") }],
                    ],
                    "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
                },
            }, {
                "type": "portmap",
                "capabilities": { "portMappings": true },
                "runtimeConfig": runtime,
            }, {
                "type": "firewall", "backend": "",
            }, {
                "type": "tuning",
            }],
        });
        write(&Path::new(NETWORKS).join(format!("10-{name}.conflist")), &list.to_string());
    }

    /// Says that there is a network with this bridge, both of which stay.
    pub(super) fn expect_network(&mut self, name: &'static str, bridge: String) {
        self.networks.push((name, bridge));
    }

    /// Runs the command `cais` as an operator would beside the runtime.
    #[track_caller]
    pub(super) fn cais(&self, words: &[&str]) -> String {
        let cais = self.lab.plugins().join("cais");
        let mut command = self.tree.command(&[&[&*cais.to_string_lossy()], words].concat());
        self.tree.finish(command.env("CNI_PATH", PLUGINS))
    }

    /// Claims that containers came and went without a trace: nothing is left but what STAYS lists,
    /// and what lies below the `own` directories of the runtime.
    #[track_caller]
    pub(super) fn assert_nothing_left(&self, own: &[&str]) {
        let before = self.before.as_ref().expect("the case called remember");
        let stays = self.what_stays();
        let stays: Vec<&str> =
            stays.iter().map(String::as_str).chain(own.iter().copied()).collect();
        self.lab.assert_unchanged_but(before, &stays);
        let pins = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let pins: Vec<PathBuf> = pins.map(|pin| pin.path()).collect();
        assert!(pins.is_empty(), "namespaces are left: {pins:?}");
    }

    /// Claims that links were deleted by children that nobody waits for, and that these were
    /// reaped.
    #[track_caller]
    pub(super) fn assert_deleters_were_reaped(&self) {
        let record = fs::read_to_string("/run/cais/deleter").unwrap_or_default();
        assert!(record.starts_with("reaped "), "/run/cais/deleter says {record:?}");
    }

    /// STAYS, and of each network its bridge with addresses, routes and switches, and a lock.
    fn what_stays(&self) -> Vec<String> {
        let of_network = |(name, bridge): &(&str, String)| {
            [
                format!(" {bridge} "),
                format!("\"{bridge}\""),
                format!("/{bridge}/"),
                format!("/var/lib/cni/networks/{name}/lock "),
            ]
        };
        let networks = self.networks.iter().flat_map(of_network);
        let chains: &[&str] = if are_ours(self.lab) { &[] } else { STAYS_OF_THE_REFERENCE };
        let words = STAYS.iter().chain(chains).map(|&word| word.to_owned());
        words.chain(networks).collect()
    }
}

/// A control group of the machine that holds all of a case; removed with it.
pub(super) struct Cgroup {
    /// As runtimes want it: from the root, with a slash.
    pub(super) path: String,
}

impl Cgroup {
    #[track_caller]
    fn new() -> Self {
        sweep_cgroups();
        let name = format!("{CGROUP}{}", std::process::id());
        let hierarchies = hierarchies();
        // Some may be mounted without a right to write.
        let made = hierarchies.iter().filter(|root| fs::create_dir(root.join(&name)).is_ok());
        if made.count() == 0 {
            skip(&format!("runc needs control groups, and none can be made in {hierarchies:?}"));
        }
        Self { path: format!("/{name}") }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for root in hierarchies() {
            let place = root.join(self.path.trim_start_matches('/'));
            if place.exists()
                && let Err(error) = remove_cgroup(&place)
            {
                println!("control group {} stays: {error}", place.display());
            }
        }
    }
}

/// Removes what cases that were killed could not.
fn sweep_cgroups() {
    let is_dead = |group: &PathBuf| {
        let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let case = name.strip_prefix(CGROUP);
        case.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    for group in hierarchies().iter().flat_map(|root| directories(root)).filter(is_dead) {
        // Another case may sweep as well.
        let _ = remove_cgroup(&group);
    }
}

/// Where control groups are made: version 2 has one place, version 1 a directory for each.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    match root.join("cgroup.controllers").exists() {
        true => vec![root.to_owned()],
        false => directories(root),
    }
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn remove_cgroup(directory: &Path) -> std::io::Result<()> {
    directories(directory).iter().try_for_each(|child| remove_cgroup(child))?;
    fs::remove_dir(directory)
}

/// Lets the case change files below `directory`, for itself alone.
#[track_caller]
fn make_changeable(lab: &Lab, directory: &str) {
    let (upper, work) = (format!("{OWN}/upper{directory}"), format!("{OWN}/work{directory}"));
    create(&upper);
    create(&work);
    lab.host().run(&format!(
        "mount -t overlay overlay {directory} \
         -o lowerdir={directory},upperdir={upper},workdir={work}"
    ));
}

#[track_caller]
fn install_plugins(lab: &Lab) {
    let _ = fs::remove_dir_all(PLUGINS);
    create(PLUGINS);
    // Bound, so that other users come there whatever directories it lies in.
    create(TESTED);
    lab.host().run(&format!("mount --bind {} {TESTED}", lab.plugins().display()));
    let installed = ["bridge", "host-local", "loopback", "portmap", "firewall", "tuning"];
    let ours: &[&str] = if are_ours(lab) { &["cais-proxy"] } else { &[] };
    installed.iter().chain(ours).for_each(|plugin| install(plugin));
}

/// Puts one more program under test among the plugins.
#[track_caller]
pub(super) fn install(program: &str) {
    let link = Path::new(PLUGINS).join(program);
    let tested = Path::new(TESTED).join(program);
    // Debian's containerd would go on to look in /usr/lib/cni, and the case would test those.
    assert!(tested.exists(), "{} is missing", tested.display());
    let made = symlink(tested, &link);
    made.unwrap_or_else(|error| panic!("make {}: {error}", link.display()));
}

/// The least that a container can be: one static program under many names.
#[track_caller]
fn build_root() {
    for directory in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        create(&format!("{ROOTFS}/{directory}"));
    }
    let bin = Path::new(ROOTFS).join("bin");
    let copied = fs::copy("/bin/busybox", bin.join("busybox"));
    copied.unwrap_or_else(|error| panic!("copy /bin/busybox: {error}"));
    for name in ["cat", "httpd", "ip", "nslookup", "ping", "sh", "sleep", "true", "wget"] {
        symlink("busybox", bin.join(name)).unwrap_or_else(|error| panic!("link {name}: {error}"));
    }
    write(&Path::new(ROOTFS).join("greeting"), GREETING);
}

/// The addresses in what `ip -o addr show` of busybox printed, without link-local ones.
pub(super) fn global_addresses(lines: &[String]) -> Vec<String> {
    let global = lines.iter().filter(|line| line.contains("scope global"));
    let words = global.map(|line| line.split_whitespace().skip_while(|w| !w.starts_with("inet")));
    words.filter_map(|mut words| words.nth(1)?.split('/').next().map(str::to_owned)).collect()
}

/// Where the web server at `address` has its greeting.
pub(super) fn url(address: &str) -> String {
    match address.contains(':') {
        true => format!("http://[{address}]/greeting"),
        false => format!("http://{address}/greeting"),
    }
}

#[track_caller]
pub(super) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}

#[track_caller]
fn create(directory: &str) {
    fs::create_dir_all(directory).unwrap_or_else(|error| panic!("create {directory}: {error}"));
}
