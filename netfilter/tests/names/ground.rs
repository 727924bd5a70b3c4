//! A host with a bridge, containers on it, and servers that say who they are and whom they see.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use cni::record::{NetnsId, boot_id};
use netfilter::kind::Kind;
use netfilter::{Claim, Filter, Resolver, kind};
use netns_fixtures::{Container, Feature, Lab, Namespace};
use std::os::unix::fs::MetadataExt;
use types::Attachment;

/// How long an answer may take. It is there to end a case, not to measure.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long silence is waited for.
const SILENCE: Duration = Duration::from_millis(400);

pub(crate) const GATEWAYS: [&str; 2] = ["10.1.0.1", "fd00:1::1"];
pub(crate) const BRIDGE: &str = "cni0";
/// Where resolvers listen.
pub(crate) const PORT: u16 = 1021;

/// Gives the host a bridge with gateway addresses of both families.
pub(crate) fn bridge(lab: &Lab) {
    let host = lab.host();
    host.run(&format!("ip link add dev {BRIDGE} type bridge"));
    host.run(&format!("ip link set dev {BRIDGE} up"));
    host.run(&format!("ip addr add {}/24 dev {BRIDGE}", GATEWAYS[0]));
    host.run(&format!("ip addr add {}/64 dev {BRIDGE} nodad", GATEWAYS[1]));
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        host.set_sysctl(key, "1");
    }
}

/// A container on that bridge at `10.1.0.<number>` and `fd00:1::<number>`.
pub(crate) fn container(lab: &Lab, number: u8) -> Container {
    let c = lab.container(&format!("c{number}"));
    let port = format!("veth{number}");
    lab.wire((lab.host(), &port), (&c, "eth0"));
    lab.host().run(&format!("ip link set dev {port} master {BRIDGE}"));
    c.run("ip link set dev lo up");
    c.run(&format!("ip addr add 10.1.0.{number}/24 dev eth0"));
    c.run(&format!("ip addr add fd00:1::{number}/64 dev eth0 nodad"));
    c.run(&format!("ip route add default via {}", GATEWAYS[0]));
    c
}

/// A neighbour of the host at `192.0.2.7`, whose packets to the containers' subnet go by the host.
pub(crate) fn lan(lab: &Lab) -> Namespace {
    let lan = lab.another_host("lan");
    lab.wire((lab.host(), "wan0"), (&lan, "eth0"));
    lab.host().run("ip addr add 192.0.2.1/24 dev wan0");
    lan.run("ip addr add 192.0.2.7/24 dev eth0");
    lan.run("ip route add 10.1.0.0/16 via 192.0.2.1");
    lan
}

/// Sets whether bridged frames are shown to the packet filter, where the kernel can.
pub(crate) fn show_bridged_frames(lab: &Lab, shown: bool) {
    if shown {
        lab.needs(Feature::BrNetfilter);
    }
    for switch in ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"] {
        if lab.host().sysctl(switch).is_some() {
            lab.host().set_sysctl(switch, if shown { "1" } else { "0" });
        }
    }
}

/// The packet filter of the lab's host, for `dnsname`.
pub(crate) fn filter() -> Filter {
    of_kind(&kind::Names)
}

pub(crate) fn of_kind(kind: &'static dyn Kind) -> Filter {
    Filter::open(Path::new("/run/cais"), kind).unwrap()
}

pub(crate) fn key(network: &str, c: &Container) -> Attachment {
    Attachment {
        network: network.parse().unwrap(),
        container: c.id().parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

pub(crate) fn resolver(address: &str, port: u16) -> Resolver {
    Resolver { link: BRIDGE.parse().unwrap(), address: address.parse().unwrap(), port }
}

/// What `dnsname` wants for a container: that both gateways lead to `port`.
pub(crate) fn claim(network: &str, c: &Container, port: u16) -> Claim {
    let path = c.path().to_str().unwrap().to_owned();
    let inode = std::fs::metadata(c.path()).unwrap().ino();
    let id = NetnsId { inode, boot: boot_id().unwrap() };
    let mut claim = Claim::new(key(network, c), netfilter::Claimant::Names, path, id);
    claim.resolvers = GATEWAYS.map(|address| resolver(address, port)).into();
    claim
}

/// Answers at `at`, in TCP and UDP, until the case ends: `name` and the client's address. What waits
/// for a client is bound when this returns.
#[track_caller]
pub(crate) fn serve(place: &Namespace, name: &str, at: (&str, u16)) {
    let at = SocketAddr::new(at.0.parse().unwrap(), at.1);
    let bound: io::Result<_> = place.within(|| Ok((TcpListener::bind(at)?, UdpSocket::bind(at)?)));
    let (tcp, udp) = bound.unwrap_or_else(|error| panic!("bind {at}: {error}"));
    let name = name.to_owned();
    let answer = move |client: SocketAddr| format!("{name} {}", client.ip().to_canonical());
    let of_tcp = answer.clone();
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let client = stream.peer_addr().unwrap();
            let _ = stream.write_all(of_tcp(client).as_bytes());
        }
    });
    thread::spawn(move || {
        let mut question = [0; 16];
        while let Ok((_, client)) = udp.recv_from(&mut question) {
            let _ = udp.send_to(answer(client).as_bytes(), client);
        }
    });
}

/// How a program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    /// With a socket that is connected, as most resolvers of C libraries do.
    Connected,
    /// With one that is not, and compares where the answer comes from.
    Unconnected,
}

const WAYS: [Way; 3] = [Way::Tcp, Way::Connected, Way::Unconnected];

fn ask(place: &Namespace, way: Way, at: SocketAddr, wait: Duration) -> io::Result<String> {
    place.within(|| {
        let mut text = String::new();
        if way == Way::Tcp {
            let mut stream = TcpStream::connect_timeout(&at, wait)?;
            stream.set_read_timeout(Some(wait))?;
            stream.read_to_string(&mut text)?;
            return Ok(text);
        }
        let any: IpAddr = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(wait))?;
        if way == Way::Connected {
            socket.connect(at)?;
            socket.send(b"who")?;
        } else {
            socket.send_to(b"who", at)?;
        }
        let mut answer = [0; 256];
        let (length, from) = socket.recv_from(&mut answer)?;
        if from != at {
            return Err(io::Error::other(format!("the answer comes from {from}")));
        }
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    })
}

/// Claims that `name` answers there in every way, and saw `client`.
#[track_caller]
pub(crate) fn assert_answers(place: &Namespace, at: (&str, u16), name: &str, client: &str) {
    let at = SocketAddr::new(at.0.parse().unwrap(), at.1);
    for way in WAYS {
        let answer = ask(place, way, at, DEADLINE)
            .unwrap_or_else(|error| panic!("{} asks at {at}, {way:?}: {error}", place.name()));
        assert_eq!(answer, format!("{name} {client}"), "{} asks at {at}, {way:?}", place.name());
    }
}

/// Claims that nobody answers there.
#[track_caller]
pub(crate) fn assert_silent(place: &Namespace, at: (&str, u16)) {
    let at = SocketAddr::new(at.0.parse().unwrap(), at.1);
    for way in WAYS {
        let answer = ask(place, way, at, SILENCE);
        assert!(answer.is_err(), "{} asks at {at}, {way:?}, is told {answer:?}", place.name());
    }
}

/// Runs a shell script on the lab's host.
#[track_caller]
pub(crate) fn sh(lab: &Lab, script: &str) -> String {
    std::fs::write("/run/script", script).unwrap();
    lab.host().run("sh -e /run/script")
}
