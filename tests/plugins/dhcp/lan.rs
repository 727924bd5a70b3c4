//! A network with a DHCP server, and the daemon under test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use netns_fixtures::{Container, Lab, Namespace, Process, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dns::daemon::wait_until;

/// To end a case, not to measure.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the daemon listens.
pub(super) const SOCKET: &str = "/run/cni/dhcp.sock";

/// A server on a bridge of its own: 10.9.0.1, with 10.9.0.10 to 10.9.0.50 to give.
pub(crate) struct Lan {
    pub(super) server: Namespace,
    log: PathBuf,
    serving: Option<Serving>,
    traceless: Option<Process>,
}

struct Serving {
    _dnsmasq: Process,
    _tail: Process,
    lines: Receiver<String>,
}

impl Lan {
    /// With `options` in the words of dnsmasq(8): `--dhcp-option=option:router,10.9.0.1`.
    pub(super) fn new(lab: &Lab, options: &[&str]) -> Self {
        let mut lan = Self::silent(lab);
        lan.serve("10.9.0.10,10.9.0.50", options);
        lan
    }

    /// That keeps no files, for cases that compare what there is.
    pub(crate) fn traceless(lab: &Lab) -> Self {
        let mut lan = Self::silent(lab);
        let command = "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br0 \
             --user=root --no-ping --log-facility=/dev/null --pid-file= --leasefile-ro \
             --dhcp-range=10.9.0.10,10.9.0.50,2m";
        lan.traceless = Some(lan.server.spawn(command));
        lan
    }

    /// Plugs `container`, which knows nothing of a lab, in as `eth0`.
    pub(crate) fn plug_in(container: &Container) {
        let (port, server) = (format!("p-{}", container.id()), "/run/lab/server");
        container.run(&format!("ip link add dev eth0 type veth peer name {port} netns {server}"));
        container.run(&format!("nsenter --net={server} ip link set dev {port} master br0 up"));
    }

    /// Without anybody who serves.
    pub(super) fn silent(lab: &Lab) -> Self {
        if lab.host().try_run("dnsmasq --version").status.code() != Some(0) {
            skip("needs dnsmasq (package dnsmasq-base)");
        }
        let server = lab.another_host("server");
        server.run("ip link add dev br0 type bridge");
        server.run("ip addr add 10.9.0.1/24 dev br0");
        server.run("ip link set dev br0 up");
        server.run("nft add table inet seen");
        server.run("nft add chain inet seen in { type filter hook input priority 0; }");
        Self { server, log: "/run/dnsmasq.log".into(), serving: None, traceless: None }
    }

    /// Begins to serve `range`, in place of what was served before.
    pub(super) fn serve(&mut self, range: &str, options: &[&str]) {
        self.serving = None;
        fs::write(&self.log, "").unwrap();
        let command = format!(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br0 --user=root \
             --no-ping --log-dhcp --log-facility={} --pid-file= --dhcp-leasefile=/run/leases \
             --dhcp-authoritative --dhcp-range={range},2m {}",
            self.log.display(),
            options.join(" "),
        );
        let dnsmasq = self.server.spawn(&command);
        let mut tail = self.server.spawn(&format!("tail -n +1 -s 0.05 -F {}", self.log.display()));
        let (to, lines) = channel();
        let from = BufReader::new(tail.stdout());
        // Ends with the tail.
        thread::spawn(move || from.lines().map_while(Result::ok).all(|line| to.send(line).is_ok()));
        let serving = Serving { _dnsmasq: dnsmasq, _tail: tail, lines };
        serving.wait_for("started");
        self.serving = Some(serving);
    }

    /// The next line of its log with `word`.
    #[track_caller]
    pub(super) fn wait_for(&self, word: &str) -> String {
        self.serving.as_ref().expect("somebody serves").wait_for(word)
    }

    /// Plugs `container` in by a link of that name.
    pub(super) fn plug(&self, container: &Container, ifname: &str) {
        let port = format!("p-{}", container.id());
        self.server.run(&format!(
            "ip link add dev {port} master br0 type veth peer name {ifname} netns {}",
            container.path().display()
        ));
        self.server.run(&format!("ip link set dev {port} up"));
    }

    /// Counts packets that match `what`, in the words of nft(8), from now on.
    pub(super) fn count(&self, what: &str) {
        self.server.run(&format!("nft add rule inet seen in udp dport 67 {what} counter"));
    }

    /// Takes no packets that match `what` any more.
    pub(super) fn ignore(&self, what: &str) {
        self.server.run(&format!("nft add rule inet seen in udp dport 67 {what} drop"));
    }

    /// How many packets were counted, rule by rule.
    pub(super) fn counted(&self) -> Vec<u64> {
        let all = self.server.json("nft -j list chain inet seen in");
        let rules = all["nftables"].as_array().into_iter().flatten();
        let expressions = rules.flat_map(|r| r["rule"]["expr"].as_array().into_iter().flatten());
        expressions.filter_map(|one| one["counter"]["packets"].as_u64()).collect()
    }
}

impl Serving {
    #[track_caller]
    fn wait_for(&self, word: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = String::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("the server never said {word:?}, but:\n{seen}");
            };
            if line.contains(word) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
    }
}

/// `dhcp daemon`; killed when dropped.
pub(crate) struct Daemon {
    process: Process,
}

impl Daemon {
    pub(crate) fn start(lab: &Lab) -> Self {
        Self::with(lab, "")
    }

    /// With `flags`.
    pub(super) fn with(lab: &Lab, flags: &str) -> Self {
        Self::run(lab, "", flags)
    }

    /// Under another program.
    pub(super) fn under(lab: &Lab, wrapper: &str) -> Self {
        Self::run(lab, wrapper, "")
    }

    fn run(lab: &Lab, wrapper: &str, flags: &str) -> Self {
        let program = lab.plugins().join("dhcp");
        let process = lab.host().spawn(&format!("{wrapper} {} daemon {flags}", program.display()));
        let daemon = Self { process };
        until("the daemon listens", || is_listening(Path::new(SOCKET)));
        daemon
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }
}

/// Whether somebody listens at `path`, as the kernel says, which knows ours by its first name.
pub(super) fn is_listening(path: &Path) -> bool {
    /// `__SO_ACCEPTCON` of `linux/net.h`.
    const LISTENS: &str = "00010000";
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let mut first = path.as_os_str().to_owned();
    first.push(".new");
    let names = [path.to_str(), first.to_str()];
    let mut fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.any(|fields| fields.get(3) == Some(&LISTENS) && names.contains(&fields.last().copied()))
        && path.exists()
}

/// Looks again and again; what it looks at tells of no event.
#[track_caller]
pub(super) fn until(what: &str, done: impl Fn() -> bool) {
    wait_until(what, PATIENCE, done);
}
