//! The servers, on one host with a container on a bridge that asks them: each has a port of its own, so
//! that packets go the same way to all.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kernel::netns::Netns;
use names::{Client, Record};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::asker::Asker;
use super::upstream;
use crate::host::{Host, SUBNET, after};
use crate::isolation::run;
use crate::options::Options;

/// Where all of them are asked.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);

/// Ports of those that are not ours.
const DNSMASQ_PORT: u16 = 1053;
const AARDVARK_PORT: u16 = 1054;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cais,
    /// With room in its cache for so many names.
    Dnsmasq {
        cache: u32,
    },
    Aardvark,
}

impl Kind {
    /// Ours and those it is compared with, of which one may be missing. `cache` is dnsmasq's.
    pub(super) fn all(options: &Options, cache: u32) -> Vec<Kind> {
        let mut all = vec![Kind::Cais, Kind::Dnsmasq { cache }];
        all.extend(options.aardvark.is_some().then_some(Kind::Aardvark));
        all
    }

    /// What its rows and hosts are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Cais => "cais",
            Kind::Dnsmasq { .. } => "dnsmasq",
            Kind::Aardvark => "aardvark-dns",
        }
    }
}

/// A host with a container that asks.
pub(super) struct Place {
    pub(super) host: Host,
    /// The container's address.
    asker: Ipv4Addr,
    /// Processes of servers that run there.
    known: RefCell<Vec<Pid>>,
}

/// A running server, which ends when this is dropped.
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) place: Rc<Place>,
    /// Where it listens.
    pub(super) port: u16,
    processes: Vec<Pid>,
}

impl Place {
    /// The container is attached by `bridge` of some plugins, without a name.
    pub(super) fn nameless(host: Host) -> Result<Rc<Place>> {
        let asker = address_in(&host.plugin("bridge", &host.bridge(true)).result()?)?;
        Ok(Rc::new(Place { host, asker, known: RefCell::default() }))
    }

    /// The container is attached by our plugins `bridge` and `dnsname`, so that our daemon runs.
    pub(super) fn with_dnsname(host: Host) -> Result<Rc<Place>> {
        configure(&host)?;
        let attached = host.plugin("bridge", &host.bridge(true)).result()?;
        let config = json!({ "cniVersion": "1.0.0", "name": "bench", "type": "dnsname" });
        host.plugin("dnsname", &after(&attached, &config)).call("ADD")?;
        let asker = address_in(&attached)?;
        Ok(Rc::new(Place { host, asker, known: RefCell::default() }))
    }

    /// The same by `user-bridge`.
    pub(super) fn with_user_bridge(host: Host) -> Result<Rc<Place>> {
        configure(&host)?;
        let asker = address_in(&host.plugin("user-bridge", &user_bridge(&json!({}))).result()?)?;
        Ok(Rc::new(Place { host, asker, known: RefCell::default() }))
    }

    /// Processes that run on the host and are not known yet, which they are from now on.
    fn new_processes(&self) -> Result<Vec<Pid>> {
        let host = Path::new(&self.host.namespace.path).metadata()?.ino();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            // Whatever ends meanwhile is none of them.
            let netns = entry.path().join("ns/net").metadata();
            if netns.is_ok_and(|netns| netns.ino() == host) {
                found.push(Pid::from_raw(pid));
            }
        }
        let mut known = self.known.borrow_mut();
        found.retain(|pid| !known.contains(pid));
        known.extend(&found);
        ensure!(!found.is_empty(), "no server runs on {}", self.host.namespace.name);
        Ok(found)
    }
}

/// Whom our daemon asks about the names of others.
fn configure(host: &Host) -> Result<()> {
    let folder = host.state.join("root/etc/cais");
    fs::create_dir_all(&folder)?;
    let servers = json!({ "servers": [upstream::ADDRESS] });
    Ok(fs::write(folder.join("dnsd.json"), servers.to_string())?)
}

impl Server {
    /// Starts a server that knows `names` names beside the asker's. Ours runs already, and has to be
    /// the first of a place.
    pub(super) fn start(
        place: &Rc<Place>,
        kind: Kind,
        options: &Options,
        names: u16,
    ) -> Result<Server> {
        let mut server = Server { kind, place: Rc::clone(place), port: 0, processes: Vec::new() };
        server.port = match kind {
            Kind::Cais => server.tell_cais(names)?,
            Kind::Dnsmasq { cache } => server.start_dnsmasq(cache, names)?,
            Kind::Aardvark => server.start_aardvark(options, names)?,
        };
        server.processes = place.new_processes()?;
        for pid in &server.processes {
            all_pinned(*pid, SERVERS)?;
        }
        let last = names.saturating_sub(1);
        let found = server.asker(server.port)?.must_find(&name_of(last), address_of(last));
        found.with_context(|| format!("ask {}", kind.name()))?;
        Ok(server)
    }

    /// Who asks it at this port, in the container.
    pub(super) fn asker(&self, port: u16) -> Result<Asker> {
        Asker::new(&self.place.host.container, (GATEWAY, port).into())
    }

    /// Gives our daemon all names; where it listens.
    fn tell_cais(&self, names: u16) -> Result<u16> {
        let host = &self.place.host;
        let run_dir = host.state.join("root/run/cais");
        let client = Client::new(&run_dir, &[]);
        let example = client.store().read(&Host::attachment(&host.container.name)?);
        let example = example.context("nothing is remembered of the asker's names")?;
        let netns = Netns::open(&host.container.path)?;
        for number in 0..names {
            client.register(&held(&example, number)?, &netns)?;
        }
        let gateway = example.places.first().context("our daemon listens nowhere")?;
        Ok(gateway.port())
    }

    fn start_dnsmasq(&self, cache: u32, names: u16) -> Result<u16> {
        let mut text = String::new();
        for number in 0..names {
            let _ = writeln!(text, "{} {}", address_of(number), name_of(number));
        }
        fs::write(self.hosts_file(), text)?;
        let state = &self.place.host.state;
        let config = format!(
            "port={DNSMASQ_PORT}\nlisten-address={GATEWAY}\nbind-interfaces\n\
             no-hosts\naddn-hosts={}\nno-resolv\nserver={}\ncache-size={cache}\n\
             user=root\ngroup=root\nlog-facility=/dev/null\npid-file={}\n",
            self.hosts_file().display(),
            upstream::ADDRESS,
            state.join("dnsmasq.pid").display(),
        );
        let file = state.join("dnsmasq.conf");
        fs::write(&file, config)?;
        // As the others it leaves a process behind with a session of its own, which schedulers treat
        // apart from whoever asks (sched(7), autogroup).
        self.leaves_behind("dnsmasq", &[&format!("--conf-file={}", file.display())])?;
        Ok(DNSMASQ_PORT)
    }

    fn start_aardvark(&self, options: &Options, names: u16) -> Result<u16> {
        let asker = self.place.asker;
        let mut text = format!("{GATEWAY} {}\nasker {asker}  asker\n", upstream::ADDRESS);
        for number in 0..names {
            let _ = writeln!(text, "held-{number} {}  {}", address_of(number), name_of(number));
        }
        let networks = self.place.host.state.join("networks");
        fs::create_dir_all(&networks)?;
        fs::write(networks.join("bench"), text)?;
        let program = options.aardvark.as_ref().context("there is no aardvark-dns")?;
        let (program, networks) = (program.display().to_string(), networks.display().to_string());
        let port = AARDVARK_PORT.to_string();
        self.leaves_behind(&program, &["--config", &networks, "--port", &port, "run"])?;
        Ok(AARDVARK_PORT)
    }

    /// Runs a program on the host that returns when the process answers that it leaves behind.
    fn leaves_behind(&self, program: &str, arguments: &[&str]) -> Result<()> {
        Netns::open(&self.place.host.namespace.path)?.run(|| run(program, arguments))?
    }

    /// What dnsmasq reads its names from.
    pub(super) fn hosts_file(&self) -> PathBuf {
        self.place.host.state.join("hosts")
    }

    /// Lets dnsmasq read its names again.
    pub(super) fn reload(&self) -> Result<()> {
        for pid in &self.processes {
            kill(*pid, Signal::SIGHUP)?;
        }
        Ok(())
    }

    /// CPU time that all its processes used so far.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let times = self
            .processes
            .iter()
            .map(|pid| Ok(Duration::from(ClockId::pid_cpu_clock_id(*pid)?.now()?)));
        times.sum()
    }

    /// Resident memory of all its processes together, in MiB. What they share counts for each.
    pub(super) fn memory(&self) -> Result<f64> {
        let sizes = self.processes.iter().map(|pid| {
            let path = format!("/proc/{pid}/status");
            let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kilobytes = size.and_then(|size| size.trim().strip_suffix(" kB"));
            let kilobytes: f64 =
                kilobytes.with_context(|| format!("no VmRSS in {path}"))?.parse()?;
            Ok(kilobytes / 1024.0)
        });
        sizes.sum()
    }
}

/// Where servers run, and whoever asks them: which of them share a processor is chance otherwise, and
/// waking the other one costs more than an answer.
const SERVERS: usize = 0;
pub(super) const ASKERS: usize = 1;

/// Lets a thread, 0 for the calling one, run on that processor alone, where there is one.
pub(super) fn pinned(thread: Pid, processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    match sched_setaffinity(thread, &set) {
        // There is one only.
        Err(Errno::EINVAL) => Ok(()),
        done => done.context("choose a processor"),
    }
}

/// The same for all threads of a process: one that stays free answers beside the asker, and wakes no
/// other processor for it.
fn all_pinned(process: Pid, processor: usize) -> Result<()> {
    let threads = format!("/proc/{process}/task");
    for thread in fs::read_dir(&threads).with_context(|| threads.clone())? {
        let number = thread?.file_name().to_string_lossy().parse()?;
        pinned(Pid::from_raw(number), processor)?;
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in &self.processes {
            // It may have ended by itself.
            let _ = kill(*pid, Signal::SIGTERM);
        }
    }
}

/// The configuration of `user-bridge` with what a runtime adds.
pub(super) fn user_bridge(runtime: &Value) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "user-bridge",
        "subnet": SUBNET,
        "runtimeConfig": runtime,
    })
}

/// The IPv4 address in the result of an ADD.
pub(super) fn address_in(result: &Value) -> Result<Ipv4Addr> {
    let cidr = result["ips"][0]["address"].as_str().unwrap_or_default();
    let address = cidr.split('/').next().unwrap_or_default();
    address.parse().with_context(|| format!("no address in {result}"))
}

/// What one of the containers is called that servers know.
pub(super) fn name_of(number: u16) -> String {
    format!("e{number}")
}

/// Its address: above those that are handed out first.
pub(super) fn address_of(number: u16) -> Ipv4Addr {
    let [high, low] = (number / 250 * 256 + number % 250 + 1).to_be_bytes();
    Ipv4Addr::new(10, 90, high + 64, low)
}

/// What is remembered of one of them; all live in the namespace of `example`.
fn held(example: &Record, number: u16) -> Result<Record> {
    let address = IpAddr::V4(address_of(number));
    Ok(Record {
        key: Host::attachment(&format!("held-{number}"))?,
        names: std::iter::once(name_of(number).parse()?).collect(),
        addresses: vec![format!("{address}/16").parse()?],
        ..example.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_thousand_containers_have_addresses_of_their_own_in_the_subnet() {
        let all: HashSet<Ipv4Addr> = (0..10_000).map(address_of).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|address| address.octets()[..2] == [10, 90]), "{all:?}");
    }

    #[test]
    fn the_address_of_a_result_is_its_first() {
        let result = json!({ "ips": [{ "address": "10.90.0.7/16" }] });
        assert_eq!(address_in(&result).unwrap(), Ipv4Addr::new(10, 90, 0, 7));
        assert!(address_in(&json!({})).is_err());
    }
}
