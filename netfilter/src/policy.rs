//! `ingressPolicy` of `firewall` is a bridge's: the last ADD decides for all containers on it.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Element, Key};

use crate::claim::{Claim, Forward, Ingress};
use crate::error::Error;
use crate::filter::Filter;
use crate::layout::{self, INET};

/// The claims of the same network that wanted another policy for the bridge of `claim`, with that of
/// `claim`: they are compared with, and written again, as it is now.
pub(crate) fn followers(filter: &Filter, claim: &Claim) -> Result<Vec<Claim>, Error> {
    let Some(wanted) = with_policy(claim) else { return Ok(Vec::new()) };
    let Some(now) = in_force(&filter.socket, wanted)? else { return Ok(Vec::new()) };
    if now == wanted.ingress {
        return Ok(Vec::new());
    }
    // Only now is it worth to read what all others want.
    let mut followers = Vec::new();
    for other in filter.store().of_network(&claim.key.network)? {
        let differs = |forward: &&Forward| {
            forward.bridge == wanted.bridge && forward.ingress != wanted.ingress
        };
        if other.key != claim.key && with_policy(&other).filter(differs).is_some() {
            let forward = other.forward.clone().map(|f| Forward { ingress: wanted.ingress, ..f });
            followers.push(Claim { forward, ..other });
        }
    }
    Ok(followers)
}

/// Puts into the batch what ends the isolation of a bridge that is to be isolated no more.
pub(crate) fn leave_stricter(
    socket: &Socket,
    batch: &mut Batch,
    claim: &Claim,
) -> Result<(), Error> {
    let Some(wanted) = with_policy(claim) else { return Ok(()) };
    if let Some(bridge) = &wanted.bridge
        && wanted.ingress == Ingress::SameBridge
        && in_force(socket, wanted)? == Some(Ingress::Isolated)
    {
        let pair = Key::new().ifname(bridge).ifname(bridge);
        batch.del_element(&INET, &layout::ALONE, &Element::new(pair));
    }
    Ok(())
}

/// The policy that the bridge of `forward` has now.
fn in_force(socket: &Socket, forward: &Forward) -> Result<Option<Ingress>, Error> {
    let Some(bridge) = &forward.bridge else { return Ok(None) };
    let (one, pair) = (Key::new().ifname(bridge), Key::new().ifname(bridge).ifname(bridge));
    let places = [(&layout::POLICED, &one), (&layout::ALONE, &pair)];
    let found = nft::element(socket, &INET, &places)?;
    let is_there: Vec<bool> = found.iter().map(Option::is_some).collect();
    Ok(match is_there[..] {
        [_, true] => Some(Ingress::Isolated),
        [true, _] => Some(Ingress::SameBridge),
        _ => None,
    })
}

/// What `firewall` wants for a container whose bridge has a policy.
fn with_policy(claim: &Claim) -> Option<&Forward> {
    claim.forward.as_ref().filter(|forward| forward.bridge.is_some())
}
