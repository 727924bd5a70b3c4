use kernel::netlink::Socket;
use kernel::nft::Batch;

use super::{Gone, Kind};
use crate::claim::Claimant;
use crate::error::Error;

/// `dnsname`: names. The reference's own are in no layout of the packet filter that would be taken
/// over: its resolver listens at port 53 itself.
#[derive(Clone, Copy, Debug)]
pub struct Names;

impl Kind for Names {
    fn claimant(&self) -> Claimant {
        Claimant::Names
    }

    fn remove(&self, _: &Socket, _: &mut Batch, _: &Gone<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn remove_leftovers(&self, _: &Socket, _: &Gone<'_>) -> Result<(), Error> {
        Ok(())
    }
}
