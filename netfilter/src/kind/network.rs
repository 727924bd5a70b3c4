use cni::GcAttachment;
use kernel::netlink::Socket;
use kernel::nft::Batch;
use types::NetworkName;

use super::{Gone, Interface, Kind};
use crate::claim::{Claim, Claimant};
use crate::error::Error;
use crate::filter::Filter;
use crate::passing;

/// Plugins that make a network as a whole: an interface, and its packets pass hosts that drop what
/// they forward.
#[derive(Clone, Copy, Debug)]
pub struct Network;

impl Kind for Network {
    fn claimant(&self) -> Claimant {
        Claimant::Interface
    }

    fn pass(&self, filter: &Filter, claims: &[Claim]) -> Result<(), Error> {
        passing::pass(filter.socket(), claims)
    }

    fn remove(&self, socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error> {
        Interface.remove(socket, batch, gone)
    }

    fn remove_leftovers(&self, socket: &Socket, gone: &Gone<'_>) -> Result<(), Error> {
        passing::pass_no_more(socket, gone)?;
        Interface.remove_leftovers(socket, gone)
    }

    fn check(&self, socket: &Socket, claim: &Claim) -> Result<(), Error> {
        passing::check(socket, claim)
    }

    fn sweep(
        &self,
        socket: &Socket,
        network: &NetworkName,
        valid: &[GcAttachment],
    ) -> Result<(), Error> {
        Interface.sweep(socket, network, valid)
    }
}
