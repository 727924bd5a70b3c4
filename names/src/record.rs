//! What is remembered of one container on one network.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use cni::json::{Object, Value};
use cni::record::NetnsId;
use cni::{Error, code};
use serde::Serialize;
use types::{Attachment, Cidr, IfName};

use crate::name::{Name, Names};

/// Layout number of the file; a reader of another one leaves the file alone.
const LAYOUT: u32 = 1;

/// Everything that the daemon must know to answer for and to one attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub key: Attachment,
    /// Path of the container's namespace as the runtime gave it.
    pub netns: String,
    /// Identity of that namespace.
    pub netns_id: NetnsId,
    /// What it is called; the first is what its addresses are called.
    pub names: Names,
    /// Its addresses, with the network's prefix.
    pub addresses: Vec<Cidr>,
    /// Gateways of the network, which answer to the names that stand for the host.
    pub gateways: Vec<IpAddr>,
    /// A higher one comes first where a container has several networks.
    pub priority: i32,
    /// Whether names of all its networks are answered together, not those of the first that has any.
    pub merge: bool,
    /// Whether nothing may be asked outside on behalf of this network.
    pub internal: bool,
    /// What may follow every name, as `dns.podman`.
    pub suffix: Option<Name>,
    /// Whom to ask what is no container's name; empty: whom the host asks.
    pub servers: Vec<Server>,
    /// The same for this container alone, before them.
    pub own_servers: Vec<Server>,
    /// Where the daemon answers.
    pub places: Vec<Place>,
}

/// A name server: an address, and a port where it is not 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server(pub SocketAddr);

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| {
            "is no address of a name server, such as 192.0.2.1 or [2001:db8::1]:5353".to_owned()
        })
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.port() {
            53 => self.0.ip().fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

/// Where the daemon answers, by UDP and TCP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At the gateway's address on a bridge of the host, for all containers of the network.
    Gateway {
        /// The bridge.
        link: IfName,
        /// Its number: another bridge of that name needs other sockets.
        index: u32,
        /// The gateway.
        address: IpAddr,
        /// The port; packets to port 53 are redirected there.
        port: u16,
    },
    /// At [`ADDRESS`](crate::ADDRESS) in the container's own namespace.
    Container {
        /// The port; packets to port 53 are redirected there.
        port: u16,
    },
}

impl Place {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Gateway { port, .. } | Self::Container { port } => *port,
        }
    }

    /// The same place at another port.
    #[must_use]
    pub fn at_port(&self, port: u16) -> Self {
        match self.clone() {
            Self::Gateway { link, index, address, .. } => {
                Self::Gateway { link, index, address, port }
            }
            Self::Container { .. } => Self::Container { port },
        }
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    layout: u32,
    network: &'a str,
    container: &'a str,
    ifname: &'a str,
    netns: &'a str,
    inode: u64,
    boot: &'a str,
    names: Vec<&'a str>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<IpAddr>,
    #[serde(skip_serializing_if = "is_zero")]
    priority: i32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    merge: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<String>,
    #[serde(rename = "ownServers", skip_serializing_if = "Vec::is_empty")]
    own_servers: Vec<String>,
    places: Vec<PlaceShape<'a>>,
}

#[derive(Serialize)]
struct PlaceShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    port: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Record {
    /// A record that says nothing but whose it is, and where the daemon answers.
    #[must_use]
    pub fn bare(key: Attachment, places: Vec<Place>) -> Self {
        Self {
            key,
            netns: String::new(),
            netns_id: NetnsId::default(),
            names: Names::default(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            priority: 0,
            merge: false,
            internal: false,
            suffix: None,
            servers: Vec::new(),
            own_servers: Vec::new(),
            places,
        }
    }

    /// The record as one JSON object.
    #[must_use]
    pub fn encode(&self) -> String {
        let texts = |servers: &[Server]| servers.iter().map(ToString::to_string).collect();
        let shape = Shape {
            layout: LAYOUT,
            network: self.key.network.as_str(),
            container: self.key.container.as_str(),
            ifname: self.key.ifname.as_str(),
            netns: &self.netns,
            inode: self.netns_id.inode,
            boot: &self.netns_id.boot,
            names: self.names.as_slice().iter().map(Name::as_str).collect(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            gateways: self.gateways.clone(),
            priority: self.priority,
            merge: self.merge,
            internal: self.internal,
            suffix: self.suffix.as_ref().map(Name::as_str),
            servers: texts(&self.servers),
            own_servers: texts(&self.own_servers),
            places: self.places.iter().map(place_shape).collect(),
        };
        serde_json::to_string(&shape).expect("a record has text keys and no failing parts")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Code 50 for another layout, naming both; else what is wrong with which key.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Self::read(&Object::parse(text)?)
    }

    pub(crate) fn read(object: &Object<'_>) -> Result<Self, Error> {
        let layout = object.number("layout")?.unwrap_or_default();
        if layout != LAYOUT {
            let text =
                format!("a record of names has layout {layout}, this program reads {LAYOUT}");
            return Err(Error::new(code::NOT_AVAILABLE, text)
                .with_hint("cais-dnsd and the plugins are of different versions"));
        }
        Ok(Self {
            key: key(object)?,
            netns: object.string("netns")?.unwrap_or_default(),
            netns_id: NetnsId {
                inode: inode(object)?,
                boot: object.string("boot")?.unwrap_or_default(),
            },
            names: parsed::<Name>(object, "names")?.into_iter().collect(),
            addresses: parsed(object, "addresses")?,
            gateways: parsed(object, "gateways")?,
            priority: object
                .integer("priority", i64::from(i32::MIN)..=i64::from(i32::MAX))?
                .map_or(0, |number| number as i32),
            merge: object.flag("merge")?,
            internal: object.flag("internal")?,
            suffix: object.parsed("suffix")?,
            servers: parsed(object, "servers")?,
            own_servers: parsed(object, "ownServers")?,
            places: object.list("places")?.iter().map(place).collect::<Result<_, _>>()?,
        })
    }
}

fn place_shape(place: &Place) -> PlaceShape<'_> {
    match place {
        Place::Gateway { link, index, address, port } => PlaceShape {
            link: Some(link.as_str()),
            index: Some(*index),
            address: Some(*address),
            port: *port,
        },
        Place::Container { port } => {
            PlaceShape { link: None, index: None, address: None, port: *port }
        }
    }
}

fn place(value: &Value<'_>) -> Result<Place, Error> {
    let object = value.object()?;
    let port = object.integer("port", 1..=65535)?.ok_or_else(|| missing("port"))? as u16;
    match object.parsed("link")? {
        None => Ok(Place::Container { port }),
        Some(link) => Ok(Place::Gateway {
            link,
            index: object.number("index")?.ok_or_else(|| missing("index"))?,
            address: required(&object, "address")?,
            port,
        }),
    }
}

pub(crate) fn key(object: &Object<'_>) -> Result<Attachment, Error> {
    Ok(Attachment {
        network: required(object, "network")?,
        container: required(object, "container")?,
        ifname: required(object, "ifname")?,
    })
}

pub(crate) fn missing(key: &str) -> Error {
    Error::new(code::INVALID_CONFIG, format!("key \"{key}\": missing"))
}

fn required<T: FromStr<Err: Display>>(object: &Object<'_>, key: &str) -> Result<T, Error> {
    object.parsed(key)?.ok_or_else(|| missing(key))
}

fn inode(object: &Object<'_>) -> Result<u64, Error> {
    let value = object.get("inode").ok_or_else(|| missing("inode"))?;
    value.raw().get().parse().map_err(|error| value.invalid(error))
}

fn parsed<T: FromStr<Err: Display>>(object: &Object<'_>, key: &str) -> Result<Vec<T>, Error> {
    object.list(key)?.iter().map(Value::parsed).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(network: &str, container: &str) -> Record {
        Record {
            key: Attachment {
                network: network.parse().unwrap(),
                container: container.parse().unwrap(),
                ifname: "eth0".parse().unwrap(),
            },
            netns: "/run/netns/a".to_owned(),
            netns_id: NetnsId { inode: 4_026_531_840, boot: "b".to_owned() },
            names: ["web", "www", "*.shop.local"]
                .map(|name| name.parse().unwrap())
                .into_iter()
                .collect(),
            addresses: vec!["10.90.1.2/24".parse().unwrap(), "fd00:90:1::2/64".parse().unwrap()],
            gateways: vec!["10.90.1.1".parse().unwrap()],
            priority: -7,
            merge: true,
            internal: true,
            suffix: Some("dns.podman".parse().unwrap()),
            servers: vec!["192.0.2.1".parse().unwrap()],
            own_servers: vec!["[2001:db8::1]:5353".parse().unwrap()],
            places: vec![
                Place::Gateway {
                    link: "br-web".parse().unwrap(),
                    index: 5,
                    address: "10.90.1.1".parse().unwrap(),
                    port: 1021,
                },
                Place::Container { port: 1020 },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let whole = record("web", "c1");
        assert_eq!(Record::parse(whole.encode().as_bytes()), Ok(whole.clone()));
        let bare = Record {
            gateways: vec![],
            priority: 0,
            merge: false,
            internal: false,
            suffix: None,
            servers: vec![],
            own_servers: vec![],
            ..whole
        };
        assert_eq!(Record::parse(bare.encode().as_bytes()), Ok(bare));
    }

    #[test]
    fn a_torn_record_is_an_error_wherever_it_is_cut() {
        let text = record("web", "c1").encode();
        for length in 0..text.len() {
            assert!(Record::parse(&text.as_bytes()[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn another_layout_is_named_with_ours() {
        let error = Record::parse(br#"{"layout":9}"#).unwrap_err();
        assert_eq!(error.code, code::NOT_AVAILABLE);
        assert!(error.msg.contains("layout 9, this program reads 1"), "{error}");
    }
}
