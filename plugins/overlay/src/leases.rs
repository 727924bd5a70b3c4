//! Addresses of containers: one of each family, from this host's blocks in their order.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use attach::ipam::Addresses;
use cni::{AddResult, Call, Error, Ip, code};
use ipam::{AllocateError, Grant, Host, RangeSets, RangeSpec, Request};
use ipam_cni::leases::{Known, owner_of, refused};
use types::{Family, NetworkName};

use crate::config::Config;
use crate::network::Network;

/// The leases of one network on this host.
pub(crate) struct Leases<'a> {
    config: &'a Config,
    network: &'a Network,
    run_dir: &'a Path,
    blocks: Blocks,
}

/// Addresses to choose from.
struct Blocks {
    sets: RangeSets,
    requested: Vec<IpAddr>,
    quarantine: Duration,
}

impl<'a> Leases<'a> {
    /// Those of the network of `call`, from the blocks that this host has.
    ///
    /// # Errors
    /// Code 7 where a requested address lies in none of them, 11 where there is none.
    pub(crate) fn new(
        call: &Call,
        config: &'a Config,
        network: &'a Network,
        run_dir: &'a Path,
    ) -> Result<Self, Error> {
        let blocks = Blocks::new(&call.attachment.network, config, network)?;
        Ok(Self { config, network, run_dir, blocks })
    }
}

impl Blocks {
    /// Those of `name`.
    ///
    /// # Errors
    /// Code 7 where a requested address lies in none of them, 11 where there is none.
    fn new(name: &NetworkName, config: &Config, network: &Network) -> Result<Self, Error> {
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
        Ok(Self { sets, requested: config.requested.clone(), quarantine: config.quarantine })
    }

    /// Takes one of each family.
    fn take(&self, call: &Call) -> Result<Vec<Grant>, AllocateError> {
        let owner = owner_of(call);
        let known = Known::of(&call.attachment.network);
        let request = Request {
            requested: &self.requested,
            quarantine: self.quarantine,
            life: &|lease| known.life_before(lease, &call.attachment),
            ..Request::new(&self.sets, &owner)
        };
        let store = ipam_cni::network::store(&call.attachment.network);
        store.allocate(&request, &Host::current())
    }
}

impl Addresses for Leases<'_> {
    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let grants = match self.blocks.take(call) {
            // The daemon gets more in time, but for a storm of containers, or while etcd was away.
            Err(AllocateError::Exhausted { .. })
                if self.network.has_daemon() && self.config.requested.is_empty() =>
            {
                let network = self.network.with_more(call, self.config, self.run_dir)?;
                network.may_add()?;
                Blocks::new(&call.attachment.network, self.config, &network)?.take(call)
            }
            taken => taken,
        };
        let grants = grants.map_err(|e| refused(&e))?;
        let ip = |grant: &Grant| Ip {
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
