//! The seam to the name service: what it must be told of an attachment, and when.
//!
//! Nobody answers names yet: [`join`] gives the container the name servers that were written for it,
//! and [`leave`] and [`sweep`] have nothing to do. All that the service needs is in [`Endpoint`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use cni::json::Value;
use cni::{AddResult, Args, Config as Network, Dns, Error};
use kernel::undo::Undo;
use types::{Attachment, Cidr, IfName, NetworkName, parse_ip};

use crate::given::Given;
use crate::keys::{GW_PRIORITY, MULTI_NETWORK, RESOLVERS};

/// What the configuration says of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Domain of the containers' names.
    pub domain: Option<String>,
    /// The container's name, as the runtime has it.
    pub container: Option<String>,
    /// The container's hostname.
    pub hostname: Option<String>,
    /// More names of the container on this network.
    pub aliases: Vec<String>,
    /// Name servers that the network asks.
    pub servers: Vec<IpAddr>,
    /// Name servers that the container asks.
    pub container_servers: Vec<IpAddr>,
    /// Where names are answered.
    pub resolver: Resolver,
    /// Which addresses a name on several networks has.
    pub multi_network: MultiNetwork,
    /// Which network of a container comes first; the highest does.
    pub priority: i64,
    /// Whether ADD fails where names cannot be answered.
    pub required: bool,
    /// What the container's resolv.conf(5) is to have beside the service.
    pub dns: Dns,
}

/// Where names are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// At the gateway where there is one, else in the container.
    Auto,
    /// At the gateway.
    Gateway,
    /// At 127.0.0.11 in the container.
    Netns,
}

/// Which addresses a name on several networks has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiNetwork {
    /// Those on the asking container's first network that has it.
    First,
    /// Those on all of its networks.
    Merge,
}

/// What the name service is told of an attachment.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// Whose names.
    pub key: &'a Attachment,
    /// Which names, and how they are answered.
    pub names: &'a Names,
    /// The container's addresses on this network.
    pub addresses: Vec<Cidr>,
    /// The bridge's addresses; none where the host is no gateway.
    pub gateways: Vec<IpAddr>,
    /// The bridge.
    pub bridge: &'a IfName,
    /// Whether nothing is ever asked of others.
    pub internal: bool,
    /// Path of the container's namespace.
    pub netns: String,
}

impl Names {
    /// Reads the keys of names.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub(crate) fn parse(network: &Network, given: &Given<'_>, args: &Args) -> Result<Self, Error> {
        let runtime = network.runtime()?;
        let of_container = runtime.object("dns")?.unwrap_or_default();
        let mut dns = match given.keys.object("dns")? {
            Some(dns) => Dns::decode(&dns)?,
            None => Dns::default(),
        };
        let domain = given.text("domainName")?;
        let searches = of_container.strings("searches")?;
        if !searches.is_empty() {
            dns.search = searches;
        } else if let Some(domain) = &domain {
            dns.search.insert(0, domain.clone());
        }
        let options = of_container.strings("options")?;
        if !options.is_empty() {
            dns.options = options;
        }
        let container = args.get("K8S_POD_NAME").filter(|name| !name.is_empty());
        Ok(Self {
            domain,
            container: container.map(str::to_owned),
            hostname: network.args_cni()?.string("hostname")?.filter(|name| !name.is_empty()),
            aliases: aliases(network)?,
            servers: addresses(&given.keys.list("servers")?)?,
            container_servers: addresses(&of_container.list("servers")?)?,
            resolver: match given.word("resolver", RESOLVERS)?.as_deref() {
                Some("gateway") => Resolver::Gateway,
                Some("netns") => Resolver::Netns,
                _ => Resolver::Auto,
            },
            multi_network: match given.word("multiNetwork", MULTI_NETWORK)?.as_deref() {
                Some("merge") => MultiNetwork::Merge,
                _ => MultiNetwork::First,
            },
            priority: given.integer("gwPriority", GW_PRIORITY.0..=GW_PRIORITY.1)?.unwrap_or(0),
            required: given.flag("dnsRequired")?.unwrap_or(true),
            dns,
        })
    }
}

/// `runtimeConfig.aliases`: a list, or a list for each network by its name.
fn aliases(network: &Network) -> Result<Vec<String>, Error> {
    let runtime = network.runtime()?;
    let Some(value) = runtime.get("aliases") else { return Ok(Vec::new()) };
    match value.object() {
        Ok(networks) => {
            let mut of_network: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (name, list) in networks.entries() {
                of_network.insert(name, texts(&list)?);
            }
            Ok(of_network.remove(NetworkName::as_str(network.name())).unwrap_or_default())
        }
        Err(_) => texts(&value),
    }
}

fn texts(list: &Value<'_>) -> Result<Vec<String>, Error> {
    if list.is_null() {
        return Ok(Vec::new());
    }
    list.list()?.iter().map(Value::string).collect()
}

fn addresses(list: &[Value<'_>]) -> Result<Vec<IpAddr>, Error> {
    let address = |value: &Value<'_>| {
        let text = value.string()?;
        parse_ip(&text).ok_or_else(|| value.invalid(format!("\"{text}\" is no IP address")))
    };
    list.iter().map(address).collect()
}

/// Makes the names of an attachment known before ADD returns, and completes what the container's
/// resolv.conf(5) gets. On the host, when the bridge and the gateways are there.
pub(crate) fn join(
    endpoint: &Endpoint<'_>,
    result: &mut AddResult,
    _undo: &mut Undo<'_>,
) -> Result<(), Error> {
    let mut dns = endpoint.names.dns.clone();
    if !endpoint.names.container_servers.is_empty() {
        dns.nameservers = endpoint.names.container_servers.iter().map(IpAddr::to_string).collect();
    }
    result.dns = dns;
    Ok(())
}

/// Forgets the names of an attachment. On the host; nothing there is success.
pub(crate) fn leave(_key: &Attachment) -> Result<(), Error> {
    Ok(())
}

/// Forgets the names of all attachments of a network that are not valid.
pub(crate) fn sweep(_call: &cni::NetworkCall) -> Result<(), Error> {
    Ok(())
}
