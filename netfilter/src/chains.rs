//! The reference plugins' chains beside our own tables: other programs read them, and hosts whose
//! policy is to drop what they forward need them. See [`reference`](crate::reference).

use std::net::IpAddr;

use kernel::netlink::Socket;
use kernel::nft::Batch;
use types::{Attachment, NetworkName};

use crate::claim::{Claim, Claimant, Forwarder};
use crate::error::Error;
use crate::reference::{Added, firewall, masquerade, passing, portmap};

/// Puts what `claim` wants of them into the batch. `stored` are the rules of an earlier claim.
pub(crate) fn add(
    socket: &Socket,
    batch: &mut Batch,
    claim: &Claim,
    earlier: Option<&Claim>,
) -> Result<Added, Error> {
    let stored = earlier.map_or(&[][..], |claim| &claim.handles);
    let mut added = Added::default();
    if let Some(ports) = &claim.ports
        && let Some(how) = &ports.reference
    {
        added.extend(portmap::add(socket, batch, &ports.publication, how, stored)?);
        let before = earlier.and_then(|claim| claim.ports.as_ref()).map(|p| &p.publication);
        added.extend(passing::add(socket, batch, &ports.publication, (before, stored))?);
    }
    if let Some(forward) = &claim.forward
        && forward.by != Forwarder::Nobody
    {
        added.extend(firewall::add(socket, batch, forward, stored)?);
    }
    Ok(added)
}

/// Whose rules are taken back.
pub(crate) struct Gone<'a> {
    pub(crate) key: &'a Attachment,
    pub(crate) claimant: Claimant,
    /// The claim, where one is remembered; else the rules of the reference are looked for.
    pub(crate) claim: Option<&'a Claim>,
    /// Addresses that have rules of `firewall`.
    pub(crate) addresses: &'a [IpAddr],
    /// Such that others have as well by now.
    pub(crate) shared: &'a [IpAddr],
    /// Whether the plugin has no other claim for its network.
    pub(crate) was_last_of_kind: bool,
}

/// Puts the deletion of all rules of an attachment into the batch, whoever wrote them.
pub(crate) fn remove(socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error> {
    let owner = (gone.key.network.as_str(), gone.key.container.as_str());
    let stored = gone.claim.map_or(&[][..], |claim| &claim.handles);
    match (gone.claimant, gone.claim) {
        // Ours has none, and what the reference left was looked for when it was made.
        (Claimant::Interface, Some(_)) => {}
        (Claimant::Interface, None) => {
            masquerade::remove(socket, batch, owner, stored)?;
        }
        (Claimant::Portmap, claim) => {
            let ports = claim.and_then(|claim| claim.ports.as_ref());
            if ports.is_none_or(|ports| ports.reference.is_some()) {
                portmap::remove(socket, batch, owner, stored)?;
            }
            if let Some(ports) = ports.filter(|ports| ports.reference.is_some()) {
                passing::remove(socket, batch, &ports.publication, stored)?;
            }
        }
        (Claimant::Firewall, claim) => {
            firewall::remove(socket, batch, (gone.addresses, gone.shared), stored)?;
            let forward = claim.and_then(|claim| claim.forward.as_ref());
            let bridge = forward.and_then(|forward| forward.bridge.as_ref());
            if let Some(bridge) = bridge.filter(|_| gone.was_last_of_kind) {
                firewall::remove_ingress(socket, batch, bridge.as_str())?;
            }
        }
    }
    Ok(())
}

/// Compares what `claim` wants of them with what is there, whoever wrote it.
pub(crate) fn check(socket: &Socket, claim: &Claim) -> Result<(), Error> {
    if let Some(ports) = &claim.ports
        && let Some(how) = &ports.reference
    {
        portmap::check(socket, &ports.publication, how, &claim.handles)?;
        passing::check(socket, &ports.publication, &claim.handles)?;
    }
    if let Some(forward) = &claim.forward
        && forward.by != Forwarder::Nobody
    {
        firewall::check(socket, forward, &claim.handles)?;
    }
    Ok(())
}

/// Puts the deletion of what the reference left for containers of `network` into the batch that
/// are not `alive`.
pub(crate) fn sweep(
    socket: &Socket,
    batch: &mut Batch,
    (network, claimant): (&NetworkName, Claimant),
    alive: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let is_valid = |of: &str, container: &str| of != network.as_str() || alive(container);
    match claimant {
        Claimant::Interface => masquerade::sweep(socket, batch, is_valid).map(drop),
        Claimant::Portmap => portmap::sweep(socket, batch, is_valid).map(drop),
        // Its rules do not say whose they are.
        Claimant::Firewall => Ok(()),
    }
}
