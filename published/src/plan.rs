//! What must be true, as data: from the ports that are wanted and the container's addresses.

use cni::{AddResult, Ip};
use netfilter::{Mapping, Masquerade, Publication};
use types::{Attachment, Family};

/// `mappings` with the addresses of `result` that they lead to.
#[must_use]
pub fn publication(
    key: &Attachment,
    result: &AddResult,
    mappings: Vec<Mapping>,
    masquerade: Masquerade,
) -> Publication {
    let target = |family| {
        let of_family = |ip: &&Ip| ip.address.family() == family;
        result.ips.iter().filter(of_family).find(|ip| is_of(key, result, ip)).map(|ip| ip.address)
    };
    Publication {
        v4: target(Family::V4),
        v6: target(Family::V6),
        mappings,
        ..Publication::of(key.clone(), masquerade)
    }
}

/// What is published of a bridge of ours; `None` where there is nothing to publish.
#[must_use]
pub fn on_bridge(
    key: &Attachment,
    result: &AddResult,
    mappings: &[Mapping],
) -> Option<Publication> {
    let some = || publication(key, result, mappings.to_vec(), Masquerade::Neighbours);
    (!mappings.is_empty()).then(some)
}

/// Whether an address is the container's at this interface, or nobody says whose it is.
fn is_of(key: &Attachment, result: &AddResult, ip: &Ip) -> bool {
    match ip.interface.and_then(|index| result.interfaces.get(index)) {
        None => true,
        Some(link) => link.name == key.ifname.as_str() && !link.sandbox.is_empty(),
    }
}
