//! What must be true, as data: from the configuration and what IPAM answered, without a look at
//! the host. ADD makes it so, CHECK compares it with reality.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use attach::ipam::must_have_addresses;
use attach::{layer3, names};
use cni::{AddResult, Error, Route, code};
use netfilter::Class;
use types::{Attachment, Cidr, IfName, MacAddr, Mtu, VlanId};

use crate::config::{Config, Gateway, Vlans};

/// The links of one attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The bridge.
    pub bridge: IfName,
    /// Whether a bridge that is made looks at VLAN tags.
    pub vlan_filtering: bool,
    /// Whether the bridge is set promiscuous.
    pub promisc: bool,
    /// MTU of the pair and of a bridge that is made.
    pub mtu: Option<Mtu>,
    /// The container's end.
    pub container: IfName,
    /// Its address; `None`: a random one.
    pub mac: Option<MacAddr>,
    /// The port.
    pub port: Port,
}

/// The host's end of the pair as a port of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// What says whose it is.
    pub alias: String,
    /// Whether frames may go back through it.
    pub hairpin: bool,
    /// Whether it may talk only to ports that are not isolated.
    pub isolated: bool,
    /// Its VLANs; `None`: those that the bridge gives it.
    pub vlans: Option<PortVlans>,
}

/// VLANs of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortVlans {
    /// Whether those that the bridge gave are taken away first.
    pub drop_default: bool,
    /// VLAN of untagged frames.
    pub untagged: Option<VlanId>,
    /// VLANs that pass with their tag.
    pub tagged: Vec<RangeInclusive<u16>>,
}

/// Addresses and routes of one attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer3 {
    /// What the container gets; the addresses without an interface yet.
    pub result: AddResult,
    /// Addresses of the host, one for each gateway that is ours to have.
    pub gateways: Vec<Cidr>,
}

impl Links {
    /// The links that `config` wants for `key`.
    #[must_use]
    pub fn new(config: &Config, key: &Attachment) -> Self {
        Self {
            bridge: config.bridge.clone(),
            vlan_filtering: config.vlans.is_some(),
            promisc: config.promisc,
            mtu: config.mtu,
            container: key.ifname.clone(),
            mac: config.mac,
            port: Port {
                alias: names::alias(key),
                hairpin: config.hairpin,
                isolated: config.isolated,
                vlans: config.vlans.as_ref().map(PortVlans::new),
            },
        }
    }
}

impl PortVlans {
    fn new(vlans: &Vlans) -> Self {
        let untagged = match (vlans.access, &vlans.trunk) {
            (None, Some(_)) => Some(VlanId::DEFAULT),
            (access, _) => access,
        };
        Self {
            drop_default: !vlans.keep_default,
            untagged,
            tagged: vlans.trunk.clone().unwrap_or_default(),
        }
    }
}

impl Layer3 {
    /// Completes what IPAM answered: gateways where the bridge is one, and default routes. From an
    /// internal network none leads out.
    ///
    /// # Errors
    /// Code 7 when IPAM gave no address, or one without room for a gateway.
    pub fn new(config: &Config, ipam: AddResult) -> Result<Self, Error> {
        must_have_addresses(&ipam)?;
        let mut result = AddResult { interfaces: Vec::new(), ..ipam };
        if let Some(dns) = &config.dns {
            result.dns = dns.clone();
        }
        let mut gateways = Vec::new();
        if config.gateway != Gateway::None {
            for ip in &mut result.ips {
                let gateway = match ip.gateway {
                    Some(gateway) => gateway,
                    None => first_host(ip.address)?,
                };
                ip.gateway = Some(gateway);
                let cidr = Cidr::new(gateway, ip.address.prefix()).ok_or_else(|| {
                    let text =
                        format!("gateway {gateway} is of another family than {}", ip.address);
                    Error::new(code::INVALID_CONFIG, text)
                })?;
                if !gateways.contains(&cidr) {
                    gateways.push(cidr);
                }
            }
        }
        if config.gateway == Gateway::Default {
            add_default_routes(&mut result);
        }
        if config.isolation.is_some_and(|apart| apart.class == Class::Internal) {
            // IPAM plugins give one unasked, and it would lead nowhere.
            result.routes.retain(|route| route.dst != route.dst.family().default_route());
        }
        layer3::dedup(&mut result.routes);
        Ok(Self { result, gateways })
    }
}

/// One default route a family through the gateway, unless IPAM gave one.
fn add_default_routes(result: &mut AddResult) {
    for ip in &result.ips {
        let dst = ip.address.family().default_route();
        if !result.routes.iter().any(|route| route.dst == dst) {
            result.routes.push(Route::via(dst, ip.gateway));
        }
    }
}

/// The address after the network's own, where gateways are by custom.
fn first_host(address: Cidr) -> Result<IpAddr, Error> {
    let network = address.network().ip();
    let next = match network {
        IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|n| IpAddr::V6(n.into())),
    };
    next.filter(|next| address.contains(*next)).ok_or_else(|| {
        let text = format!("{address} has no room for a gateway");
        Error::new(code::INVALID_CONFIG, text).with_hint("name a gateway or use a larger subnet")
    })
}
