//! `static`: addresses as they are written in the configuration or given by the caller.

use std::net::IpAddr;

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{
    AddResult, Args, Call, Config as Network, Dns, Error, Ip, NetworkCall, Plugin, Route, code,
};
use types::Cidr;

use crate::limits::one_address_a_family;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Static;

/// The keys of `static`, in the order of its page.
const KEYS: &[Key] = &[
    Key {
        path: "ipam.addresses",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses of the container.",
    },
    Key {
        path: "ipam.addresses[].address",
        kind: Kind::Text,
        default: "required",
        doc: "Address in CIDR form, with its network's prefix length.",
    },
    Key {
        path: "ipam.addresses[].gateway",
        kind: Kind::Text,
        default: "none",
        doc: "Gateway of that network, for the result.",
    },
    Key {
        path: "ipam.routes",
        kind: Kind::List,
        default: "[]",
        doc: "Routes for the result: dst and optionally gw, mtu, advmss, priority, table, scope.",
    },
    Key {
        path: "ipam.dns",
        kind: Kind::Object,
        default: "none",
        doc: "Name service for the result.",
    },
    Key {
        path: "ipam.dns.nameservers",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses of name servers.",
    },
    Key { path: "ipam.dns.domain", kind: Kind::Text, default: "none", doc: "Local domain." },
    Key { path: "ipam.dns.search", kind: Kind::List, default: "[]", doc: "Search list." },
    Key { path: "ipam.dns.options", kind: Kind::List, default: "[]", doc: "Resolver options." },
    Key {
        path: "args.cni.ips",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses in CIDR form that replace those of the configuration and CNI_ARGS.",
    },
    Key {
        path: "runtimeConfig.ips",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses in CIDR form that replace all others.",
    },
];

impl Plugin for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self, network: &Network) -> Result<(), Error> {
        parse(network, &Args::default()).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        parse(&call.config, &call.args(&["IP", "GATEWAY"])?)
    }

    fn del(&self, _: &Call) -> Result<(), Error> {
        Ok(())
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let wanted = parse(&call.config, &call.args(&["IP", "GATEWAY"])?)?;
        let Some(result) = call.config.prev_result()? else {
            return Err(Error::new(code::INVALID_CONFIG, "Required prevResult missing"));
        };
        for ip in &wanted.ips {
            let differs = |why: String| {
                Err(Error::new(code::DIFFERS, format!("static: {why}"))
                    .with_hint("the configuration was changed after ADD"))
            };
            match result.ips.iter().find(|found| found.address == ip.address) {
                None => return differs(format!("address {} is not in prevResult", ip.address)),
                Some(found) if ip.gateway.is_some() && found.gateway != ip.gateway => {
                    let text = |gw: Option<IpAddr>| gw.map_or("none".into(), |gw| gw.to_string());
                    return differs(format!(
                        "Failed to match gateway of {}: {} is configured, prevResult has {}",
                        ip.address,
                        text(ip.gateway),
                        text(found.gateway)
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Nothing is kept, so nothing can be left.
    fn gc(&self, _: &NetworkCall) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        self.validate(&call.config)
    }
}

fn parse(network: &Network, args: &Args) -> Result<AddResult, Error> {
    let Some(ipam) = network.object()?.object("ipam")? else {
        return Err(Error::new(code::INVALID_CONFIG, "IPAM config missing 'ipam' key"));
    };
    let mut ips = configured(&ipam)?;
    ips.extend(of_environment(args)?);
    for given in [network.args_cni()?.list("ips")?, network.runtime()?.list("ips")?] {
        if !given.is_empty() {
            ips = given.iter().map(|value| ip(value.parsed()?, None)).collect::<Result<_, _>>()?;
        }
    }
    one_address_a_family(network.version(), ips.iter().map(|ip| ip.address.family()))?;
    Ok(AddResult {
        interfaces: Vec::new(),
        ips,
        routes: Route::decode_list(&ipam)?,
        dns: Dns::decode(&ipam.object("dns")?.unwrap_or_default())?,
    })
}

fn configured(ipam: &Object<'_>) -> Result<Vec<Ip>, Error> {
    let one = |value: &Value<'_>| {
        let entry = value.object()?;
        let address = entry.parsed("address")?;
        let address = address.ok_or_else(|| value.invalid("an entry needs an address"))?;
        ip(address, entry.ip("gateway")?)
    };
    ipam.list("addresses")?.iter().map(one).collect()
}

/// `IP`, a list of addresses in CIDR form, and `GATEWAY`, a list of gateways, each for the addresses
/// of `IP` whose network it is in.
fn of_environment(args: &Args) -> Result<Vec<Ip>, Error> {
    let list = |key| args.get(key).unwrap_or_default().split(',').filter(|text| !text.is_empty());
    let invalid = |key: &str, text: &str, why: &str| {
        Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS {key}={text}: {why}"))
    };
    let mut ips = Vec::new();
    for text in list("IP") {
        let address = text.parse::<Cidr>().map_err(|why| {
            invalid("IP", text, &why.to_string())
                .with_hint("give each address its network's prefix length: 10.1.2.3/16")
        })?;
        ips.push(ip(address, None)?);
    }
    for text in list("GATEWAY") {
        let gateway =
            types::parse_ip(text).ok_or_else(|| invalid("GATEWAY", text, "invalid IP address"))?;
        for ip in ips.iter_mut().filter(|ip| ip.address.contains(gateway)) {
            ip.gateway = Some(gateway);
        }
    }
    Ok(ips)
}

fn ip(address: Cidr, gateway: Option<IpAddr>) -> Result<Ip, Error> {
    Ok(Ip { interface: None, address, gateway })
}
