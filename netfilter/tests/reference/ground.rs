//! Hosts on which ours and theirs are done side by side.

use std::process::Command;

use kernel::netlink::Socket;
use kernel::nft::{Batch, Missing};
use netfilter::claim::{Handle, Linked, ReferencePorts};
use netfilter::reference::{Added, portmap};
use netfilter::{Error, HostAddress, Mapping, Masquerade, Protocol, Publication};
use netns_fixtures::{Container, Lab, Namespace};
use types::{Attachment, Family};

/// Does `act` on a host, carries out what it put into the batch, and gives back the handles.
#[track_caller]
pub(crate) fn done(
    host: &Namespace,
    act: impl FnOnce(&Socket, &mut Batch) -> Result<Added, Error> + Send,
) -> Vec<Handle> {
    tried(host, act).unwrap_or_else(|error| panic!("on {}: {error}", host.name()))
}

/// The same for what may be refused.
pub(crate) fn tried(
    host: &Namespace,
    act: impl FnOnce(&Socket, &mut Batch) -> Result<Added, Error> + Send,
) -> Result<Vec<Handle>, Error> {
    asked(host, |socket| {
        let mut batch = Batch::new();
        let added = act(socket, &mut batch)?;
        Ok(added.handles(&batch.commit_with_handles(socket, Missing::Skip)?))
    })
}

/// Calls `act` with a socket of the host.
pub(crate) fn asked<T: Send>(host: &Namespace, act: impl FnOnce(&Socket) -> T + Send) -> T {
    host.within(|| act(&Socket::open_netfilter(host.name()).unwrap()))
}

/// Removes with `act`, which tells whether there was anything.
#[track_caller]
pub(crate) fn removed(
    host: &Namespace,
    act: impl FnOnce(&Socket, &mut Batch) -> Result<bool, Error> + Send,
) -> bool {
    let mut found = false;
    done(host, |socket, batch| {
        found = act(socket, batch)?;
        Ok(Added::default())
    });
    found
}

/// Runs a shell script on a host.
#[track_caller]
pub(crate) fn sh(host: &Namespace, script: &str) -> String {
    let output = host.within(|| Command::new("sh").args(["-ec", script]).output().unwrap());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "on {}: {script}\n{out}{err}", host.name());
    out
}

/// What iptables-save and ip6tables-save print, without dates and counters.
#[track_caller]
pub(crate) fn saved(host: &Namespace) -> Vec<String> {
    let printed = sh(host, "iptables-save; ip6tables-save");
    let lines = printed.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned()).collect()
}

/// Those lines of [`saved`] that contain `text`.
#[track_caller]
pub(crate) fn saved_with(host: &Namespace, text: &str) -> Vec<String> {
    saved(host).into_iter().filter(|line| line.contains(text)).collect()
}

pub(crate) fn key(container: &str) -> Attachment {
    Attachment {
        network: "mynet".parse().unwrap(),
        container: container.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

/// Of container `container`, at 10.1.0.2 and `fd00::2`.
pub(crate) fn publication(container: &str, mappings: Vec<Mapping>) -> Publication {
    let mut publication = Publication::of(key(container), Masquerade::Neighbours);
    publication.v4 = Some("10.1.0.2/24".parse().unwrap());
    publication.v6 = Some("fd00::2/64".parse().unwrap());
    publication.mappings = mappings;
    publication
}

pub(crate) fn mapping(protocol: Protocol, host_port: u16, container_port: u16) -> Mapping {
    Mapping { protocol, host: HostAddress::Any, host_port, container_port, count: 1 }
}

/// The same at one address of the host.
pub(crate) fn at(ip: &str, mapping: Mapping) -> Mapping {
    let host = match ip {
        "0.0.0.0" => HostAddress::All(Family::V4),
        "::" => HostAddress::All(Family::V6),
        ip => HostAddress::One(ip.parse().unwrap()),
    };
    Mapping { host, ..mapping }
}

pub(crate) fn usual() -> ReferencePorts {
    ReferencePorts { mark_bit: 13, set_mark_chain: None, linked: Linked::Yes }
}

/// Publishes in the usual way, for the first time.
#[track_caller]
pub(crate) fn publish_on(host: &Namespace, publication: &Publication) -> Vec<Handle> {
    done(host, |socket, batch| portmap::add(socket, batch, publication, &usual(), &[]))
}

/// A host at 10.99.0.1, and a router at 10.99.0.2 with a container at 10.1.0.2 behind it.
pub(crate) fn behind_a_router(lab: &Lab) -> (Namespace, Namespace, Container) {
    let (outside, router) = (lab.another_host("outside"), lab.another_host("router"));
    let c = lab.container("c1");
    lab.wire((&outside, "eth0"), (&router, "wan"));
    lab.wire((&router, "veth0"), (&c, "eth0"));
    outside.run("ip addr add 10.99.0.1/24 dev eth0");
    router.run("ip addr add 10.99.0.2/24 dev wan");
    router.run("ip addr add 10.1.0.1/24 dev veth0");
    router.set_sysctl("ipv4/ip_forward", "1");
    c.run("ip addr add 10.1.0.2/24 dev eth0");
    c.run("ip route add default via 10.1.0.1");
    (outside, router, c)
}
