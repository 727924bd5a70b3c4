//! Results of ADD: one internal form, read from and written in the shape of any version.

mod v0_1;
mod v0_3;
mod v1_0;

use std::net::IpAddr;

use types::Cidr;

use crate::error::{Error, code};
use crate::json::{Object, Value};
use crate::version::Version;

/// What an attachment is, in the newest version's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddResult {
    /// Links that were made or are of interest, on the host and in the container.
    pub interfaces: Vec<Interface>,
    /// Addresses.
    pub ips: Vec<Ip>,
    /// Routes in the container.
    pub routes: Vec<Route>,
    /// Name service for the container.
    pub dns: Dns,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its link-layer address; empty when it has none.
    pub mac: String,
    /// Its MTU in bytes; 0 when unknown.
    pub mtu: u32,
    /// The namespace as the runtime named it; empty for links on the host.
    pub sandbox: String,
    /// Socket of a device in user space (1.1.0); empty for links of the kernel.
    pub socket_path: String,
    /// PCI address of the device (1.1.0); empty for virtual ones.
    pub pci_id: String,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Index into the interfaces; `None` when the address belongs to none or the index is wrong.
    pub interface: Option<usize>,
    /// Address and prefix length.
    pub address: Cidr,
    /// Gateway of the address's network; it informs and makes no route.
    pub gateway: Option<IpAddr>,
}

/// One route in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination, host bits kept as written.
    pub dst: Cidr,
    /// Next hop; `None`: the gateway of the first address of that family.
    pub gw: Option<IpAddr>,
    /// Path MTU in bytes; 0: the link's.
    pub mtu: u32,
    /// Advertised TCP segment size in bytes; 0: derived from the MTU.
    pub advmss: u32,
    /// Metric; lower wins; 0: the kernel's default.
    pub priority: u32,
    /// Routing table; `None`: main.
    pub table: Option<u32>,
    /// Scope (`/etc/iproute2/rt_scopes`); `None`: global.
    pub scope: Option<u32>,
}

impl Route {
    /// A route with nothing but destination and next hop.
    #[must_use]
    pub fn via(dst: Cidr, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: 0, advmss: 0, priority: 0, table: None, scope: None }
    }

    /// Reads a list of routes at the key `routes` of `object`, as in a result or in `ipam`.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub fn decode_list(object: &Object<'_>) -> Result<Vec<Self>, Error> {
        let mut routes = Vec::new();
        for value in object.list("routes")? {
            let route = value.object()?;
            let dst = route.parsed("dst")?.ok_or_else(|| value.invalid("a route needs a dst"))?;
            routes.push(Self {
                dst,
                gw: route.ip("gw")?,
                mtu: route.number("mtu")?.unwrap_or(0),
                advmss: route.number("advmss")?.unwrap_or(0),
                priority: route.number("priority")?.unwrap_or(0),
                table: route.number("table")?,
                scope: route.number("scope")?,
            });
        }
        Ok(routes)
    }
}

/// Name service for the container (resolv.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses of name servers.
    pub nameservers: Vec<String>,
    /// Local domain; empty for none.
    pub domain: String,
    /// Search list.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// In which shape ADD prints its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultShape {
    /// The shape of the configuration's version.
    OfVersion,
    /// The newest shape under the configuration's version, as the reference's `loopback` does.
    Newest,
}

impl Dns {
    /// Whether nothing is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads a `dns` object; absent keys stay empty.
    ///
    /// # Errors
    /// Code 6 when a key is of the wrong kind.
    pub fn decode(object: &Object<'_>) -> Result<Self, Error> {
        Ok(Self {
            nameservers: object.strings("nameservers")?,
            domain: object.string("domain")?.unwrap_or_default(),
            search: object.strings("search")?,
            options: object.strings("options")?,
        })
    }
}

impl AddResult {
    /// Reads a result. `expected` is the version of the configuration; a result that names its own
    /// is read by that one, since both sides then mean the same.
    ///
    /// # Errors
    /// Code 6 when it is no result of that version or of one that cais knows.
    pub fn decode(value: &Value<'_>, expected: Version) -> Result<Self, Error> {
        let object = value.object()?;
        let version = match object.get("cniVersion").map(|v| v.string()) {
            Some(Ok(text)) if !text.is_empty() => text.parse().map_err(|_| {
                Error::new(code::DECODE, format!("unsupported CNI result version \"{text}\""))
            })?,
            _ => expected,
        };
        match version {
            Version::V0_1_0 | Version::V0_2_0 => v0_1::decode(&object),
            _ => v1_0::decode(&object),
        }
    }

    /// Reads a result from what a plugin printed; see [`AddResult::decode`].
    ///
    /// # Errors
    /// Code 6 when it is no JSON or no result.
    pub fn parse(text: &[u8], expected: Version) -> Result<Self, Error> {
        let raw = serde_json::from_slice(text).map_err(|e| {
            Error::new(code::DECODE, format!("failed to unmarshal raw result: {e}"))
        })?;
        let value = Value::root(raw);
        if raw.get() == "null" {
            return Ok(Self::default());
        }
        Self::decode(&value, expected)
    }

    /// Writes the result in the shape of `version`.
    ///
    /// # Errors
    /// Code 999 when versions 0.1.0 and 0.2.0, which know only addresses, find none.
    pub fn encode(&self, version: Version, shape: ResultShape) -> Result<Vec<u8>, Error> {
        match (version, shape) {
            (_, ResultShape::Newest) | (Version::V1_0_0 | Version::V1_1_0, _) => {
                Ok(v1_0::encode(self, version))
            }
            (Version::V0_1_0 | Version::V0_2_0, _) => v0_1::encode(self, version),
            _ => Ok(v0_3::encode(self, version)),
        }
    }

    /// The interface that the attachment is about: named `ifname` and inside `sandbox`.
    #[must_use]
    pub fn interface(&self, ifname: &str, sandbox: &str) -> Option<(usize, &Interface)> {
        self.interfaces
            .iter()
            .enumerate()
            .find(|(_, link)| link.name == ifname && link.sandbox == sandbox)
    }
}

#[cfg(test)]
mod tests;
