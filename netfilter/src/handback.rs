//! Writing what an attachment wants into the reference plugins' layouts, so that they can go on.

use kernel::netlink::Socket;
use kernel::nft::{Batch, Missing};

use crate::claim::{Claim, Entrance, Forwarder, Linked, ReferencePorts};
use crate::error::Error;
use crate::reference::{firewall, hostport_nft, masquerade, passing, portmap, spoof_nft};

/// Writes one claim. Each layout is in place before our own goes, so that no packet finds neither;
/// a connection is changed by the first of them alone.
pub(crate) fn write(socket: &Socket, claim: &Claim) -> Result<(), Error> {
    let owner = (claim.key.network.as_str(), claim.key.container.as_str());
    let mut batch = Batch::new();
    if !claim.masquerade.is_empty() {
        let _ = masquerade::add(socket, &mut batch, owner, &claim.masquerade)?;
    }
    if let Some((link, mac)) = &claim.spoof {
        spoof_nft::write(socket, &mut batch, &claim.key, (link, *mac))?;
    }
    if let Some(ports) = claim.ports.as_ref().filter(|ports| ports.entrance == Entrance::Host) {
        match &ports.reference {
            Some(how) => {
                let how = ReferencePorts { linked: Linked::Yes, ..how.clone() };
                let _ = portmap::add(socket, &mut batch, &ports.publication, &how, &claim.handles)?;
            }
            None => hostport_nft::write(socket, &mut batch, &ports.publication)?,
        }
    }
    if let Some(ports) = claim.ports.as_ref().filter(|ports| ports.reference.is_some()) {
        // The reference would not know them, and leave them behind.
        passing::remove(socket, &mut batch, &ports.publication, &claim.handles)?;
    }
    if let Some(forward) = claim.forward.as_ref().filter(|f| f.by != Forwarder::Nobody) {
        let _ = firewall::add(socket, &mut batch, forward, &claim.handles)?;
    }
    batch.commit_with_handles(socket, Missing::Skip)?;
    Ok(())
}
