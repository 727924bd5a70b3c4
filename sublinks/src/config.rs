//! What the user wrote, as far as all such links have it: keys, and types that cannot be wrong.

use attach::keys;
use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Dns, Error};
use types::{IfName, MacAddr, Mtu};

/// Everything that is to be known of a network and of one attachment to it, but the kind of link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the link stands on.
    pub master: Master,
    /// Largest packet in bytes; `None`: the master's.
    pub mtu: Option<Mtu>,
    /// Ethernet address; `None`: the kernel's choice.
    pub mac: Option<MacAddr>,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin; `None`: layer 2 only.
    pub ipam: Option<String>,
}

/// The link that others stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Its name; `None`: whichever the default route leaves by.
    pub name: Option<IfName>,
    /// Where it lives.
    pub place: Place,
}

/// Where a master lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the host.
    Host,
    /// In the container, where an earlier plugin of the list made it.
    Container,
}

/// What the link stands on.
pub const MASTER: Key = Key {
    path: "master",
    kind: Kind::Text,
    default: "the link of the default route",
    doc: "Name of the link that the container's stands on. It has to be there.",
};
/// Where the master lives.
pub const LINK_IN_CONTAINER: Key = Key {
    path: "linkInContainer",
    kind: Kind::Flag,
    default: "false",
    doc: "Looks for the master in the container's namespace instead of the host's.",
};
/// Largest packet.
pub const MTU: Key = Key {
    path: "mtu",
    kind: Kind::Integer(0, 65535),
    default: "0 (the master's)",
    doc: "MTU in bytes; 0, or 68 to that of the master.",
};

impl Config {
    /// Reads what ADD and CHECK need. `mac` is read by the plugin, since not all kinds have one.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path and its value quoted.
    pub fn parse(network: &Network, mac: Option<MacAddr>) -> Result<Self, Error> {
        let object = network.object()?;
        Ok(Self {
            master: Master::parse(&object)?,
            mtu: keys::mtu(&object)?,
            mac,
            dns: keys::dns(&object)?,
            ipam: network.ipam_type()?,
        })
    }
}

impl Master {
    fn parse(object: &Object<'_>) -> Result<Self, Error> {
        let place = match object.flag("linkInContainer")? {
            true => Place::Container,
            false => Place::Host,
        };
        Ok(Self { name: object.parsed("master")?, place })
    }
}
