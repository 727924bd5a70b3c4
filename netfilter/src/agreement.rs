//! One bridge is kept apart in one way: networks that share it have to agree.

use kernel::nft::{self, Key};

use crate::claim::{Claim, Isolation};
use crate::error::Error;
use crate::filter::Filter;
use crate::layout::{self, INET};

/// Refuses `claim` where another network with living attachments wants its bridge kept apart in
/// another way: whichever came last would decide for both.
pub(crate) fn reach(filter: &Filter, claim: &Claim) -> Result<(), Error> {
    let Some(isolation) = &claim.isolation else { return Ok(()) };
    let bridge = Key::new().ifname(&isolation.bridge);
    let places = [(&layout::TO, &bridge), (&layout::NO_ICC, &bridge)];
    let found = nft::element(&filter.socket, &INET, &places)?;
    let [Some(class), no_icc] = &found[..] else { return Ok(()) };
    if class.chain.as_deref() == Some(isolation.class.chain()) && no_icc.is_none() == isolation.icc
    {
        return Ok(());
    }
    // Only now is it worth to read what all others want.
    let differs = |other: &Isolation| other.bridge == isolation.bridge && other != isolation;
    for other in filter.store().all()? {
        if other.key.network != claim.key.network
            && other.isolation.as_ref().is_some_and(differs)
            && !filter.is_dead(&other)
        {
            return Err(Error::Disagrees {
                key: Box::new(claim.key.clone()),
                bridge: isolation.bridge.clone(),
                other: other.key.network,
            });
        }
    }
    Ok(())
}
