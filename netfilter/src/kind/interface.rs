use std::net::IpAddr;

use cni::GcAttachment;
use kernel::link;
use kernel::netlink::Socket;
use kernel::nft::Batch;
use types::{Attachment, Cidr, IfName, MacAddr, NetworkName};

use super::{Gone, Kind, holds, stays};
use crate::claim::Claimant;
use crate::error::Error;
use crate::reference::legacy::{self, Trace};
use crate::reference::{masquerade, masquerade_nft, spoof_nft};

/// Plugins that make interfaces: masquerade and a check of frames' source. Ours are in our own
/// tables alone.
#[derive(Clone, Copy, Debug)]
pub struct Interface;

impl Kind for Interface {
    fn claimant(&self) -> Claimant {
        Claimant::Interface
    }

    fn remove(&self, socket: &Socket, batch: &mut Batch, gone: &Gone<'_>) -> Result<(), Error> {
        if gone.claim.is_none() {
            masquerade::remove(socket, batch, gone.owner(), &[])?;
        }
        Ok(())
    }

    fn remove_leftovers(&self, socket: &Socket, gone: &Gone<'_>) -> Result<(), Error> {
        if gone.claim.is_some() {
            return Ok(());
        }
        masquerade_nft::remove(socket, gone.key)?;
        spoof_nft::remove(socket, gone.key)?;
        Ok(legacy::remove(&[Trace::Masquerade(gone.key, gone.addresses)])?)
    }

    fn sweep(
        &self,
        socket: &Socket,
        network: &NetworkName,
        valid: &[GcAttachment],
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        masquerade::sweep(socket, &mut batch, stays(network, valid))?;
        batch.commit_skipping_missing(socket)?;
        masquerade_nft::sweep(socket, network, valid)?;
        let links = Socket::open("the host's namespace")?;
        // What cannot be found out counts as there.
        let exists = |name: &str| match name.parse::<IfName>() {
            Ok(name) => !matches!(link::find(&links, &name), Ok(None)),
            Err(_) => true,
        };
        Ok(spoof_nft::sweep(socket, exists)?)
    }
}

impl Interface {
    /// Whether the reference masquerades `addresses` of a container, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn is_masqueraded(
        socket: &Socket,
        key: &Attachment,
        addresses: &[Cidr],
    ) -> Result<bool, Error> {
        let owner = (key.network.as_str(), key.container.as_str());
        if holds(masquerade::check(socket, owner, addresses))? {
            return Ok(true);
        }
        let ips: Vec<IpAddr> = addresses.iter().map(|cidr| cidr.ip()).collect();
        for ip in &ips {
            if !masquerade_nft::is_present(socket, key, *ip)? {
                return Ok(legacy::is_present(&Trace::Masquerade(key, &ips))?);
            }
        }
        Ok(true)
    }

    /// Whether the reference checks that frames of a container bear its address.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn is_checked(socket: &Socket, key: &Attachment, mac: MacAddr) -> Result<bool, Error> {
        Ok(spoof_nft::is_present(socket, key, mac)?)
    }
}
