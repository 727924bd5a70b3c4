//! The file that lists all hosts of a network where there is no store.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;
use types::{Cidr, Family, Mtu, NetworkName};

use crate::error::{Error, parse};
use crate::ids::{HostId, Vni};
use crate::record::{Block, Host, Network, State, Underlay};

/// The hosts of one network with their blocks, as somebody wrote them down. A block's place in the
/// file is the order of its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFile {
    /// The network's number on the wire.
    pub vni: Vni,
    /// Its pools; all blocks lie in one of them.
    pub pools: Vec<Cidr>,
    /// Its UDP port.
    pub port: u16,
    /// All hosts, this one among them.
    pub hosts: Vec<Host>,
    /// All blocks.
    pub blocks: Vec<Block>,
}

/// The file may not be longer: it is read by every ADD.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(rename = "v")]
    _v: u32,
    vni: u32,
    #[serde(with = "crate::text::list")]
    pools: Vec<Cidr>,
    port: Option<u16>,
    hosts: Vec<HostShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostShape {
    #[serde(with = "crate::text")]
    id: HostId,
    #[serde(deserialize_with = "underlay")]
    underlay: Underlay,
    #[serde(default, deserialize_with = "crate::text::mtu")]
    mtu: Option<Mtu>,
    #[serde(with = "crate::text::list")]
    blocks: Vec<Cidr>,
}

impl StaticFile {
    /// Reads the file at `path`, which has to be a file: a pipe would be waited for.
    ///
    /// # Errors
    /// [`Error::File`], and as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { verb: "read", path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is no file")));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes)
    }

    /// Reads what a file holds.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refuse = |why: String| Err(Error::Invalid(why));
        if bytes.len() > MAX_BYTES {
            return refuse(format!("it has more than {MAX_BYTES} bytes"));
        }
        let shape: Shape = parse(bytes)?;
        let vni = Vni::try_from(shape.vni).map_err(|why| Error::Invalid(why.to_string()))?;
        if shape.pools.is_empty() {
            return refuse("key \"pools\": a network needs one".to_owned());
        }
        for (place, pool) in shape.pools.iter().enumerate() {
            if *pool != pool.network() {
                return refuse(format!("pool {pool} is {} written so", pool.network()));
            }
            if let Some(other) = shape.pools[..place].iter().find(|other| other.overlaps(*pool)) {
                return refuse(format!("pool {pool} overlaps {other}"));
            }
        }
        if shape.port == Some(0) {
            return refuse("key \"port\": 0 is no port".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = shape.hosts.iter().find(|host| !seen.insert(&host.id)) {
            return refuse(format!("host {} is there twice", twice.id));
        }
        let mut blocks = Vec::new();
        for host in &shape.hosts {
            for cidr in &host.blocks {
                let (claimed, state) = (blocks.len() as u64, State::Active);
                let (mac, host) = (host.id.vtep_mac(vni), host.id.clone());
                blocks.push(Block { cidr: *cidr, host, mac, state, claimed });
            }
        }
        let hosts = shape.hosts.into_iter();
        let hosts = hosts.map(|HostShape { id, underlay, mtu, .. }| Host { id, underlay, mtu });
        let port = shape.port.unwrap_or(crate::PORT);
        Ok(Self { vni, pools: shape.pools, port, hosts: hosts.collect(), blocks })
    }

    /// The network that the file is about, under the `name` that its configuration has.
    #[must_use]
    pub fn network(&self, name: NetworkName) -> Network {
        Network { port: self.port, ..Network::new(name, self.vni, self.pools.clone()) }
    }

    /// This host: the one called `id`, else the one whose underlay address is one of `addresses`.
    ///
    /// # Errors
    /// [`Error::NotListed`] where there is none, or more than one.
    pub fn find(&self, id: Option<&HostId>, addresses: &[IpAddr]) -> Result<&Host, Error> {
        let is_own = |host: &&Host| match id {
            Some(id) => host.id == *id,
            None => host.underlay.addresses().iter().any(|ip| addresses.contains(ip)),
        };
        let mut own = self.hosts.iter().filter(is_own);
        match (own.next(), own.next()) {
            (Some(own), None) => Ok(own),
            (Some(one), Some(other)) => Err(Error::NotListed(format!(
                "hosts {} and {} both have addresses of this host",
                one.id, other.id
            ))),
            (None, _) => Err(Error::NotListed(match id {
                Some(id) => format!("it lists no host {id}"),
                None => "it lists no host with an address of this one".to_owned(),
            })),
        }
    }
}

/// One address, or one of each family.
fn underlay<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Underlay, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Either::deserialize(from)? {
        Either::One(text) => vec![text],
        Either::Several(texts) => texts,
    };
    let mut underlay = Underlay::default();
    for text in &texts {
        let ip = types::parse_ip(text)
            .ok_or_else(|| D::Error::custom(format!("\"{text}\" is no IP address")))?;
        let before = match ip {
            IpAddr::V4(ip) => underlay.v4.replace(ip).is_some(),
            IpAddr::V6(ip) => underlay.v6.replace(ip).is_some(),
        };
        if before {
            let family = Family::of(ip);
            return Err(D::Error::custom(format!("a host has one underlay address of {family}")));
        }
    }
    match texts.is_empty() {
        true => Err(D::Error::custom("a host needs an underlay address")),
        false => Ok(underlay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"v": 1, "vni": 4103, "pools": ["10.77.0.0/16", "fd77::/48"], "hosts": [
        {"id": "a", "underlay": "192.0.2.11", "blocks": ["10.77.1.0/24", "fd77:0:0:1::/64"]},
        {"id": "b", "underlay": ["192.0.2.12", "2001:db8::12"], "mtu": 9000,
         "blocks": ["10.77.2.0/24"]}]}"#;

    fn error(from: &str, to: &str) -> String {
        let text = FILE.replacen(from, to, 1);
        assert_ne!(text, FILE, "nothing to replace");
        StaticFile::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_file_lists_hosts_with_their_blocks() {
        let file = StaticFile::parse(FILE.as_bytes()).unwrap();
        assert_eq!((file.vni.get(), file.port, file.blocks.len()), (4103, 4789, 3));
        let own = file.find(None, &["2001:db8::12".parse().unwrap()]).unwrap();
        assert_eq!((own.id.as_str(), own.mtu.map(Mtu::get)), ("b", Some(9000)));
        assert_eq!(file.blocks[0].mac, file.hosts[0].id.vtep_mac(file.vni));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (from, to, says) in [
            (r#""v": 1"#, r#""v": 2"#, "layout 2, this program reads 1"),
            (r#""v": 1, "#, "", "key \"v\": missing"),
            ("4103", "0", "VNI 0 is outside 1..16777215"),
            ("\"10.77.0.0/16\", ", "\"10.77.0.1/16\", ", "10.77.0.1/16 is 10.77.0.0/16 written so"),
            ("fd77::/48", "10.77.3.0/24", "pool 10.77.3.0/24 overlaps 10.77.0.0/16"),
            ("192.0.2.11", "192.0.2", "\"192.0.2\" is no IP address"),
            ("2001:db8::12", "192.0.2.14", "one underlay address of IPv4"),
            ("\"b\"", "\"a\"", "host a is there twice"),
            ("\"b\"", "\"B\"", "\"B\": a host's id has 1 to 64 lower-case letters"),
            ("9000", "12", "MTU 12 is outside"),
            ("10.77.2.0/24", "10.77.2.0", "\"10.77.2.0\": invalid CIDR address"),
            ("\"mtu\"", "\"mut\"", "unknown field `mut`"),
        ] {
            let found = error(from, to);
            assert!(found.contains(says), "{found:?} does not say {says:?}");
        }
    }

    #[test]
    fn a_host_that_is_not_or_doubly_listed_is_an_error() {
        let file = StaticFile::parse(FILE.as_bytes()).unwrap();
        let ips = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
        let none = file.find(None, &ips(&["192.0.2.99"])).unwrap_err();
        assert_eq!(none.to_string(), "it lists no host with an address of this one");
        let both = file.find(None, &ips(&["192.0.2.11", "192.0.2.12"])).unwrap_err();
        assert_eq!(both.to_string(), "hosts a and b both have addresses of this host");
        let named = file.find(Some(&"z".parse().unwrap()), &[]).unwrap_err();
        assert_eq!(named.to_string(), "it lists no host z");
    }
}
