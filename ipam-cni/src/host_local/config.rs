//! What the user wrote for `host-local`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Dns, Error, Route, code};
use ipam::{Durability, RangeSet, RangeSets, RangeSpec, Span};
use types::Cidr;

use crate::limits::one_address_a_family;
use crate::{requested, resolv_conf};

/// Everything that ADD reads.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) place: Place,
    pub(super) sets: RangeSets,
    pub(super) requested: Vec<IpAddr>,
    pub(super) exclude: Vec<Span>,
    pub(super) quarantine: Duration,
    pub(super) routes: Vec<Route>,
    pub(super) dns: Dns,
}

/// Where leases are kept: all that DEL and GC read.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) data_dir: PathBuf,
    pub(super) durability: Durability,
}

/// Longest quarantine in seconds: a week.
const QUARANTINE_MAX: i64 = 7 * 24 * 60 * 60;

/// The keys of `host-local`, in the order of its page.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "ipam.ranges",
        kind: Kind::List,
        default: "[]",
        doc: "Range sets: lists of ranges of one family. A container gets one address of each set.",
    },
    Key {
        path: "ipam.ranges[][].subnet",
        kind: Kind::Text,
        default: "required",
        doc: "Network in CIDR form without host bits, with at least two of them.",
    },
    Key {
        path: "ipam.ranges[][].rangeStart",
        kind: Kind::Text,
        default: "the address after the network's",
        doc: "First address to hand out.",
    },
    Key {
        path: "ipam.ranges[][].rangeEnd",
        kind: Kind::Text,
        default: "the last, for IPv4 the one before the broadcast address",
        doc: "Last address to hand out.",
    },
    Key {
        path: "ipam.ranges[][].gateway",
        kind: Kind::Text,
        default: "the address after the network's",
        doc: "Gateway in results, never handed out. It may lie outside the subnet.",
    },
    Key {
        path: "ipam.subnet",
        kind: Kind::Text,
        default: "absent",
        doc: "One range in the old form; it becomes the first set.",
    },
    Key {
        path: "ipam.rangeStart",
        kind: Kind::Text,
        default: "the address after the network's",
        doc: "First address of the range in the old form.",
    },
    Key {
        path: "ipam.rangeEnd",
        kind: Kind::Text,
        default: "the last, for IPv4 the one before the broadcast address",
        doc: "Last address of the range in the old form.",
    },
    Key {
        path: "ipam.gateway",
        kind: Kind::Text,
        default: "the address after the network's",
        doc: "Gateway of the range in the old form.",
    },
    Key {
        path: "ipam.routes",
        kind: Kind::List,
        default: "[]",
        doc: "Routes for the result: dst and optionally gw, mtu, advmss, priority, table, scope.",
    },
    Key {
        path: "ipam.dataDir",
        kind: Kind::Text,
        default: "/var/lib/cni/networks",
        doc: "Directory of the leases; each network has one of its name below.",
    },
    Key {
        path: "ipam.resolvConf",
        kind: Kind::Text,
        default: "absent",
        doc: "File in the format of resolv.conf(5) that the result's name service comes from.",
    },
    Key {
        path: "ipam.exclude",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses handed out only on request: single ones, networks, or FIRST-LAST. Not in the reference.",
    },
    Key {
        path: "ipam.quarantine",
        kind: Kind::Integer(0, QUARANTINE_MAX),
        default: "0",
        doc: "Seconds for which a released address goes to nobody but its last owner, unless requested. Not in the reference.",
    },
    Key {
        path: "ipam.fsync",
        kind: Kind::Flag,
        default: "false",
        doc: "Waits until a lease is on the disk. Not in the reference.",
    },
    Key {
        path: "runtimeConfig.ipRanges",
        kind: Kind::List,
        default: "[]",
        doc: "Range sets put before those of the configuration.",
    },
    Key {
        path: "runtimeConfig.ips",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses asked for, with or without a prefix length.",
    },
    Key {
        path: "args.cni.ips",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses asked for, besides the others.",
    },
];

impl Place {
    pub(super) fn parse(network: &Network) -> Result<Self, Error> {
        Self::of(&network.object()?.object("ipam")?.unwrap_or_default())
    }

    fn of(ipam: &Object<'_>) -> Result<Self, Error> {
        let data_dir = match ipam.string("dataDir")? {
            Some(dir) if !dir.is_empty() => PathBuf::from(dir),
            _ => super::default_data_dir(),
        };
        let durability = if ipam.flag("fsync")? { Durability::Fsync } else { Durability::Lazy };
        Ok(Self { data_dir, durability })
    }
}

impl Config {
    pub(super) fn parse(network: &Network, args: &Args) -> Result<Self, Error> {
        let Some(ipam) = network.object()?.object("ipam")? else {
            return Err(Error::new(code::INVALID_CONFIG, "IPAM config missing 'ipam' key"));
        };
        let sets = sets(&network.runtime()?, &ipam)?;
        one_address_a_family(network.version(), sets.sets().iter().map(RangeSet::family))?;
        let quarantine = ipam.integer("quarantine", 0..=QUARANTINE_MAX)?.unwrap_or(0);
        let dns = match ipam.string("resolvConf")? {
            Some(path) if !path.is_empty() => resolv_conf::read(path.as_ref())?,
            _ => Dns::default(),
        };
        Ok(Self {
            place: Place::of(&ipam)?,
            sets,
            requested: requested::addresses(network, args)?,
            exclude: ipam.list("exclude")?.iter().map(Value::parsed).collect::<Result<_, _>>()?,
            quarantine: Duration::from_secs(quarantine.unsigned_abs()),
            routes: Route::decode_list(&ipam)?,
            dns,
        })
    }
}

/// The runtime's sets, then the one in the old form, then the listed ones.
fn sets(runtime: &Object<'_>, ipam: &Object<'_>) -> Result<RangeSets, Error> {
    let mut specs = Vec::new();
    for element in runtime.list("ipRanges")? {
        specs.push(set(&element)?);
    }
    if let Some(spec) = range(ipam)? {
        specs.push(vec![spec]);
    }
    for element in ipam.list("ranges")? {
        specs.push(set(&element)?);
    }
    RangeSets::new(specs).map_err(|why| {
        Error::new(code::INVALID_CONFIG, format!("key \"ipam\": {why}"))
            .with_hint("\"ranges\" is a list of lists of {\"subnet\": \"10.0.0.0/16\"}")
    })
}

/// A list of ranges; some callers write a single range for a list of one.
fn set(element: &Value<'_>) -> Result<Vec<RangeSpec>, Error> {
    let needs_subnet = |value: &Value<'_>| value.invalid("a range needs a subnet");
    if let Ok(object) = element.object() {
        return Ok(vec![range(&object)?.ok_or_else(|| needs_subnet(element))?]);
    }
    let one = |value: &Value<'_>| range(&value.object()?)?.ok_or_else(|| needs_subnet(value));
    element.list()?.iter().map(one).collect()
}

fn range(object: &Object<'_>) -> Result<Option<RangeSpec>, Error> {
    // All of them are read: a wrong one is an error also where nothing needs it.
    let subnet = object.parsed::<Cidr>("subnet")?;
    let (start, end) = (object.ip("rangeStart")?, object.ip("rangeEnd")?);
    let gateway = object.ip("gateway")?;
    Ok(subnet.map(|subnet| RangeSpec { subnet, start, end, gateway }))
}
