//! What an attachment wants of the packet filter: masquerade, a check of its frames' source, and
//! its network kept apart.

use std::path::Path;

use attach::verify::{differs, promised_interface};
use cni::record::NetnsId;
use cni::{AddResult, Call, Error};
use kernel::netlink::Socket;
use netfilter::{Claim, Claimant, Filter, Isolation, Store, kind};
use types::{Attachment, Cidr, IfName, MacAddr};

use crate::apply::Also;
use crate::config::Config;

/// What the claim of an attachment is made of.
pub(crate) struct Wanted<'a> {
    pub(crate) call: &'a Call,
    pub(crate) config: &'a Config,
    /// The container's addresses.
    pub(crate) addresses: Vec<Cidr>,
    /// The host's end of the pair, and the container's address on it.
    pub(crate) port: Option<(IfName, MacAddr)>,
    pub(crate) netns_id: NetnsId,
    pub(crate) also: Also,
}

impl Wanted<'_> {
    pub(crate) fn claim(self) -> Claim {
        let (key, sandbox) = (self.call.attachment.clone(), self.call.sandbox());
        let mut claim = Claim::new(key, Claimant::Interface, sandbox, self.netns_id);
        if self.config.masquerade {
            claim.masquerade = self.addresses;
        }
        if self.config.spoof_check {
            claim.spoof = self.port;
        }
        claim.isolation = self.config.isolation.map(|apart| Isolation {
            bridge: self.config.bridge.clone(),
            class: apart.class,
            icc: apart.icc,
        });
        Claim { passing: self.also.passing, resolvers: self.also.resolvers, ..claim }
    }
}

/// Whether a configuration asks for anything of the packet filter.
pub(crate) fn asks(config: &Config) -> bool {
    config.masquerade || config.spoof_check || config.isolation.is_some()
}

/// Whether anything is remembered that DEL has to take back.
pub(crate) fn is_remembered(key: &Attachment, run_dir: &Path) -> bool {
    Store::under(run_dir).read(key, Claimant::Interface).is_some()
}

/// Takes back what the attachment wanted. The socket is to be kept open while the kernel frees
/// what was deleted.
pub(crate) fn remove(key: &Attachment, run_dir: &Path) -> Result<Socket, Error> {
    let filter = Filter::open(run_dir, &kind::Interface)?;
    filter.remove(key, &[])?;
    Ok(filter.into_socket())
}

/// Compares what an attachment wants with what is there. One without a claim of ours was made by
/// the reference.
pub(crate) fn compare(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    if !asks(config) {
        return Ok(());
    }
    let filter = Filter::open(&cni::state::run_dir(), &kind::Interface)?;
    match filter.store().read(&call.attachment, Claimant::Interface) {
        Some(claim) => Ok(filter.check(&claim)?),
        None => of_reference(&filter, call, config, result),
    }
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
        let addresses: Vec<Cidr> = result.ips.iter().map(|ip| ip.address).collect();
        if !kind::Interface::is_masqueraded(filter.socket(), key, &addresses)? {
            return Err(differs(format!("nothing masquerades the addresses of {key}")));
        }
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
