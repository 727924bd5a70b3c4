//! What the user wrote: which table, and by which gateways.

use std::net::IpAddr;

use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Error, code};
use types::{Family, parse_ip};

/// Everything that `sbr` reads of a network configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// The table that others fill; `None`: one of our own for each address.
    pub(crate) table: Option<u32>,
    /// Of each family at most one.
    pub(crate) gateways: Vec<IpAddr>,
    /// Whether routes to the interface's own subnets stay in the main table.
    pub(crate) source_hints: bool,
}

const TABLE: Kind = Kind::Integer(1, 4_294_967_295);

/// The keys of `sbr`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "table",
        kind: TABLE,
        default: "one for each address, from 100 on",
        doc: "Routing table that rules lead to. It is taken as it is: no route is made or moved.",
    },
    Key {
        path: "gateways",
        kind: Kind::List,
        default: "those of IPAM",
        doc: "Next hops of the default routes, at most one of each family. Ignored with table.",
    },
    Key {
        path: "addSourceHints",
        kind: Kind::Flag,
        default: "false",
        doc: "Leaves the routes to the interface's own subnets in the main table as well, with its address as source. Ignored with table.",
    },
    Key { path: "args.cni.table", kind: TABLE, default: "absent", doc: "As table, and stronger." },
];

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named.
    pub(crate) fn parse(network: &Network) -> Result<Self, Error> {
        let (keys, stronger) = (network.object()?, network.args_cni()?);
        let (table, stronger) = (table(&keys)?, table(&stronger)?);
        Ok(Self {
            table: stronger.or(table),
            gateways: gateways(&keys)?,
            source_hints: keys.flag("addSourceHints")?,
        })
    }

    /// The table alone, for DEL: what cannot be read counts as not given.
    pub(crate) fn table_for_del(network: &Network) -> Option<u32> {
        let of =
            |keys: Result<Object<'_>, Error>| keys.and_then(|keys| table(&keys)).ok().flatten();
        of(network.args_cni()).or_else(|| of(network.object()))
    }

    /// The gateway of a family that is written down.
    pub(crate) fn gateway(&self, family: Family) -> Option<IpAddr> {
        self.gateways.iter().copied().find(|gateway| Family::of(*gateway) == family)
    }
}

fn table(keys: &Object<'_>) -> Result<Option<u32>, Error> {
    let number = keys.integer("table", 1..=u32::MAX.into())?;
    Ok(number.map(|number| u32::try_from(number).expect("integer() kept it within 32 bits")))
}

fn gateways(keys: &Object<'_>) -> Result<Vec<IpAddr>, Error> {
    let mut list: Vec<IpAddr> = Vec::new();
    for value in keys.list("gateways")? {
        let text = value.string()?;
        let ip =
            parse_ip(&text).ok_or_else(|| value.invalid(format!("invalid IP address: {text}")))?;
        if list.iter().any(|known| Family::of(*known) == Family::of(ip)) {
            let text = format!("a second gateway of {}", Family::of(ip));
            return Err(value.invalid(text).with_hint("write at most one of each family"));
        }
        list.push(ip);
    }
    Ok(list)
}

/// The error that nothing can be done for an interface without addresses.
pub(crate) fn no_address(ifname: &str) -> Error {
    Error::new(code::INVALID_CONFIG, format!("prevResult has no address of {ifname}"))
        .with_hint("sbr works on the addresses that an earlier plugin of the list gave")
}
