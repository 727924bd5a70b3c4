//! What must be true of addresses and routes, as data: ADD makes it so, CHECK compares it with
//! reality.

use std::net::IpAddr;

use attach::ipam::must_have_addresses;
use attach::layer3;
use cni::{AddResult, Error, Ip, code};
use kernel::link::Dev;
use kernel::route::Route;
use types::{Cidr, Family};

use crate::config::Config;

/// `RT_SCOPE_` numbers: an address of the host itself, and a neighbour.
const SCOPE_HOST: u8 = 254;
const SCOPE_LINK: u8 = 253;

/// Place of the container's end among the result's interfaces.
const CONTAINER: usize = 1;

/// Addresses and routes of one attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer3 {
    /// What the container gets; the interfaces are not yet named.
    pub(crate) result: AddResult,
    /// Addresses of the host's end, one for each gateway.
    pub(crate) gateways: Vec<Cidr>,
    /// The container's addresses, each alone.
    pub(crate) peers: Vec<Cidr>,
    /// Routes of the container that those of the result stand on, in the order to make them.
    hops: Vec<Hop>,
}

/// A route of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hop {
    dst: Cidr,
    /// `None`: it is on the wire.
    gw: Option<IpAddr>,
    src: IpAddr,
}

impl Layer3 {
    /// Completes what IPAM answered.
    ///
    /// # Errors
    /// Code 7 when IPAM gave no address, or one without a gateway to stand beside it.
    pub(crate) fn new(config: &Config, ipam: AddResult) -> Result<Self, Error> {
        must_have_addresses(&ipam)?;
        let mut result = AddResult { interfaces: Vec::new(), ..ipam };
        if let Some(dns) = &config.dns {
            result.dns = dns.clone();
        }
        layer3::dedup(&mut result.routes);
        let mut plan = Self { result, gateways: Vec::new(), peers: Vec::new(), hops: Vec::new() };
        for index in 0..plan.result.ips.len() {
            let ip = &mut plan.result.ips[index];
            ip.interface = Some(CONTAINER);
            let (address, gateway) = (ip.address, gateway(ip)?);
            plan.add(address, gateway);
        }
        Ok(plan)
    }

    /// What an attachment with the result of an earlier ADD must have; addresses without gateway are
    /// another interface's.
    pub(crate) fn of_result(result: &AddResult, index: usize) -> Self {
        let mut plan = Self {
            result: result.clone(),
            gateways: Vec::new(),
            peers: Vec::new(),
            hops: Vec::new(),
        };
        for ip in result.ips.iter().filter(|ip| ip.interface == Some(index)) {
            if let Ok(gateway) = gateway(ip) {
                plan.add(ip.address, gateway);
            }
        }
        plan
    }

    /// Two addresses may have one gateway, and be of one subnet: what they share is made once.
    fn add(&mut self, address: Cidr, gateway: IpAddr) {
        let src = address.ip();
        let (gateway_alone, alone) = (alone(gateway), alone(src));
        if !self.gateways.contains(&gateway_alone) {
            self.gateways.push(gateway_alone);
            self.hops.push(Hop { dst: gateway_alone, gw: None, src });
        }
        if !self.peers.contains(&alone) {
            self.peers.push(alone);
        }
        let subnet = address.network();
        // A subnet of one address is the address.
        if subnet != alone && !self.hops.iter().any(|hop| hop.dst == subnet) {
            self.hops.push(Hop { dst: subnet, gw: Some(gateway), src });
        }
    }

    /// The routes of the container by `dev`: to each gateway on the wire, and to the rest of each
    /// subnet by way of it.
    pub(crate) fn inside(&self, dev: &Dev) -> Vec<Route> {
        let route = |hop: &Hop| Route {
            gw: hop.gw,
            src: Some(hop.src),
            scope: hop.gw.is_none().then_some(SCOPE_LINK),
            ..Route::to(hop.dst).dev(dev)
        };
        self.hops.iter().map(route).collect()
    }

    /// The routes of the host by `dev`: one to each address of the container.
    pub(crate) fn outside(&self, dev: &Dev) -> Vec<Route> {
        let route = |peer: &Cidr| Route { scope: Some(SCOPE_HOST), ..Route::to(*peer).dev(dev) };
        self.peers.iter().map(route).collect()
    }

    /// The address families of the attachment.
    pub(crate) fn families(&self) -> impl Iterator<Item = Family> {
        let has = |family| self.peers.iter().any(|peer| peer.family() == family);
        [Family::V4, Family::V6].into_iter().filter(move |family| has(*family))
    }
}

/// The gateway beside an address.
fn gateway(ip: &Ip) -> Result<IpAddr, Error> {
    let address = ip.address;
    let invalid = |why: &str| {
        Error::new(code::INVALID_CONFIG, format!("route to {address}: {why}"))
            .with_hint("let \"ipam\" give every address a gateway, which the host's end will have")
    };
    let Some(gateway) = ip.gateway else {
        return Err(invalid("the IPAM plugin gave it no gateway"));
    };
    if Family::of(gateway) != address.family() {
        return Err(invalid(&format!("its gateway {gateway} is of another family")));
    }
    if gateway == address.ip() {
        return Err(invalid("it is its own gateway"));
    }
    Ok(gateway)
}

/// An address as the subnet that has no other.
fn alone(ip: IpAddr) -> Cidr {
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    Cidr::new(ip, bits).expect("an address has as many bits")
}
