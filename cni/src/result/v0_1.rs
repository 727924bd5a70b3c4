//! The shape of 0.1.0 and 0.2.0: at most one address a family, each with its own routes.

use serde::Serialize;
use types::Family;

use super::v0_3::DnsShape;
use super::{AddResult, Dns, Ip, Route};
use crate::error::{Error, code};
use crate::json::{Object, pretty};
use crate::version::Version;

pub(super) fn decode(object: &Object<'_>) -> Result<AddResult, Error> {
    let mut result = AddResult::default();
    for key in ["ip4", "ip6"] {
        let Some(block) = object.object(key)? else { continue };
        let Some(address) = block.parsed("ip")? else { continue };
        result.ips.push(Ip { interface: None, address, gateway: block.ip("gateway")? });
        result.routes.extend(Route::decode_list(&block)?);
    }
    result.dns = Dns::decode(&object.object("dns")?.unwrap_or_default())?;
    Ok(result)
}

pub(super) fn encode(result: &AddResult, version: Version) -> Result<Vec<u8>, Error> {
    let block = |family| {
        let ip = result.ips.iter().find(|ip| ip.address.family() == family)?;
        let routes = result
            .routes
            .iter()
            .filter(|route| route.dst.family() == family)
            .map(|r| RouteShape { dst: r.dst.to_string(), gw: r.gw.map(|gw| gw.to_string()) })
            .collect();
        Some(Block {
            ip: ip.address.to_string(),
            gateway: ip.gateway.map(|gw| gw.to_string()),
            routes,
        })
    };
    let (ip4, ip6) = (block(Family::V4), block(Family::V6));
    if ip4.is_none() && ip6.is_none() {
        let text = "cannot convert: no valid IP addresses";
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint(format!(
            "version {version} cannot say \"no address\"; set cniVersion to 0.3.1 or later"
        )));
    }
    let dns = DnsShape::from(&result.dns);
    Ok(pretty(&Shape { cni_version: version.as_str(), ip4, ip6, dns }))
}

#[derive(Serialize)]
struct Shape<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<Block>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<Block>,
    dns: DnsShape<'a>,
}

#[derive(Serialize)]
struct Block {
    ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteShape>,
}

#[derive(Serialize)]
struct RouteShape {
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<String>,
}
