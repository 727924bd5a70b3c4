//! What the container is to get, as data: from the configuration and what IPAM answered.

use attach::ipam::must_have_addresses;
use attach::layer3;
use cni::{AddResult, Error};

use crate::config::Config;

/// Place of the link among the result's interfaces: it is the only one.
pub const LINK: usize = 0;

/// Completes what IPAM answered: all addresses are the link's, and `dns` of the configuration comes
/// before IPAM's.
///
/// # Errors
/// Code 7 when IPAM gave no address.
pub fn result(config: &Config, answer: AddResult) -> Result<AddResult, Error> {
    must_have_addresses(&answer)?;
    let mut result = AddResult { interfaces: Vec::new(), ..answer };
    for ip in &mut result.ips {
        ip.interface = Some(LINK);
    }
    if let Some(dns) = &config.dns {
        result.dns = dns.clone();
    }
    layer3::dedup(&mut result.routes);
    Ok(result)
}

/// What there is to tell of a link without addresses.
#[must_use]
pub fn bare_result(config: &Config) -> AddResult {
    AddResult { dns: config.dns.clone().unwrap_or_default(), ..AddResult::default() }
}
