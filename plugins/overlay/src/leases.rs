//! Addresses of containers: one of each family, from this host's blocks in their order.

use std::net::IpAddr;
use std::time::Duration;

use attach::ipam::Addresses;
use cni::{AddResult, Call, Error, Ip, code};
use ipam::{Host, RangeSets, RangeSpec, Request, Store};
use ipam_cni::leases::{Known, owner_of, refused};
use types::{Family, NetworkName};

use crate::config::Config;
use crate::network::Network;

/// The leases of one network on this host.
#[derive(Debug)]
pub(crate) struct Leases {
    store: Store,
    sets: RangeSets,
    requested: Vec<IpAddr>,
    quarantine: Duration,
}

impl Leases {
    /// Those of `name`, from the blocks that this host has.
    ///
    /// # Errors
    /// Code 7 where a requested address lies in none of them, 11 where there is none.
    pub(crate) fn new(
        name: &NetworkName,
        config: &Config,
        network: &Network,
    ) -> Result<Self, Error> {
        let specs = |family| -> Vec<RangeSpec> {
            let spec = |block: &peers::LocalBlock| {
                let gateway = Some(block.gateway);
                RangeSpec { subnet: block.cidr, start: None, end: None, gateway }
            };
            network.active(family).map(spec).collect()
        };
        let mut sets: Vec<Vec<RangeSpec>> = [Family::V4, Family::V6].map(specs).into();
        sets.retain(|set| !set.is_empty());
        if sets.is_empty() {
            let text = format!("take addresses: this host has no block of network {name} in use");
            return Err(Error::new(code::TRY_AGAIN, text));
        }
        let all: Vec<String> = sets.iter().flatten().map(|spec| spec.subnet.to_string()).collect();
        let is_own = |ip: &IpAddr| sets.iter().flatten().any(|spec| spec.subnet.contains(*ip));
        if let Some(ip) = config.requested.iter().find(|ip| !is_own(ip)) {
            let text = format!("requested address {ip} lies in no block of this host");
            return Err(Error::new(code::INVALID_CONFIG, text)
                .with_hint(format!("request one of {}", all.join(" or "))));
        }
        let sets = RangeSets::new(sets);
        let sets = sets.map_err(|why| Error::from_chain(code::INVALID_CONFIG, &why))?;
        Ok(Self {
            store: ipam_cni::network::store(name),
            sets,
            requested: config.requested.clone(),
            quarantine: config.quarantine,
        })
    }
}

impl Addresses for Leases {
    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let owner = owner_of(call);
        let known = Known::of(&call.attachment.network);
        let request = Request {
            requested: &self.requested,
            quarantine: self.quarantine,
            life: &|lease| known.life_before(lease, &call.attachment),
            ..Request::new(&self.sets, &owner)
        };
        let grants = self.store.allocate(&request, &Host::current()).map_err(|e| refused(&e))?;
        let ip = |grant: &ipam::Grant| Ip {
            interface: None,
            address: grant.address,
            gateway: Some(grant.gateway),
        };
        Ok(AddResult { ips: grants.iter().map(ip).collect(), ..AddResult::default() })
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
        let text = format!("take addresses for {}: no blocks are known", call.attachment);
        Err(Error::new(code::IO, text))
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        ipam_cni::network::release(call)
    }

    fn is_in_process(&self) -> bool {
        true
    }
}
