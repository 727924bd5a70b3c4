use kernel::netlink::Socket;
use kernel::nft::Batch;
use types::Family;

use super::{Gone, Kind, holds};
use crate::Filter;
use crate::claim::{Claim, Claimant, Forward, Forwarder};
use crate::error::Error;
use crate::reference::legacy::{self, Trace};
use crate::reference::{Added, firewall, tidy};

/// `firewall`: forwarding.
#[derive(Clone, Copy, Debug)]
pub struct Firewall;

impl Kind for Firewall {
    fn claimant(&self) -> Claimant {
        Claimant::Firewall
    }

    fn add(
        &self,
        socket: &Socket,
        batch: &mut Batch,
        claim: &Claim,
        earlier: Option<&Claim>,
    ) -> Result<Added, Error> {
        let stored = earlier.map_or(&[][..], |claim| &claim.handles);
        match written(claim) {
            Some(forward) => firewall::add(socket, batch, forward, stored),
            None => Ok(Added::default()),
        }
    }

    fn add_legacy(&self, claim: &Claim) -> Result<(), Error> {
        let Some(Forward { by: Forwarder::Chains(admin), addresses, .. }) = &claim.forward else {
            return Ok(());
        };
        if !legacy::is_in_use(Family::V4, "filter")? && !legacy::is_in_use(Family::V6, "filter")? {
            return Ok(());
        }
        Ok(legacy::accept(addresses, admin)?)
    }

    fn remove(&self, socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error> {
        let stored = gone.claim.map_or(&[][..], |claim| &claim.handles);
        firewall::remove(socket, batch, (gone.addresses, gone.shared), stored)?;
        let bridge = gone.claim.and_then(|claim| claim.forward.as_ref()?.bridge.as_ref());
        if let Some(bridge) = bridge.filter(|_| gone.was_last_of_kind) {
            firewall::remove_ingress(socket, batch, bridge.as_str())?;
        }
        Ok(())
    }

    fn remove_leftovers(&self, _: &Socket, gone: &Gone<'_>) -> Result<(), Error> {
        Ok(legacy::remove(&[Trace::Accepts(gone.addresses)])?)
    }

    fn tidy(&self, socket: &Socket) -> Result<(), Error> {
        tidy(socket).map(drop)
    }

    fn is_complete(&self, socket: &Socket, claim: &Claim) -> Result<bool, Error> {
        holds(self.check(socket, claim))
    }

    fn check(&self, socket: &Socket, claim: &Claim) -> Result<(), Error> {
        match written(claim) {
            Some(forward) => firewall::check(socket, forward, &claim.handles),
            None => Ok(()),
        }
    }
}

/// What the reference's chains are written for.
fn written(claim: &Claim) -> Option<&Forward> {
    claim.forward.as_ref().filter(|forward| forward.by != Forwarder::Nobody)
}

impl Firewall {
    /// Whether the reference lets packets of a container through, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn is_forwarded(filter: &Filter, forward: &Forward) -> Result<bool, Error> {
        Ok(holds(firewall::check(filter.socket(), forward, &[]))?
            || legacy::is_present(&Trace::Accepts(&forward.addresses))?)
    }
}
