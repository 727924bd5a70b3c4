//! What the user wrote: which VRF, and its table.

use cni::schema::{Key, Kind};
use cni::{Config as Network, Error, code};
use types::IfName;

/// Everything that `vrf` reads of a network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) vrf: IfName,
    /// `None`: that of the VRF that is there, or one that nobody uses.
    pub(crate) table: Option<u32>,
}

/// The keys of `vrf`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "vrfname",
        kind: Kind::Text,
        default: "required",
        doc: "Name of the VRF that the interface joins, in the container. It is made when it is missing.",
    },
    Key {
        path: "table",
        kind: Kind::Integer(0, 4_294_967_295),
        default: "0",
        doc: "Routing table of the VRF; that of one that is there has to be the same. 0: the table of the VRF that is there, else the lowest that nobody uses.",
    },
];

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named.
    pub(crate) fn parse(network: &Network) -> Result<Self, Error> {
        let keys = network.object()?;
        let vrf = keys.parsed("vrfname")?.ok_or_else(|| {
            Error::new(code::INVALID_CONFIG, "key \"vrfname\" is required by vrf")
                .with_hint("name the VRF that the interface is to join, such as blue")
        })?;
        Ok(Self { vrf, table: keys.number("table")?.filter(|&table| table != 0) })
    }

    /// The VRF alone, for DEL: what cannot be read counts as not given.
    pub(crate) fn vrf_for_del(network: &Network) -> Option<IfName> {
        network.object().and_then(|keys| keys.parsed("vrfname")).ok().flatten()
    }
}
