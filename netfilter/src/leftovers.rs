//! What the reference plugins left on this host in other layouts than those that cais keeps: its
//! nftables tables, and iptables of the legacy variant. See [`reference`](crate::reference).

use std::net::IpAddr;

use cni::GcAttachment;
use kernel::netlink::Socket;
use types::{Attachment, Cidr, Family, MacAddr, NetworkName};

use crate::claim::{Claim, Claimant, Forward, Forwarder, ReferencePorts};
use crate::error::Error;
use crate::reference::legacy::{self, Marking, Trace};
use crate::reference::{firewall, hostport_nft, masquerade, masquerade_nft, portmap, spoof_nft};
use crate::{Filter, Publication};

/// Takes away what they hold for `key`. What cais made is in none of them, but for legacy tables:
/// where those are in use it writes them, too.
pub(crate) fn remove(
    socket: &Socket,
    key: &Attachment,
    claim: Option<&Claim>,
    (claimant, addresses): (Claimant, &[IpAddr]),
) -> Result<(), Error> {
    if claim.is_none() {
        match claimant {
            Claimant::Interface => {
                masquerade_nft::remove(socket, key)?;
                spoof_nft::remove(socket, key)?;
            }
            Claimant::Portmap => hostport_nft::remove(socket, &key.container, &[])?,
            Claimant::Firewall => {}
        }
    }
    let trace = match claimant {
        Claimant::Interface if claim.is_some() => return Ok(()),
        Claimant::Interface => Trace::Masquerade(key, addresses),
        Claimant::Portmap => Trace::Ports(key),
        Claimant::Firewall => Trace::Accepts(addresses),
    };
    Ok(legacy::remove(&[trace])?)
}

/// Takes away what [`write`] made of `claim`.
pub(crate) fn withdraw(claim: &Claim) -> Result<(), Error> {
    if claim.ports.as_ref().is_some_and(|ports| ports.reference.is_some()) {
        legacy::remove(&[Trace::Ports(&claim.key)])?;
    }
    if let Some(Forward { by: Forwarder::Chains(_), addresses, .. }) = &claim.forward {
        legacy::remove(&[Trace::Accepts(addresses)])?;
    }
    Ok(())
}

/// Writes what `claim` wants where the legacy tables are in use: packets pass both variants.
pub(crate) fn write(claim: &Claim) -> Result<(), Error> {
    if let Some(ports) = &claim.ports
        && let Some(how) = &ports.reference
        && in_use("nat")?
    {
        let marking = match &how.set_mark_chain {
            Some(chain) => Marking::Chain(chain),
            None => Marking::Bit(how.mark_bit),
        };
        legacy::publish(&ports.publication, marking)?;
    }
    if let Some(Forward { by: Forwarder::Chains(admin), addresses, .. }) = &claim.forward
        && in_use("filter")?
    {
        legacy::accept(addresses, admin)?;
    }
    Ok(())
}

fn in_use(table: &str) -> Result<bool, Error> {
    Ok(legacy::is_in_use(Family::V4, table)? || legacy::is_in_use(Family::V6, table)?)
}

/// Takes away what they hold for attachments of `network` that are not in `valid`.
pub(crate) fn sweep(
    socket: &Socket,
    network: &NetworkName,
    claimant: Claimant,
    valid: &[GcAttachment],
) -> Result<(), Error> {
    if claimant == Claimant::Interface {
        masquerade_nft::sweep(socket, network, valid)?;
    }
    if claimant == Claimant::Portmap {
        legacy::sweep(network, valid)?;
    }
    Ok(())
}

impl Filter {
    /// Whether the reference masquerades `addresses` of a container, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn reference_masquerades(
        &self,
        key: &Attachment,
        addresses: &[Cidr],
    ) -> Result<bool, Error> {
        let owner = (key.network.as_str(), key.container.as_str());
        if holds(masquerade::check(&self.socket, owner, addresses))? {
            return Ok(true);
        }
        let ips: Vec<IpAddr> = addresses.iter().map(|cidr| cidr.ip()).collect();
        for ip in &ips {
            if !masquerade_nft::is_present(&self.socket, key, *ip)? {
                return Ok(legacy::is_present(&Trace::Masquerade(key, &ips))?);
            }
        }
        Ok(true)
    }

    /// Whether the reference checks that frames of a container bear its address.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn reference_checks_source(&self, key: &Attachment, mac: MacAddr) -> Result<bool, Error> {
        Ok(spoof_nft::is_present(&self.socket, key, mac)?)
    }

    /// Whether the reference publishes the ports of a container, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn reference_publishes(
        &self,
        publication: &Publication,
        how: &ReferencePorts,
    ) -> Result<bool, Error> {
        Ok(holds(portmap::check(&self.socket, publication, how, &[]))?
            || hostport_nft::is_present(&self.socket, publication)?
            || legacy::is_present(&Trace::Ports(&publication.key))?)
    }

    /// Whether the reference lets packets of a container through, in whatever layout.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn reference_forwards(&self, forward: &Forward) -> Result<bool, Error> {
        Ok(holds(firewall::check(&self.socket, forward, &[]))?
            || legacy::is_present(&Trace::Accepts(&forward.addresses))?)
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
