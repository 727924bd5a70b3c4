//! Writing what an attachment wants into the reference plugins' layouts, so that they can go on.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Missing};
use types::Family;

use crate::claim::{
    ADMIN_CHAIN, Claim, Entrance, Forward, Forwarder, Ingress, Linked, Passing, Ports,
    ReferencePorts,
};
use crate::error::Error;
use crate::filter::Filter;
use crate::kind;
use crate::layout::{self, BRIDGE, INET, USER_CHAIN};
use crate::reference::legacy::Trace;
use crate::reference::{
    admitting, firewall, hostport_nft, legacy, masquerade, passing, portmap, spoof_nft,
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Filter {
    /// Gives everything back to the reference plugins: in one transaction their nftables tables get
    /// what living attachments want, and ours go. Their chains of iptables follow where packets get
    /// to them as there. Nothing is remembered afterwards. Returns the claims that were.
    ///
    /// A table with rules of users stays for them, without anything of ours. What the reference does
    /// not have goes: networks are not kept apart any more, names are not led to resolvers, and `[::1]` and
    /// IPv6 clients of containers without IPv6 are not served.
    ///
    /// # Errors
    /// [`Error::Layout`] where the tables are a newer cais', and what went wrong; then ours stay.
    pub fn hand_back(&self) -> Result<Vec<Claim>, Error> {
        self.serviceable()?;
        let locked = self.store().lock()?;
        let (living, dead): (Vec<Claim>, Vec<Claim>) =
            self.store().all()?.into_iter().partition(|claim| !self.is_dead(claim));
        // Their rules would come to life with the chains of the reference.
        for claim in &dead {
            self.remove_as(kind::of(claim.claimant), &locked, (&claim.key, &[]))?;
        }
        let variant = match living.is_empty() {
            true => Variant::Nft,
            false => Variant::of_host()?,
        };
        for claim in &living {
            write(&self.socket, claim, variant)?;
        }
        let mut batch = Batch::new();
        // The reference would not know it, and leave it behind.
        passing::remove(&self.socket, &mut batch)?;
        legacy::remove(&[Trace::Passing])?;
        admitting::remove(&self.socket, &mut batch, &FAMILIES)?;
        admitting::remove_legacy(&FAMILIES)?;
        match nft::rules(&self.socket, &INET, USER_CHAIN)?.is_empty() {
            true => batch.del_table(&INET),
            false => layout::reset(&mut batch, &INET),
        }
        batch.del_table(&BRIDGE);
        batch.commit_skipping_missing(&self.socket)?;
        for claim in &living {
            locked.remove(&claim.key, claim.claimant)?;
        }
        Ok(living)
    }
}

/// Which of iptables' variants the reference's plugins use on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Nft,
    Legacy,
}

impl Variant {
    /// That of this host, with its tables brought into use.
    fn of_host() -> Result<Self, Error> {
        if !legacy::is_usual() {
            return Ok(Self::Nft);
        }
        legacy::begin()?;
        // Without the right to see which legacy tables are in use nothing could be written there.
        let is_in_use = legacy::is_in_use(Family::V4, "nat")?;
        Ok(if is_in_use { Self::Legacy } else { Self::Nft })
    }
}

/// Writes one claim. Each layout is in place before our own goes, so that no packet finds neither;
/// a connection is changed by the first of them alone. Of iptables' variants only the one that the
/// reference uses is written: it would never take away what is in the other.
fn write(socket: &Socket, claim: &Claim, variant: Variant) -> Result<(), Error> {
    let mut batch = Batch::new();
    if let Some((link, mac)) = &claim.spoof {
        spoof_nft::write(socket, &mut batch, &claim.key, (link, *mac))?;
    }
    let at_host = claim.ports.as_ref().filter(|ports| ports.entrance == Entrance::Host);
    if let Some(ports) = at_host.filter(|ports| ports.reference.is_none()) {
        hostport_nft::write(socket, &mut batch, &ports.publication)?;
    }
    match variant {
        Variant::Nft => into_nft(socket, &mut batch, claim)?,
        Variant::Legacy => into_legacy(socket, &mut batch, claim)?,
    }
    batch.commit_with_handles(socket, Missing::Skip)?;
    match variant {
        Variant::Nft => withdraw(claim),
        Variant::Legacy => Ok(()),
    }
}

/// Takes away what was written of `claim` into legacy tables.
fn withdraw(claim: &Claim) -> Result<(), Error> {
    if claim.ports.as_ref().is_some_and(|ports| ports.reference.is_some()) {
        legacy::remove(&[Trace::Ports(&claim.key)])?;
    }
    if let Some(Forward { by: Forwarder::Chains(_), addresses, .. }) = &claim.forward {
        legacy::remove(&[Trace::Accepts(addresses)])?;
    }
    Ok(())
}

fn into_nft(socket: &Socket, batch: &mut Batch, claim: &Claim) -> Result<(), Error> {
    let owner = (claim.key.network.as_str(), claim.key.container.as_str());
    if !claim.masquerade.is_empty() {
        let _ = masquerade::add(socket, batch, owner, &claim.masquerade)?;
    }
    if let Some((ports, how)) = in_chains(claim) {
        let how = ReferencePorts { linked: Linked::Yes, ..how.clone() };
        let _ = portmap::add(socket, batch, &ports.publication, &how, &claim.handles)?;
    }
    if let Some(forward) = claim.forward.as_ref().filter(|f| f.by != Forwarder::Nobody) {
        let _ = firewall::add(socket, batch, forward, &claim.handles)?;
    }
    if let Some(passing) = &claim.passing {
        let _ = firewall::add(socket, batch, &as_firewall(passing), &[])?;
    }
    Ok(())
}

/// What the reference's `firewall` would have for a container of a network of ours, whose packets pass
/// by a mark that goes with our tables.
fn as_firewall(passing: &Passing) -> Forward {
    Forward {
        addresses: passing.addresses.clone(),
        by: Forwarder::Chains(ADMIN_CHAIN.to_owned()),
        ingress: Ingress::Open,
        bridge: None,
    }
}

fn into_legacy(socket: &Socket, batch: &mut Batch, claim: &Claim) -> Result<(), Error> {
    let owner = (claim.key.network.as_str(), claim.key.container.as_str());
    if !claim.masquerade.is_empty() {
        legacy::masquerade(&claim.key, &claim.masquerade)?;
    }
    kind::of(claim.claimant).add_legacy(claim)?;
    if in_chains(claim).is_some() {
        portmap::remove(socket, batch, owner, &claim.handles)?;
    }
    if let Some(Forward { by: Forwarder::Chains(_), addresses, .. }) = &claim.forward {
        firewall::remove(socket, batch, (addresses, &[]), &claim.handles)?;
    }
    if let Some(passing) = &claim.passing {
        legacy::accept(&passing.addresses, ADMIN_CHAIN)?;
    }
    Ok(())
}

/// The ports of a claim that are in the reference's chains.
fn in_chains(claim: &Claim) -> Option<(&Ports, &ReferencePorts)> {
    let ports = claim.ports.as_ref().filter(|ports| ports.entrance == Entrance::Host)?;
    Some((ports, ports.reference.as_ref()?))
}
