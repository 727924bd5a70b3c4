//! Addresses of containers: one of each subnet, kept in a table of the network's own.

use std::net::IpAddr;
use std::time::Duration;

use attach::ipam::Addresses;
use bridges::config::Apart;
use cni::{AddResult, Call, Error, Ip, Route, code};
use ipam::{Host, RangeSets, RangeSpec, Request, Span, Store};
use ipam_cni::leases::{Known, owner_of, refused};
use ipam_cni::network;
use netfilter::Class;
use types::{Family, NetworkName};

use crate::config::Config;
use crate::registry::{Network, Subnet};

/// The leases of one network.
#[derive(Debug)]
pub(crate) struct Leases {
    store: Store,
    sets: RangeSets,
    /// Addresses outside of `ipRange`.
    exclude: Vec<Span>,
    requested: Vec<IpAddr>,
    quarantine: Duration,
    has_gateway: bool,
    /// Metric of the default routes; `None`: there are none.
    metric: Option<u32>,
}

impl Leases {
    /// Those of `name`, from the subnets that it has.
    ///
    /// # Errors
    /// Code 7 where a requested address lies in none of them.
    pub(crate) fn new(
        name: &NetworkName,
        config: &Config,
        network: &Network,
    ) -> Result<Self, Error> {
        let subnets = &network.subnets;
        let spec = |subnet: &Subnet| {
            let (gateway, subnet) = (subnet.gateway, subnet.subnet);
            vec![RangeSpec { subnet, start: None, end: None, gateway }]
        };
        let sets = RangeSets::new(subnets.iter().map(spec).collect());
        let sets = sets.map_err(|why| Error::from_chain(code::INVALID_CONFIG, &why))?;
        for ip in &config.requested {
            if !subnets.iter().any(|subnet| subnet.subnet.contains(*ip)) {
                let all: Vec<String> =
                    subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
                let text = format!("requested address {ip} lies in no subnet of network {name}");
                return Err(Error::new(code::INVALID_CONFIG, text)
                    .with_hint(format!("request one of {}", all.join(" or "))));
            }
        }
        let Apart { class, .. } = config.apart;
        Ok(Self {
            store: network::store(name),
            sets,
            exclude: subnets.iter().flat_map(outside_range).collect(),
            requested: config.requested.clone(),
            quarantine: config.quarantine,
            has_gateway: config.has_gateway,
            metric: config.metric.filter(|_| class != Class::Internal),
        })
    }

    fn routes(&self, ips: &[Ip]) -> Vec<Route> {
        let Some(metric) = self.metric else { return Vec::new() };
        let of_family = |family| ips.iter().find(|ip: &&Ip| ip.address.family() == family);
        [Family::V4, Family::V6]
            .into_iter()
            .filter_map(of_family)
            .map(|ip| {
                let dst = ip.address.family().default_route();
                Route { priority: metric, ..Route::via(dst, ip.gateway) }
            })
            .collect()
    }
}

/// What of a subnet is handed out only on request.
fn outside_range(subnet: &Subnet) -> Vec<Span> {
    let Some(range) = subnet.ip_range else { return Vec::new() };
    let (first, last) = (subnet.subnet.ip(), subnet.subnet.last());
    let before = neighbour(range.first(), -1).and_then(|end| Span::new(first, end));
    let after = neighbour(range.last(), 1).and_then(|start| Span::new(start, last));
    let within = |span: &Span| subnet.subnet.contains(span.first());
    before.into_iter().chain(after).filter(within).collect()
}

/// The address `step` away.
fn neighbour(ip: IpAddr, step: i8) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            u32::from(ip).checked_add_signed(step.into()).map(|number| IpAddr::V4(number.into()))
        }
        IpAddr::V6(ip) => {
            u128::from(ip).checked_add_signed(step.into()).map(|number| IpAddr::V6(number.into()))
        }
    }
}

impl Addresses for Leases {
    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let owner = owner_of(call);
        let known = Known::of(&call.attachment.network);
        let request = Request {
            requested: &self.requested,
            exclude: &self.exclude,
            quarantine: self.quarantine,
            life: &|lease| known.life_before(lease, &call.attachment),
            ..Request::new(&self.sets, &owner)
        };
        let grants = self.store.allocate(&request, &Host::current()).map_err(|e| refused(&e))?;
        let ips: Vec<Ip> = grants
            .iter()
            .map(|grant| Ip {
                interface: None,
                address: grant.address,
                gateway: self.has_gateway.then_some(grant.gateway),
            })
            .collect();
        Ok(AddResult { routes: self.routes(&ips), ips, ..AddResult::default() })
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        Released.del(call)
    }

    fn is_in_process(&self) -> bool {
        true
    }
}

/// Leases of a network of which nothing but the name matters: DEL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released;

impl Addresses for Released {
    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let text = format!("take addresses for {}: no subnets are known", call.attachment);
        Err(Error::new(code::IO, text))
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        network::release(call)
    }

    fn is_in_process(&self) -> bool {
        true
    }
}
