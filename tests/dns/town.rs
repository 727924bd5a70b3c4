//! A host with three networks, whose containers are called something, and an internet of two name
//! servers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use netns_fixtures::{Lab, Namespace};
use serde_json::{Value, json};

use super::message::Record;
use super::resident::{Person, Resident};
use super::upstream::{U1, U2, Upstream, always, knowing};
use crate::under_test::only_ours;

/// Where the host's own `/etc` is found once the lab's covers it.
const ETC: &str = "/run/lab/etc";

/// The address of the host on its way to the internet.
pub(crate) const UPLINK: &str = "203.0.113.100";

/// A network of the town.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: &'static str,
    pub(crate) bridge: &'static str,
    /// The first three bytes of its addresses.
    pub(crate) v4: &'static str,
    /// What its IPv6 addresses begin with.
    pub(crate) v6: Option<&'static str>,
    pub(crate) internal: bool,
}

pub(crate) const N1: &Network = &Network {
    name: "n1",
    bridge: "br-n1",
    v4: "10.90.1",
    v6: Some("fd00:90:1:"),
    internal: false,
};
pub(crate) const N2: &Network =
    &Network { name: "n2", bridge: "br-n2", v4: "10.90.2", v6: None, internal: false };
pub(crate) const INT1: &Network =
    &Network { name: "int1", bridge: "br-int1", v4: "10.90.3", v6: None, internal: true };

impl Network {
    /// The address of the gateway.
    pub(crate) fn gateway(&self) -> String {
        format!("{}.1", self.v4)
    }

    /// The addresses of the container of that number.
    pub(crate) fn addresses(&self, number: u16) -> Vec<String> {
        let v4 = format!("{}.{number}/{}", self.v4, if number > 255 { 16 } else { 24 });
        let v6 = self.v6.map(|v6| format!("{v6}:{number}/64"));
        std::iter::once(v4).chain(v6).collect()
    }

    /// `bridge` as the town has it; only a container's first network has its default route.
    pub(crate) fn plugin(&self, is_first: bool) -> Value {
        let mut ranges = vec![json!([{ "subnet": format!("{}.0/24", self.v4) }])];
        ranges.extend(self.v6.map(|v6| json!([{ "subnet": format!("{v6}:/64") }])));
        json!({
            "type": "bridge", "bridge": self.bridge,
            "isGateway": true, "isDefaultGateway": is_first && !self.internal,
            "ipMasq": !self.internal, "internal": self.internal,
            "capabilities": { "ips": true },
            "ipam": { "type": "host-local", "ranges": ranges },
        })
    }
}

/// The host, the internet, and who was asked what there.
pub(crate) struct Town<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) internet: Namespace,
    pub(crate) u1: Upstream,
    pub(crate) u2: Upstream,
    /// More keys of every `dnsname`.
    keys: Value,
}

impl<'lab> Town<'lab> {
    /// A town without containers.
    pub(crate) fn new(lab: &'lab Lab) -> Self {
        Self::with(lab, &json!({}))
    }

    /// The same with more keys of every `dnsname`.
    pub(crate) fn with(lab: &'lab Lab, keys: &Value) -> Self {
        only_ours(lab, "set has nobody who answers to names");
        cover_etc(lab);
        let host = lab.host();
        let internet = lab.another_host("internet");
        lab.wire((host, "up0"), (&internet, "eth0"));
        host.run(&format!("ip addr add {UPLINK}/24 dev up0"));
        host.run(&format!("ip route add default via {U1}"));
        for number in 1..=4 {
            internet.run(&format!("ip addr add 203.0.113.{number}/24 dev eth0"));
        }
        let u1 = Upstream::start(&internet, "U1", U1);
        let u2 = Upstream::start(&internet, "U2", U2);
        u1.does(knowing(vec![Record::address("example.com", "192.0.2.101", 100)]));
        u2.does(always("192.0.2.202"));
        let town = Self { lab, internet, u1, u2, keys: keys.clone() };
        town.host_asks(&format!("nameserver {U1}\nnameserver {U2}\n"));
        town
    }

    /// Replaces the host's resolv.conf, by another file of that name.
    pub(crate) fn host_asks(&self, text: &str) {
        fs::write("/etc/.resolv.conf.new", text).unwrap();
        fs::rename("/etc/.resolv.conf.new", "/etc/resolv.conf").unwrap();
    }

    /// Writes the daemon's options, for when it is started.
    pub(crate) fn configure(&self, options: &Value) {
        fs::write("/etc/cais/dnsd.json", options.to_string()).unwrap();
    }

    /// `dnsname` as the town has it.
    pub(crate) fn dnsname(&self) -> Value {
        let mut config = json!({
            "type": "dnsname", "domainName": "dns.podman", "capabilities": { "aliases": true },
        });
        for (key, value) in self.keys.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        config
    }

    /// Attaches a container to all its networks.
    #[track_caller]
    pub(crate) fn receive(&self, resident: Resident) -> Person<'_> {
        let person = Person::born(self, resident);
        person.attach_all();
        person
    }

    /// Claims that neither server was asked anything.
    #[track_caller]
    pub(crate) fn assert_nobody_was_asked(&self) {
        let asked = self.u1.asked().len() + self.u2.asked().len();
        assert_eq!(asked, 0, "something left the host\n{}", self.report());
    }

    /// Forgets what both servers were asked.
    pub(crate) fn forget(&self) {
        self.u1.forget();
        self.u2.forget();
    }

    /// What both servers were asked.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        let _ = writeln!(report, "  {}\n  {}", self.u1.report(), self.u2.report());
        report
    }
}

/// Covers `/etc` with one of the lab, in which everything is found as before but what cases write:
/// the host's resolv.conf and our options.
fn cover_etc(lab: &Lab) {
    let host = lab.host();
    fs::create_dir_all(ETC).unwrap();
    host.run(&format!("mount --rbind /etc {ETC}"));
    host.run("mount -t tmpfs -o mode=755 tmpfs /etc");
    for entry in fs::read_dir(ETC).unwrap().flatten() {
        let name = entry.file_name();
        if name == "resolv.conf" || name == "cais" || name == "hosts" {
            continue;
        }
        std::os::unix::fs::symlink(entry.path(), Path::new("/etc").join(name)).unwrap();
    }
    fs::create_dir_all("/etc/cais").unwrap();
    fs::write("/etc/hosts", "127.0.0.1 localhost\n").unwrap();
}
