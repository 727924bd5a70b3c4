//! What the kinds of plugins do apart in the reference's layouts. A program links those of its own
//! kind alone: [`Filter::open`](crate::Filter::open) is told which.

mod firewall;
mod interface;
mod names;
mod network;
mod portmap;

use std::fmt;
use std::net::IpAddr;

use cni::GcAttachment;
use kernel::netlink::Socket;
use kernel::nft::Batch;
use types::{Attachment, NetworkName};

use crate::claim::{Claim, Claimant};
use crate::conflict::Conflict;
use crate::error::Error;
use crate::filter::Filter;
use crate::reference::Added;

pub use firewall::Firewall;
pub use interface::Interface;
pub use names::Names;
pub use network::Network;
pub use portmap::Portmap;

/// A kind of plugin.
pub trait Kind: fmt::Debug + Sync {
    /// Which it is.
    fn claimant(&self) -> Claimant;

    /// Everything that stands in the way of a claim.
    ///
    /// # Errors
    /// When the tables cannot be read.
    fn conflicts(&self, _: &Socket, _: &Claim) -> Result<Vec<Conflict>, Error> {
        Ok(Vec::new())
    }

    /// Puts what `claim` wants of the reference's chains into the batch: other programs read them,
    /// and hosts whose policy is to drop what they forward need them. `earlier` is the claim that it
    /// replaces.
    ///
    /// # Errors
    /// When the tables cannot be read, or a chain is something else.
    fn add(
        &self,
        _: &Socket,
        _: &mut Batch,
        _claim: &Claim,
        _earlier: Option<&Claim>,
    ) -> Result<Added, Error> {
        Ok(Added::default())
    }

    /// Writes what `claim` wants where the legacy tables of iptables are in use: packets pass both
    /// variants.
    ///
    /// # Errors
    /// When iptables fails.
    fn add_legacy(&self, _: &Claim) -> Result<(), Error> {
        Ok(())
    }

    /// Lets packets of the networks of `claims` through iptables' `FORWARD`, after the batch.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    fn pass(&self, _: &Filter, _claims: &[Claim]) -> Result<(), Error> {
        Ok(())
    }

    /// Puts the deletion of all rules of an attachment into the batch, whoever wrote them.
    ///
    /// # Errors
    /// When the tables cannot be read.
    fn remove(&self, socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error>;

    /// Takes away what the reference's other layouts hold for an attachment, after the batch.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    fn remove_leftovers(&self, socket: &Socket, gone: &Gone<'_>) -> Result<(), Error>;

    /// Takes away chains that nobody uses any more, after the last claim of all that have any.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    fn tidy(&self, _: &Socket) -> Result<(), Error> {
        Ok(())
    }

    /// Compares what `claim` wants of the reference's chains with what is there, whoever wrote it.
    ///
    /// # Errors
    /// [`Error::Differs`].
    fn check(&self, _: &Socket, _: &Claim) -> Result<(), Error> {
        Ok(())
    }

    /// Whether all that [`Kind::add`] writes for `claim` is there.
    ///
    /// # Errors
    /// When the tables cannot be read.
    fn is_complete(&self, _: &Socket, _: &Claim) -> Result<bool, Error> {
        Ok(true)
    }

    /// Takes away what the reference left for containers of `network` that are not `valid`.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    fn sweep(
        &self,
        _: &Socket,
        _network: &NetworkName,
        _valid: &[GcAttachment],
    ) -> Result<(), Error> {
        Ok(())
    }
}

impl PartialEq for dyn Kind {
    fn eq(&self, other: &Self) -> bool {
        self.claimant() == other.claimant()
    }
}

impl Eq for dyn Kind {}

/// Whose rules are taken back.
#[derive(Debug)]
pub struct Gone<'a> {
    /// Whose.
    pub key: &'a Attachment,
    /// The claim, where one is remembered; else the rules of the reference are looked for.
    pub claim: Option<&'a Claim>,
    /// Addresses that have rules of `firewall`, and that nobody else has by now.
    pub addresses: &'a [IpAddr],
    /// Such that others have as well by now.
    pub shared: &'a [IpAddr],
    /// Whether the plugin has no other claim for its network.
    pub was_last_of_kind: bool,
    /// Whether other attachments of this host have published ports.
    pub others_publish: bool,
}

impl<'a> Gone<'a> {
    /// Network and container, as the reference has them.
    fn owner(&self) -> (&'a str, &'a str) {
        (self.key.network.as_str(), self.key.container.as_str())
    }
}

/// The kind of a claimant: for programs that deal with all.
#[must_use]
pub fn of(claimant: Claimant) -> &'static dyn Kind {
    match claimant {
        Claimant::Interface => &Network,
        Claimant::Portmap => &Portmap,
        Claimant::Firewall => &Firewall,
        Claimant::Names => &Names,
    }
}

/// A comparison as an answer.
fn holds(compared: Result<(), Error>) -> Result<bool, Error> {
    match compared {
        Ok(()) => Ok(true),
        Err(Error::Differs(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a sweep leaves alone, by network and container: other networks', and what is `valid`.
fn stays(network: &NetworkName, valid: &[GcAttachment]) -> impl Fn(&str, &str) -> bool {
    move |of, container| {
        of != network.as_str() || valid.iter().any(|entry| entry.container.as_str() == container)
    }
}
