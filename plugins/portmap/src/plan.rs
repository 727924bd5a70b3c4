//! What must be true, as data: from the configuration and the result of the plugins before.

use cni::{AddResult, Call, Error, Ip, code};
use netfilter::Publication;
use types::{Attachment, Family};

use crate::config::Config;

/// What `config` publishes for `call`; `None` where there is nothing to publish.
///
/// # Errors
/// Code 7 when there is no result of a plugin before this one.
pub fn publication(call: &Call, config: &Config) -> Result<Option<Publication>, Error> {
    let Some(result) = &config.result else {
        return Err(Error::new(code::INVALID_CONFIG, "must be called as chained plugin").with_hint(
            "portmap comes after an interface plugin in a list, whose result is in \"prevResult\"",
        ));
    };
    if config.mappings.is_empty() {
        return Ok(None);
    }
    Ok(Some(for_key(&call.attachment, config, result)))
}

fn for_key(key: &Attachment, config: &Config, result: &AddResult) -> Publication {
    let target = |family| {
        let of_family = |ip: &&Ip| ip.address.family() == family;
        result.ips.iter().filter(of_family).find(|ip| is_of(key, result, ip)).map(|ip| ip.address)
    };
    Publication {
        key: key.clone(),
        v4: target(Family::V4),
        v6: target(Family::V6),
        mappings: config.mappings.clone(),
        masquerade: config.masquerade,
        conditions_v4: config.conditions_v4.clone(),
        conditions_v6: config.conditions_v6.clone(),
    }
}

/// Whether an address is the container's at this interface, or nobody says whose it is.
fn is_of(key: &Attachment, result: &AddResult, ip: &Ip) -> bool {
    match ip.interface.and_then(|index| result.interfaces.get(index)) {
        None => true,
        Some(link) => link.name == key.ifname.as_str() && !link.sandbox.is_empty(),
    }
}
