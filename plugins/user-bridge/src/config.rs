//! What the user wrote, parsed once into types that cannot be wrong.

use std::net::IpAddr;
use std::time::Duration;

use bridges::config::Apart;
use cni::{Args, Config as Network, Dns, Error, code};
use netfilter::{HostAddress, Mapping};
use published::{OnListener, mappings};
use types::{Family, IfName, MacAddr, Mtu};

use crate::apart;
use crate::given::Given;
use crate::keys::{GW_PRIORITY, METRIC_MAX, QUARANTINE_MAX};
use crate::subnets::{self, Pool, Wanted};

pub use crate::keys::KEYS;

/// Everything that `user-bridge` reads of a network configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its subnets, IPv4 first where one is picked.
    pub subnets: Vec<Wanted>,
    /// Where subnets are picked from.
    pub pools: Vec<Pool>,
    /// The bridge; `None`: named after the network's id.
    pub bridge: Option<IfName>,
    /// MTU of bridge and containers; `None`: that of the default route's link.
    pub mtu: Option<Mtu>,
    /// How the network is kept apart from others.
    pub apart: Apart,
    /// Whether the bridge has the gateways' addresses.
    pub has_gateway: bool,
    /// Whether what leaves the network is masqueraded.
    pub masquerade: bool,
    /// Ports to publish.
    pub mappings: Vec<Mapping>,
    /// What to do about a program of the host that has such a port.
    pub on_listener: OnListener,
    /// Metric of the default routes; `None`: there are none.
    pub metric: Option<u32>,
    /// For so long a released address goes to nobody but its last owner.
    pub quarantine: Duration,
    /// Addresses asked for.
    pub requested: Vec<IpAddr>,
    /// Address of the container's end; `None`: a random one.
    pub mac: Option<MacAddr>,
    /// Name service beside the network's own.
    pub dns: Dns,
}

/// What `CNI_ARGS` may hold; runtimes of Kubernetes, Podman and nerdctl name the container so.
pub(crate) const ARGS: &[&str] = &[
    "IP",
    "MAC",
    "K8S_POD_NAME",
    "K8S_POD_NAMESPACE",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

impl Config {
    /// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
    ///
    /// # Errors
    /// Codes 4, 6 and 7, the key named by its path; an unknown key or option is one.
    pub fn parse(network: &Network, args: &Args) -> Result<Self, Error> {
        let given = Given::read(network.object()?)?;
        let subnets = subnets::read(&given)?;
        let mut families: Vec<Family> =
            subnets.iter().map(|wanted| wanted.place.family()).collect();
        families.dedup();
        ipam_cni::one_address_a_family(
            network.version(),
            subnets.iter().map(|wanted| wanted.place.family()),
        )?;
        let kept = apart::read(&given, &families)?;
        let binding = host_binding(&given)?;
        let mut mappings = mappings::requested(network)?;
        for mapping in &mut mappings {
            if let (HostAddress::Any, Some(binding)) = (mapping.host, binding) {
                mapping.host = binding;
            }
        }
        let quarantine = given.integer("quarantine", 0..=QUARANTINE_MAX)?.unwrap_or(30);
        Ok(Self {
            pools: subnets::pools(&given.keys)?,
            bridge: given.parsed("bridge")?,
            mtu: mtu(&given, families.contains(&Family::V6))?,
            apart: kept.apart,
            has_gateway: kept.has_gateway,
            masquerade: kept.masquerade,
            mappings,
            on_listener: match given.word("onListener", &["warn", "error"])?.as_deref() {
                Some("error") => OnListener::Fail,
                _ => OnListener::Warn,
            },
            metric: metric(&given)?,
            quarantine: Duration::from_secs(quarantine.unsigned_abs()),
            requested: ipam_cni::requested::addresses(network, args)?,
            mac: mac(network, &given, args)?,
            dns: match given.keys.object("dns")? {
                Some(dns) => Dns::decode(&dns)?,
                None => Dns::default(),
            },
            subnets,
        })
    }
}

/// `None` for all addresses of both families, which Docker writes as `0.0.0.0`.
fn host_binding(given: &Given<'_>) -> Result<Option<HostAddress>, Error> {
    let Some(ip) = given.parsed::<IpAddr>("hostBinding")?.map(types::canonical) else {
        return Ok(None);
    };
    Ok(match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => None,
        IpAddr::V6(ip) if ip.is_unspecified() => Some(HostAddress::All(Family::V6)),
        ip => Some(HostAddress::One(ip)),
    })
}

fn mtu(given: &Given<'_>, has_v6: bool) -> Result<Option<Mtu>, Error> {
    let Some(bytes) = given.integer("mtu", 0..=i64::from(u32::MAX))?.filter(|bytes| *bytes != 0)
    else {
        return Ok(None);
    };
    let invalid = |why: String| Error::new(code::INVALID_CONFIG, format!("key \"mtu\": {why}"));
    let bytes = u32::try_from(bytes).map_err(|why| invalid(why.to_string()))?;
    if has_v6 && bytes < 1280 {
        return Err(invalid(format!("{bytes} bytes are too few for IPv6, which needs 1280")));
    }
    Mtu::try_from(bytes).map(Some).map_err(|why| invalid(why.to_string()))
}

/// The metric that Podman gives the routes of a bridge.
const USUAL_METRIC: i64 = 100;

fn metric(given: &Given<'_>) -> Result<Option<u32>, Error> {
    let priority = given.integer("gwPriority", GW_PRIORITY.0..=GW_PRIORITY.1)?;
    let metric = given.integer("metric", 1..=METRIC_MAX)?;
    if let (Some(_), Some(_)) = (priority, metric) {
        let text = "cannot use gwPriority with metric: both say which default route wins";
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint("leave one of them out"));
    }
    if given.flag("noDefaultRoute")? == Some(true) {
        return Ok(None);
    }
    let metric = metric.unwrap_or(USUAL_METRIC - priority.unwrap_or(0));
    Ok(Some(u32::try_from(metric).expect("integer() kept both within bounds")))
}

/// `runtimeConfig.mac`, else `args.cni.mac`, else `MAC` of `CNI_ARGS`, else that of an option.
fn mac(network: &Network, given: &Given<'_>, args: &Args) -> Result<Option<MacAddr>, Error> {
    let of_option = given.parsed_option("mac")?;
    if let Some(mac) = network.runtime()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    if let Some(mac) = network.args_cni()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    match args.get("MAC") {
        None | Some("") => Ok(of_option),
        Some(text) => text.parse().map(Some).map_err(|why| {
            Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS MAC={text}: {why}"))
        }),
    }
}
