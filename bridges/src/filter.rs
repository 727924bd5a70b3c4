//! What an attachment wants of the packet filter: masquerade, a check of its frames' source, and
//! its network kept apart.

use attach::verify::{differs, promised_interface};
use cni::{AddResult, Call, Error};
use netfilter::{Claim, Filter, Isolation, kind};
use pairs::claim;
use types::{Cidr, IfName, MacAddr};

use crate::apply::Also;
use crate::config::Config;

/// What the claim of an attachment is made of.
pub(crate) struct Wanted<'a> {
    pub(crate) config: &'a Config,
    /// The container's addresses.
    pub(crate) addresses: Vec<Cidr>,
    /// The host's end of the pair, and the container's address on it.
    pub(crate) port: Option<(IfName, MacAddr)>,
    pub(crate) also: Also,
}

impl Wanted<'_> {
    /// Completes `claim`, which wants nothing yet.
    pub(crate) fn claim(self, mut claim: Claim) -> Claim {
        if self.config.masquerade {
            let pools = &self.config.elsewhere.pools;
            claim.masquerade = self.addresses.iter().map(|ip| within(pools, *ip)).collect();
        }
        if self.config.spoof_check {
            claim.spoof = self.port;
        }
        claim.isolation = self.config.isolation.map(|apart| Isolation {
            bridge: self.config.bridge.clone(),
            class: apart.class,
            icc: apart.icc,
            uplinks: self.config.elsewhere.links.clone(),
        });
        Claim { passing: self.also.passing, resolvers: self.also.resolvers, ..claim }
    }
}

/// `address` in the pool that it is of, where there is one: what it must not leave to stay itself.
fn within(pools: &[Cidr], address: Cidr) -> Cidr {
    let pool = pools.iter().find(|pool| pool.contains(address.ip()));
    pool.and_then(|pool| Cidr::new(address.ip(), pool.prefix())).unwrap_or(address)
}

/// Whether a configuration asks for anything of the packet filter.
pub(crate) fn asks(config: &Config) -> bool {
    config.masquerade || config.spoof_check || config.isolation.is_some()
}

/// Compares what an attachment wants with what is there. One without a claim of ours was made by
/// the reference.
pub(crate) fn compare(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    if !asks(config) {
        return Ok(());
    }
    claim::compare(config.kind, call, |filter| of_reference(filter, call, config, result))
}

/// Compares what the reference made: it keeps no network apart, and has layouts of its own for the
/// rest.
fn of_reference(
    filter: &Filter,
    call: &Call,
    config: &Config,
    result: &AddResult,
) -> Result<(), Error> {
    let key = &call.attachment;
    if config.masquerade {
        claim::is_masqueraded_by_reference(filter, key, result)?;
    }
    if config.spoof_check {
        let (_, promised) = promised_interface(result, key.ifname.as_str(), &call.sandbox())?;
        // Results before 1.0.0 need not have it; then there is nothing to compare with.
        if let Ok(mac) = promised.mac.parse()
            && !kind::Interface::is_checked(filter.socket(), key, mac)?
        {
            return Err(differs(format!("nothing checks that frames of {key} come from {mac}")));
        }
    }
    Ok(())
}
