use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use names::{Name, Record, Server};
use types::{Attachment, Cidr, IfName};

/// One container on one network: of its record what answers need, since there may be many.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The container.
    pub container: Rc<str>,
    /// The network.
    pub network: Rc<str>,
    /// The interface within the container.
    pub ifname: IfName,
    /// What it is called, in lower case; the first is what its addresses are called.
    pub names: Box<[Rc<str>]>,
    /// Its addresses.
    pub addresses: Box<[Cidr]>,
    /// A higher one comes first.
    pub priority: i32,
    /// Whether names of all its networks are answered together.
    pub merge: bool,
    /// Whom the container asks before all others.
    pub servers: Box<[Server]>,
}

impl Endpoint {
    pub(super) fn new(record: &Record, container: Rc<str>, network: Rc<str>) -> Self {
        Self {
            container,
            network,
            ifname: record.key.ifname.clone(),
            names: record
                .names
                .as_slice()
                .iter()
                .map(|name| Rc::from(Name::as_str(name)))
                .collect(),
            addresses: record.addresses.clone().into(),
            priority: record.priority,
            merge: record.merge,
            servers: record.own_servers.clone().into(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn key(&self) -> Attachment {
        let was = "it was the name of one in the record";
        Attachment {
            network: self.network.parse().expect(was),
            container: self.container.parse().expect(was),
            ifname: self.ifname.clone(),
        }
    }

    /// Its IPv4 addresses.
    pub fn v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.addresses.iter().filter_map(|cidr| match cidr.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// Its IPv6 addresses.
    pub fn v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.addresses.iter().filter_map(|cidr| match cidr.ip() {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
    }

    /// The first name that its addresses can be called by.
    #[must_use]
    pub fn called(&self) -> Option<&str> {
        self.names.iter().find(|name| !name.starts_with('*')).map(|name| &**name)
    }
}
