use std::net::IpAddr;

use types::{Attachment, Cidr, Family};

use crate::{Condition, Protocol};

/// Everything that one attachment publishes on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Whose it is.
    pub key: Attachment,
    /// The container's address that serves IPv4, with the length of its subnet.
    pub v4: Option<Cidr>,
    /// The container's address that serves IPv6, with the length of its subnet.
    pub v6: Option<Cidr>,
    /// Its ports, in the order of the configuration.
    pub mappings: Vec<Mapping>,
    /// Whose source is hidden from the container.
    pub masquerade: Masquerade,
    /// What IPv4 packets must have beside the port.
    pub conditions_v4: Vec<Condition>,
    /// What IPv6 packets must have beside the port.
    pub conditions_v6: Vec<Condition>,
}

/// Ports of the host that lead to ports of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Of which protocol.
    pub protocol: Protocol,
    /// At which addresses of the host.
    pub host: HostAddress,
    /// First port of the host, from 1.
    pub host_port: u16,
    /// First port of the container, from 1.
    pub container_port: u16,
    /// How many ports in a row, from 1; more than one only where both sides count up together.
    pub count: u16,
}

/// Where on the host a port is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostAddress {
    /// All addresses of both families.
    Any,
    /// All addresses of one family: `0.0.0.0` or `::`.
    All(Family),
    /// One address.
    One(IpAddr),
}

/// Whose source address is replaced by the host's, so that replies come back through the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masquerade {
    /// Nobody's: the container's neighbours and `127.0.0.1` cannot use the published port.
    Nobody,
    /// That of the container's own subnet, and `127.0.0.1`.
    Neighbours,
    /// Everybody's.
    All,
}

impl Publication {
    /// One that leads nowhere yet.
    #[must_use]
    pub fn of(key: Attachment, masquerade: Masquerade) -> Self {
        Self {
            key,
            v4: None,
            v6: None,
            mappings: Vec::new(),
            masquerade,
            conditions_v4: Vec::new(),
            conditions_v6: Vec::new(),
        }
    }

    /// The container's address of `family`.
    #[must_use]
    pub fn target(&self, family: Family) -> Option<Cidr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// What packets of `family` must have beside the port.
    #[must_use]
    pub fn conditions(&self, family: Family) -> &[Condition] {
        match family {
            Family::V4 => &self.conditions_v4,
            Family::V6 => &self.conditions_v6,
        }
    }
}

impl Mapping {
    /// Last port of the host.
    #[must_use]
    pub fn last_host_port(&self) -> u16 {
        self.host_port + (self.count - 1)
    }

    /// Whether it is published at addresses of `family`.
    #[must_use]
    pub fn serves(&self, family: Family) -> bool {
        match self.host {
            HostAddress::Any => true,
            HostAddress::All(one) => one == family,
            HostAddress::One(ip) => Family::of(ip) == family,
        }
    }

    /// The one address of the host at which it is published; `None` for all.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        match self.host {
            HostAddress::One(ip) => Some(ip),
            HostAddress::Any | HostAddress::All(_) => None,
        }
    }
}
