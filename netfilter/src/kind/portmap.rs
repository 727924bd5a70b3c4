use cni::GcAttachment;
use kernel::netlink::Socket;
use kernel::nft::{self, Batch};
use types::{Family, NetworkName};

use super::{Gone, Kind, holds, stays};
use crate::claim::{Claim, Claimant, Entrance, Ports, ReferencePorts};
use crate::conflict::{self, Conflict};
use crate::error::Error;
use crate::layout::{INET, PASSING};
use crate::reference::legacy::{self, Marking, Trace};
use crate::reference::{Added, hostport_nft, passing, portmap, tidy};
use crate::{Filter, Publication};

/// `portmap`: published ports.
#[derive(Clone, Copy, Debug)]
pub struct Portmap;

impl Kind for Portmap {
    fn claimant(&self) -> Claimant {
        Claimant::Portmap
    }

    fn conflicts(&self, socket: &Socket, claim: &Claim) -> Result<Vec<Conflict>, Error> {
        let at_host = |ports: &&Ports| ports.entrance == Entrance::Host;
        match claim.ports.as_ref().filter(at_host) {
            Some(ports) => conflict::find(socket, &ports.publication),
            None => Ok(Vec::new()),
        }
    }

    fn add(
        &self,
        socket: &Socket,
        batch: &mut Batch,
        claim: &Claim,
        earlier: Option<&Claim>,
    ) -> Result<Added, Error> {
        let stored = earlier.map_or(&[][..], |claim| &claim.handles);
        let mut added = Added::default();
        if let Some((ports, how)) = written(claim) {
            if earlier.is_some_and(|earlier| is_there(socket, earlier, claim)) {
                return Ok(Added::keeping(stored));
            }
            added.extend(portmap::add(socket, batch, &ports.publication, how, stored)?);
            passing::add(socket, batch, &ports.publication)?;
        }
        Ok(added)
    }

    fn add_legacy(&self, claim: &Claim) -> Result<(), Error> {
        let Some((ports, how)) = written(claim) else { return Ok(()) };
        legacy::pass(&[Family::V4, Family::V6])?;
        if !legacy::is_in_use(Family::V4, "nat")? && !legacy::is_in_use(Family::V6, "nat")? {
            return Ok(());
        }
        let marking = match &how.set_mark_chain {
            Some(chain) => Marking::Chain(chain),
            None => Marking::Bit(how.mark_bit),
        };
        Ok(legacy::publish(&ports.publication, marking)?)
    }

    fn remove(&self, socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error> {
        let stored = gone.claim.map_or(&[][..], |claim| &claim.handles);
        if gone.claim.is_none_or(|claim| written(claim).is_some()) {
            portmap::remove(socket, batch, gone.owner(), stored)?;
        }
        if is_last_to_pass(socket, gone)? {
            passing::remove(socket, batch)?;
        }
        Ok(())
    }

    fn remove_leftovers(&self, socket: &Socket, gone: &Gone<'_>) -> Result<(), Error> {
        if gone.claim.is_none() {
            hostport_nft::remove(socket, &gone.key.container, &[])?;
        }
        let passing = is_last_to_pass(socket, gone)?.then_some(Trace::Passing);
        let traces: Vec<Trace<'_>> = [Trace::Ports(gone.key)].into_iter().chain(passing).collect();
        Ok(legacy::remove(&traces)?)
    }

    fn tidy(&self, socket: &Socket) -> Result<(), Error> {
        tidy(socket).map(drop)
    }

    /// The chains that nobody is led to make no container ill, and new connections pass by
    /// themselves unless the host drops what it forwards.
    fn check(&self, socket: &Socket, claim: &Claim) -> Result<(), Error> {
        match written(claim) {
            Some((ports, _)) => passing::check(socket, &ports.publication),
            None => Ok(()),
        }
    }

    fn is_complete(&self, socket: &Socket, claim: &Claim) -> Result<bool, Error> {
        let Some((ports, how)) = written(claim) else { return Ok(true) };
        Ok(holds(portmap::check(socket, &ports.publication, how, &claim.handles))?
            && holds(passing::check_all(socket, &ports.publication))?)
    }

    fn sweep(
        &self,
        socket: &Socket,
        network: &NetworkName,
        valid: &[GcAttachment],
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        portmap::sweep(socket, &mut batch, stays(network, valid))?;
        batch.commit_skipping_missing(socket)?;
        Ok(legacy::sweep(network, valid)?)
    }
}

/// Whether nobody needs the rule any more that lets marked packets through.
fn is_last_to_pass(socket: &Socket, gone: &Gone<'_>) -> Result<bool, Error> {
    Ok(!gone.others_publish && nft::elements(socket, &INET, &PASSING)?.is_empty())
}

/// Whether all that `claim` wants is there since the earlier one.
fn is_there(socket: &Socket, earlier: &Claim, claim: &Claim) -> bool {
    let (Some((old, _)), Some((new, how))) = (written(earlier), written(claim)) else {
        return false;
    };
    (&old.publication, &old.reference) == (&new.publication, &new.reference)
        && portmap::check(socket, &new.publication, how, &earlier.handles).is_ok()
        && passing::check_all(socket, &new.publication).is_ok()
}

/// The ports of a claim for which the reference's chains are written.
fn written(claim: &Claim) -> Option<(&Ports, &ReferencePorts)> {
    let ports = claim.ports.as_ref()?;
    Some((ports, ports.reference.as_ref()?))
}

impl Portmap {
    /// Whether the reference publishes the ports of a container, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn is_published(
        filter: &Filter,
        publication: &Publication,
        how: &ReferencePorts,
    ) -> Result<bool, Error> {
        Ok(holds(portmap::check(filter.socket(), publication, how, &[]))?
            || hostport_nft::is_present(filter.socket(), publication)?
            || legacy::is_present(&Trace::Ports(&publication.key))?)
    }
}
