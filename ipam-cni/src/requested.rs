//! Addresses that the caller asks for by value.

use std::net::IpAddr;

use cni::{Args, Config as Network, Error, code};
use types::{Cidr, parse_ip};

/// All requested addresses: `CNI_ARGS`, then `args.cni`, then the runtime's.
///
/// # Errors
/// Codes 4, 6 and 7 where something is no address.
pub fn addresses(network: &Network, args: &Args) -> Result<Vec<IpAddr>, Error> {
    let mut requested = Vec::new();
    if let Some(text) = args.get("IP").filter(|text| !text.is_empty()) {
        requested.push(address(text).ok_or_else(|| {
            Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS IP={text}: not one IP address"))
                .with_hint("several addresses go into the capability \"ips\"")
        })?);
    }
    for ips in [network.args_cni()?.list("ips")?, network.runtime()?.list("ips")?] {
        for value in ips {
            let text = value.string()?;
            requested.push(
                address(&text)
                    .ok_or_else(|| value.invalid(format!("invalid IP address: {text}")))?,
            );
        }
    }
    Ok(requested)
}

/// An address with or without a prefix length, which does not matter.
fn address(text: &str) -> Option<IpAddr> {
    parse_ip(text).or_else(|| text.parse::<Cidr>().ok().map(Cidr::ip))
}
