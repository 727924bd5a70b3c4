//! What the user wrote, parsed once into types that cannot be wrong.

use std::ops::RangeInclusive;

use bridges::config::{Config, Conflict, Gateway, Vlans};
use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Dns, Error, code};
use types::{MacAddr, Mtu, VlanId};

use crate::apart::{self, GATEWAY_MODES};

/// The keys of `bridge`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        path: "bridge",
        kind: Kind::Text,
        default: "cni0",
        doc: "Name of the bridge. It is made when missing; a link of that name that is no bridge is an error.",
    },
    Key {
        path: "isGateway",
        kind: Kind::Flag,
        default: "false",
        doc: "Gives the bridge the gateway's address and turns forwarding on.",
    },
    Key {
        path: "isDefaultGateway",
        kind: Kind::Flag,
        default: "false",
        doc: "As isGateway, and gives containers a default route for each address family.",
    },
    Key {
        path: "forceAddress",
        kind: Kind::Flag,
        default: "false",
        doc: "Replaces another address on the bridge instead of failing.",
    },
    Key {
        path: "ipMasq",
        kind: Kind::Flag,
        default: "false",
        doc: "Masquerades what leaves the container's subnet, but multicast.",
    },
    Key {
        path: "ipMasqBackend",
        kind: Kind::OneOf(&["iptables", "nftables"]),
        default: "nftables",
        doc: "Taken and ignored: both are done by the table inet cais.",
    },
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (the kernel's, 1500)",
        doc: "MTU in bytes of the veth pair and of a bridge that is made; 0, or 68 to 65535. An existing bridge is never changed.",
    },
    Key {
        path: "hairpinMode",
        kind: Kind::Flag,
        default: "false",
        doc: "Lets the bridge send frames back through the port they came from. Excludes promiscMode.",
    },
    Key {
        path: "promiscMode",
        kind: Kind::Flag,
        default: "false",
        doc: "Sets the bridge promiscuous; never undone. Excludes hairpinMode.",
    },
    Key {
        path: "vlan",
        kind: Kind::Integer(0, 4094),
        default: "0 (none)",
        doc: "VLAN that the container's untagged frames belong to.",
    },
    Key {
        path: "vlanTrunk",
        kind: Kind::List,
        default: "absent",
        doc: "VLANs that pass with their tag.",
    },
    Key {
        path: "vlanTrunk[].id",
        kind: Kind::Integer(1, 4094),
        default: "absent",
        doc: "One VLAN.",
    },
    Key {
        path: "vlanTrunk[].minID",
        kind: Kind::Integer(1, 4094),
        default: "absent",
        doc: "First VLAN of a range; needs maxID.",
    },
    Key {
        path: "vlanTrunk[].maxID",
        kind: Kind::Integer(1, 4094),
        default: "absent",
        doc: "Last VLAN of a range; needs minID.",
    },
    Key {
        path: "preserveDefaultVlan",
        kind: Kind::Flag,
        default: "false",
        doc: "Keeps the VLAN that the bridge gives every new port.",
    },
    Key {
        path: "macspoofchk",
        kind: Kind::Flag,
        default: "false",
        doc: "Drops frames from the container that bear another source address than its own.",
    },
    Key {
        path: "enabledad",
        kind: Kind::Flag,
        default: "false",
        doc: "Lets the container probe its IPv6 addresses for duplicates (about a second).",
    },
    Key {
        path: "disableContainerInterface",
        kind: Kind::Flag,
        default: "false",
        doc: "Leaves the container's end down. Excludes ipam.",
    },
    Key {
        path: "portIsolation",
        kind: Kind::Flag,
        default: "false",
        doc: "Lets the port talk only to ports that are not isolated.",
    },
    Key {
        path: "isolate",
        kind: Kind::FlagOr(&["strict"]),
        default: "absent (not kept apart)",
        doc: "Keeps the network apart from others, both ways: strict from all, true from all but open ones, false (open) from all but open and true ones. Only published ports are reached from outside.",
    },
    Key {
        path: "internal",
        kind: Kind::Flag,
        default: "false",
        doc: "Lets nothing into or out of the network; the host is still reached. Published ports have no effect, and no default route is given. Excludes ipMasq, isDefaultGateway, gatewayMode but isolated, and isolate but strict.",
    },
    Key {
        path: "icc",
        kind: Kind::Flag,
        default: "true",
        doc: "Whether containers of the network reach each other other than by published ports.",
    },
    Key {
        path: "gatewayMode",
        kind: Kind::OneOf(GATEWAY_MODES),
        default: "absent (open to all)",
        doc: "How others reach containers: nat by published ports of the host; nat-unprotected directly as well, but for other networks that are kept apart (excludes isolate); routed by published ports at the container's own address, the host's ports being left alone (excludes ipMasq, and isolate but strict); isolated not at all, the bridge having no address (internal, without the host; excludes isGateway).",
    },
    Key {
        path: "dns",
        kind: Kind::Object,
        default: "that of ipam",
        doc: "Replaces the name service that IPAM gives, when it has any member.",
    },
    Key {
        path: "dns.nameservers",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses of name servers.",
    },
    Key { path: "dns.domain", kind: Kind::Text, default: "none", doc: "Local domain." },
    Key { path: "dns.search", kind: Kind::List, default: "[]", doc: "Search list." },
    Key { path: "dns.options", kind: Kind::List, default: "[]", doc: "Resolver options." },
    Key {
        path: "ipam",
        kind: Kind::Object,
        default: "none (layer 2 only)",
        doc: "Where addresses come from; the page of its type lists its keys.",
    },
    Key { path: "ipam.type", kind: Kind::Text, default: "none", doc: "The IPAM plugin." },
    Key {
        path: "args.cni.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the container's end; CNI_ARGS MAC is weaker.",
    },
    Key {
        path: "runtimeConfig.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the container's end; stronger than args.cni.mac.",
    },
];

/// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network, args: &Args) -> Result<Config, Error> {
    let keys = network.object()?;
    let config = Config {
        bridge: match keys.parsed("bridge")? {
            Some(name) => name,
            None => "cni0".parse().expect("cni0 is an interface name"),
        },
        bridge_alias: None,
        gateway: match (keys.flag("isDefaultGateway")?, keys.flag("isGateway")?) {
            (true, _) => Gateway::Default,
            (false, true) => Gateway::Address,
            (false, false) => Gateway::None,
        },
        conflict: if keys.flag("forceAddress")? { Conflict::Replace } else { Conflict::Fail },
        mtu: mtu(&keys)?,
        hairpin: keys.flag("hairpinMode")?,
        promisc: keys.flag("promiscMode")?,
        isolated: keys.flag("portIsolation")?,
        vlans: vlans(&keys)?,
        masquerade: masquerade(&keys)?,
        spoof_check: keys.flag("macspoofchk")?,
        isolation: apart::parse(&keys)?,
        enhanced_dad: keys.flag("enabledad")?,
        container_down: keys.flag("disableContainerInterface")?,
        mac: mac(network, args)?,
        dns: dns(&keys)?,
        ipam: network.ipam_type()?,
    };
    refuse_contradictions(&config)?;
    Ok(config)
}

fn refuse_contradictions(config: &Config) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::new(code::INVALID_CONFIG, text));
    if config.hairpin && config.promisc {
        return invalid("cannot set hairpin mode and promiscuous mode at the same time");
    }
    if config.container_down && config.ipam.is_some() {
        return invalid("cannot use IPAM when DisableContainerInterface flag is set");
    }
    Ok(())
}

fn masquerade(keys: &Object<'_>) -> Result<bool, Error> {
    if let Some(backend) = keys.string("ipMasqBackend")?
        && !matches!(backend.as_str(), "" | "iptables" | "nftables")
    {
        let text = format!("key \"ipMasqBackend\": unknown backend \"{backend}\"");
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint("use iptables or nftables"));
    }
    keys.flag("ipMasq")
}

fn mtu(keys: &Object<'_>) -> Result<Option<Mtu>, Error> {
    let Some(value) = keys.get("mtu") else { return Ok(None) };
    match value.integer(0..=i64::from(u32::MAX))? {
        0 => Ok(None),
        bytes => {
            let bytes = u32::try_from(bytes).expect("integer() kept it within 32 bits");
            Mtu::try_from(bytes).map(Some).map_err(|why| value.invalid(why))
        }
    }
}

fn vlans(keys: &Object<'_>) -> Result<Option<Vlans>, Error> {
    let access = match keys.get("vlan") {
        None => None,
        Some(value) => match value.integer(0..=4094)? {
            0 => None,
            _ => Some(vlan_id(&value)?),
        },
    };
    let trunk = keys.get("vlanTrunk").map(|list| trunk(&list)).transpose()?;
    let keep_default = keys.flag("preserveDefaultVlan")?;
    if access.is_none() && trunk.is_none() {
        return Ok(None);
    }
    Ok(Some(Vlans { access, trunk, keep_default }))
}

fn vlan_id(value: &Value<'_>) -> Result<VlanId, Error> {
    let id = value.integer(1..=4094)?;
    let id = u32::try_from(id).expect("integer() kept it within 1..4094");
    VlanId::try_from(id).map_err(|why| value.invalid(why))
}

/// The union of all ranges and single VLANs.
fn trunk(list: &Value<'_>) -> Result<Vec<RangeInclusive<u16>>, Error> {
    let mut ranges = Vec::new();
    for element in list.list()? {
        let entry = element.object()?;
        let id = |key: &str| entry.get(key).map(|v| vlan_id(&v)).transpose();
        match (id("minID")?, id("maxID")?) {
            (Some(min), Some(max)) if max < min => {
                return Err(element.invalid(format!(
                    "minID {} is greater than maxID {}",
                    min.get(),
                    max.get()
                )));
            }
            (Some(min), Some(max)) => ranges.push(min.get()..=max.get()),
            (Some(_), None) => {
                return Err(element.invalid(
                    "minID and maxID should be configured simultaneously, maxID is missing",
                ));
            }
            (None, Some(_)) => {
                return Err(element.invalid(
                    "minID and maxID should be configured simultaneously, minID is missing",
                ));
            }
            (None, None) => {}
        }
        if let Some(id) = id("id")? {
            ranges.push(id.get()..=id.get());
        }
    }
    Ok(union(&ranges))
}

/// All ids of `ranges` as disjoint ranges, ascending, neighbours joined.
fn union(ranges: &[RangeInclusive<u16>]) -> Vec<RangeInclusive<u16>> {
    let mut union: Vec<RangeInclusive<u16>> = Vec::new();
    for id in 1..=4094 {
        if !ranges.iter().any(|range| range.contains(&id)) {
            continue;
        }
        match union.last_mut() {
            Some(last) if last.end() + 1 == id => *last = *last.start()..=id,
            _ => union.push(id..=id),
        }
    }
    union
}

/// `runtimeConfig.mac`, else `args.cni.mac`, else `MAC` of `CNI_ARGS`.
fn mac(network: &Network, args: &Args) -> Result<Option<MacAddr>, Error> {
    if let Some(mac) = network.runtime()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    if let Some(mac) = network.args_cni()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    match args.get("MAC") {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|why| {
            Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS MAC={text}: {why}"))
        }),
    }
}

/// A `dns` with any member replaces IPAM's, be the member an empty list.
fn dns(keys: &Object<'_>) -> Result<Option<Dns>, Error> {
    let Some(object) = keys.object("dns")? else { return Ok(None) };
    let dns = Dns::decode(&object)?;
    let lists = ["nameservers", "search", "options"];
    let given = !dns.domain.is_empty() || lists.into_iter().any(|key| object.get(key).is_some());
    Ok(given.then_some(dns))
}
