//! What the user wrote, parsed once into types that cannot be wrong.

use std::ops::RangeInclusive;

use attach::keys;
use bridges::config::{Config, Conflict, Elsewhere, Gateway, Vlans};
use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Error, code};
use netfilter::kind;
use types::VlanId;

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
    pairs::keys::IP_MASQ,
    pairs::keys::IP_MASQ_BACKEND,
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
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    keys::IPAM,
    keys::IPAM_TYPE,
    pairs::keys::ARGS_MAC,
    pairs::keys::RUNTIME_MAC,
];

/// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network, args: &Args) -> Result<Config, Error> {
    let object = network.object()?;
    let config = Config {
        kind: &kind::Interface,
        bridge: match object.parsed("bridge")? {
            Some(name) => name,
            None => "cni0".parse().expect("cni0 is an interface name"),
        },
        bridge_alias: None,
        gateway: match (object.flag("isDefaultGateway")?, object.flag("isGateway")?) {
            (true, _) => Gateway::Default,
            (false, true) => Gateway::Address,
            (false, false) => Gateway::None,
        },
        conflict: if object.flag("forceAddress")? { Conflict::Replace } else { Conflict::Fail },
        mtu: keys::mtu(&object)?,
        hairpin: object.flag("hairpinMode")?,
        promisc: object.flag("promiscMode")?,
        isolated: object.flag("portIsolation")?,
        vlans: vlans(&object)?,
        masquerade: pairs::keys::masquerade(&object)?,
        elsewhere: Elsewhere::default(),
        spoof_check: object.flag("macspoofchk")?,
        isolation: apart::parse(&object)?,
        enhanced_dad: object.flag("enabledad")?,
        container_down: object.flag("disableContainerInterface")?,
        mac: keys::mac(network, args)?,
        dns: keys::dns(&object)?,
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
