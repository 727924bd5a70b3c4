//! The shape of 1.0.0 and 1.1.0, keys in alphabetical order; reading also takes 0.3.0 to 0.4.0,
//! which differ by nothing that is read.

use serde::Serialize;

use super::{AddResult, Dns, Interface, Ip, Route};
use crate::error::Error;
use crate::json::{Object, Value, pretty};
use crate::version::Version;

pub(super) fn decode(object: &Object<'_>) -> Result<AddResult, Error> {
    let interfaces: Vec<Interface> =
        object.list("interfaces")?.iter().map(decode_interface).collect::<Result<_, _>>()?;
    let ips = object.list("ips")?;
    let ips = ips.iter().map(|v| decode_ip(v, interfaces.len())).collect::<Result<_, _>>()?;
    let dns = object.object("dns")?.unwrap_or_default();
    Ok(AddResult { interfaces, ips, routes: Route::decode_list(object)?, dns: Dns::decode(&dns)? })
}

fn decode_interface(value: &Value<'_>) -> Result<Interface, Error> {
    let link = value.object()?;
    let text = |key| Ok(link.string(key)?.unwrap_or_default());
    Ok(Interface {
        name: text("name")?,
        mac: text("mac")?,
        mtu: link.number("mtu")?.unwrap_or(0),
        sandbox: text("sandbox")?,
        socket_path: text("socketPath")?,
        pci_id: text("pciID")?,
    })
}

fn decode_ip(value: &Value<'_>, interfaces: usize) -> Result<Ip, Error> {
    let ip = value.object()?;
    let address = ip.parsed("address")?.ok_or_else(|| value.invalid("an IP needs an address"))?;
    // -1 and indices past the end occur in the wild; both mean "no interface of this list".
    let interface = ip.integer("interface", i64::MIN..=i64::MAX)?;
    let interface = interface.and_then(|i| usize::try_from(i).ok()).filter(|i| *i < interfaces);
    Ok(Ip { interface, address, gateway: ip.ip("gateway")? })
}

pub(super) fn encode(result: &AddResult, version: Version) -> Vec<u8> {
    pretty(&Shape {
        cni_version: version.as_str(),
        dns: (!result.dns.is_empty()).then(|| DnsShape::from(&result.dns)),
        interfaces: result.interfaces.iter().map(InterfaceShape::from).collect(),
        ips: result.ips.iter().map(IpShape::from).collect(),
        routes: result.routes.iter().map(RouteShape::from).collect(),
    })
}

#[derive(Serialize)]
struct Shape<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<DnsShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<InterfaceShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ips: Vec<IpShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteShape>,
}

#[derive(Serialize)]
struct DnsShape<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    nameservers: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    options: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    search: &'a [String],
}

impl<'a> From<&'a Dns> for DnsShape<'a> {
    fn from(dns: &'a Dns) -> Self {
        let Dns { nameservers, domain, search, options } = dns;
        Self { domain, nameservers, options, search }
    }
}

#[derive(Serialize)]
struct InterfaceShape<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    mac: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mtu: u32,
    name: &'a str,
    #[serde(rename = "pciID", skip_serializing_if = "str::is_empty")]
    pci_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sandbox: &'a str,
    #[serde(rename = "socketPath", skip_serializing_if = "str::is_empty")]
    socket_path: &'a str,
}

impl<'a> From<&'a Interface> for InterfaceShape<'a> {
    fn from(link: &'a Interface) -> Self {
        let Interface { name, mac, mtu, sandbox, socket_path, pci_id } = link;
        Self { mac, mtu: *mtu, name, pci_id, sandbox, socket_path }
    }
}

#[derive(Serialize)]
struct IpShape {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
}

impl From<&Ip> for IpShape {
    fn from(ip: &Ip) -> Self {
        Self {
            address: ip.address.to_string(),
            gateway: ip.gateway.map(|gw| gw.to_string()),
            interface: ip.interface,
        }
    }
}

#[derive(Serialize)]
struct RouteShape {
    #[serde(skip_serializing_if = "is_zero")]
    advmss: u32,
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    mtu: u32,
    #[serde(skip_serializing_if = "is_zero")]
    priority: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
}

impl From<&Route> for RouteShape {
    fn from(route: &Route) -> Self {
        Self {
            advmss: route.advmss,
            dst: route.dst.to_string(),
            gw: route.gw.map(|gw| gw.to_string()),
            mtu: route.mtu,
            priority: route.priority,
            scope: route.scope,
            table: route.table,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
