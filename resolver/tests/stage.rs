//! A host with a bridge, containers on it, and who gives them names.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::record::{NetnsId, boot_id};
use kernel::netns::Netns;
use names::{Client, PORT, Place, Record};
use netns_fixtures::{Container, Lab};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use types::Attachment;

/// Longer than anything takes that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Until it is asked again.
const MOMENT: Duration = Duration::from_millis(200);

pub(crate) const RUN_DIR: &str = "/run/cais";
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 90, 1, 1);

/// What most cases begin with.
pub(crate) struct Stage<'a> {
    lab: &'a Lab,
    path: Vec<PathBuf>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_cais-dnsd"));
        Self::with_program_in(lab, program.parent().unwrap())
    }

    /// The same with the program of another directory.
    pub(crate) fn with_program_in(lab: &'a Lab, directory: &Path) -> Self {
        let host = lab.host();
        host.run("ip link add name br0 type bridge");
        host.run("ip link set dev br0 up");
        host.run(&format!("ip addr add {GATEWAY}/24 dev br0"));
        Self { lab, path: vec![directory.to_owned()] }
    }

    pub(crate) fn client(&self) -> Client<'_> {
        Client::new(Path::new(RUN_DIR), &self.path)
    }

    /// A container on the bridge, with the address of that number.
    pub(crate) fn container(&self, name: &str, number: u8) -> Container {
        let container = self.lab.container(name);
        self.lab.wire((self.lab.host(), &format!("veth{number}")), (&container, "eth0"));
        self.lab.host().run(&format!("ip link set dev veth{number} master br0"));
        container.run("ip link set dev lo up");
        container.run(&format!("ip addr add 10.90.1.{number}/24 dev eth0"));
        container
    }

    pub(crate) fn record(&self, container: &Container, number: u8) -> Record {
        Record {
            key: key("n1", container.id()),
            names: std::iter::once(container.id().parse().unwrap()).collect(),
            ..self.record_of(container.path().to_str().unwrap(), number)
        }
    }

    /// A record of nobody's, in that namespace.
    pub(crate) fn record_of(&self, netns: &str, number: u8) -> Record {
        let index = nix::net::if_::if_nametoindex("br0").unwrap();
        let place = Place::Gateway {
            link: "br0".parse().unwrap(),
            index,
            address: IpAddr::V4(GATEWAY),
            port: PORT,
        };
        let inode = Netns::open(netns).unwrap().inode().unwrap();
        Record {
            netns: netns.to_owned(),
            netns_id: NetnsId { inode, boot: boot_id().unwrap() },
            addresses: vec![format!("10.90.1.{number}/24").parse().unwrap()],
            gateways: vec![IpAddr::V4(GATEWAY)],
            ..Record::bare(key("n1", "nobody"), vec![place])
        }
    }

    /// Registers a container; where the daemon answers for it.
    #[track_caller]
    pub(crate) fn register(&self, container: &Container, record: &Record) -> SocketAddr {
        let netns = Netns::open(container.path()).unwrap();
        let places = self.client().register(record, &netns).unwrap_or_else(|e| panic!("{e:?}"));
        let Place::Gateway { address, port, .. } = places[0] else { panic!("{places:?}") };
        SocketAddr::new(address, port)
    }

    /// What the daemon says about itself.
    #[track_caller]
    pub(crate) fn status(&self) -> String {
        self.client().about(names::Topic::Status).unwrap().expect("a daemon runs")
    }

    /// The process that answers on the control socket.
    #[track_caller]
    pub(crate) fn worker(&self) -> Pid {
        let status = self.status();
        let (_, rest) = status.split_once("\"pid\":").unwrap();
        Pid::from_raw(rest.split(',').next().unwrap().parse().unwrap())
    }

    /// The process that made the control socket: the one that stays.
    pub(crate) fn keeper(&self) -> Pid {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.worker())).unwrap();
        // After the name, which may hold anything: state, then the parent.
        let rest = text.rsplit_once(')').unwrap().1;
        Pid::from_raw(rest.split_whitespace().nth(1).unwrap().parse().unwrap())
    }
}

pub(crate) fn key(network: &str, container: &str) -> Attachment {
    Attachment {
        network: network.parse().unwrap(),
        container: container.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

/// A query for the addresses of `name`.
pub(crate) fn query(name: &str) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

/// What a reply says: its code, and the last IPv4 address.
fn told(reply: &[u8]) -> (u8, Option<Ipv4Addr>) {
    let any = reply[7] > 0;
    let last: [u8; 4] = reply[reply.len() - 4..].try_into().unwrap();
    (reply[3] & 15, any.then(|| Ipv4Addr::from(last)))
}

/// Asks for an address until there is a reply.
#[track_caller]
pub(crate) fn ask(from: &Container, server: SocketAddr, name: &str) -> (u8, Option<Ipv4Addr>) {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if let Some(told) = try_to_ask(from, server, name) {
            return told;
        }
    }
    panic!("no reply of {server} about {name} within {DEADLINE:?}");
}

/// Asks once and waits a moment.
pub(crate) fn try_to_ask(
    from: &Container,
    server: SocketAddr,
    name: &str,
) -> Option<(u8, Option<Ipv4Addr>)> {
    exchange(from, server, name, MOMENT).map(|reply| told(&reply))
}

/// Asks once, and waits as long as it takes: for what must not be lost.
#[track_caller]
pub(crate) fn ask_once(from: &Container, server: SocketAddr, name: &str) -> (u8, Option<Ipv4Addr>) {
    let reply = exchange(from, server, name, DEADLINE);
    told(&reply.unwrap_or_else(|| panic!("no reply of {server} about {name}, asked once")))
}

/// For how many seconds the one address of `name` may be kept.
#[track_caller]
pub(crate) fn ttl(from: &Container, server: SocketAddr, name: &str) -> u32 {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if let Some(reply) = exchange(from, server, name, MOMENT) {
            // Before the address, and its length.
            let field = reply[reply.len() - 10..][..4].try_into().unwrap();
            return u32::from_be_bytes(field);
        }
    }
    panic!("no reply of {server} about {name} within {DEADLINE:?}");
}

fn exchange(
    from: &Container,
    server: SocketAddr,
    name: &str,
    patience: Duration,
) -> Option<Vec<u8>> {
    let packet = query(name);
    in_namespace(from, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.connect(server).unwrap();
        socket.send(&packet).ok()?;
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    })
}

/// The same over TCP.
#[track_caller]
pub(crate) fn ask_by_tcp(
    from: &Container,
    server: SocketAddr,
    name: &str,
) -> (u8, Option<Ipv4Addr>) {
    let packet = query(name);
    in_namespace(from, move || {
        let mut stream = TcpStream::connect_timeout(&server, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(&u16::try_from(packet.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&packet).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply).unwrap();
        told(&reply)
    })
}

pub(crate) fn in_namespace<T: Send>(of: &Container, act: impl FnOnce() -> T + Send) -> T {
    Netns::open(of.path()).unwrap().run(act).unwrap()
}

/// Kills a process and waits until its end is seen from outside.
pub(crate) fn kill_dead(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
    let begun = Instant::now();
    while is_alive(pid) {
        assert!(begun.elapsed() < DEADLINE, "{pid} does not die");
        std::thread::yield_now();
    }
}

/// Whether a process runs; one that is dead but not waited for does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|text| !text.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// How many processes of the daemon run in the lab.
pub(crate) fn daemons() -> usize {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = namespace("self").unwrap();
    let is_one = |pid: &str| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm.trim() == "cais-dnsd") && namespace(pid).as_ref() == Some(&own)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| entry.file_name().to_str().is_some_and(is_one)).count()
}
