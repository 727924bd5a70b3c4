//! The shape of 0.3.0, 0.3.1 and 0.4.0: addresses carry their family, keys stand in a fixed order.

use serde::Serialize;
use types::Family;

use super::{AddResult, Dns, Route};
use crate::json::pretty;
use crate::version::Version;

pub(super) fn encode(result: &AddResult, version: Version) -> Vec<u8> {
    let interfaces = result
        .interfaces
        .iter()
        .map(|link| InterfaceShape { name: &link.name, mac: &link.mac, sandbox: &link.sandbox })
        .collect();
    let ips = result
        .ips
        .iter()
        .map(|ip| IpShape {
            version: match ip.address.family() {
                Family::V4 => "4",
                Family::V6 => "6",
            },
            interface: ip.interface,
            address: ip.address.to_string(),
            gateway: ip.gateway.map(|gw| gw.to_string()),
        })
        .collect();
    pretty(&Shape {
        cni_version: version.as_str(),
        interfaces,
        ips,
        routes: result.routes.iter().map(RouteShape::from).collect(),
        dns: DnsShape::from(&result.dns),
    })
}

#[derive(Serialize)]
struct Shape<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<InterfaceShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ips: Vec<IpShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteShape>,
    dns: DnsShape<'a>,
}

#[derive(Serialize)]
struct InterfaceShape<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mac: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sandbox: &'a str,
}

#[derive(Serialize)]
struct IpShape {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

/// Routes keep what only later versions know: the reference does, and nobody stumbles over it.
#[derive(Serialize)]
struct RouteShape {
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advmss: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<u32>,
}

impl From<&Route> for RouteShape {
    fn from(route: &Route) -> Self {
        let given = |n: u32| (n != 0).then_some(n);
        Self {
            dst: route.dst.to_string(),
            gw: route.gw.map(|gw| gw.to_string()),
            mtu: given(route.mtu),
            advmss: given(route.advmss),
            priority: given(route.priority),
            table: route.table,
            scope: route.scope,
        }
    }
}

/// Printed even when empty, as `{}`.
#[derive(Serialize)]
pub(super) struct DnsShape<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    nameservers: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    search: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    options: &'a [String],
}

impl<'a> From<&'a Dns> for DnsShape<'a> {
    fn from(dns: &'a Dns) -> Self {
        let Dns { nameservers, domain, search, options } = dns;
        Self { nameservers, domain, search, options }
    }
}
