//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Error};
use kernel::link::{IpvlanFlag, IpvlanMode};
use sublinks::config::{self, Config};

use crate::link::Ipvlan;

/// Modes by their names.
const MODES: &[(&str, IpvlanMode); 3] =
    &[("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)];

/// Flags by their names.
const FLAGS: &[(&str, IpvlanFlag); 3] =
    &[("bridge", IpvlanFlag::Bridge), ("private", IpvlanFlag::Private), ("vepa", IpvlanFlag::Vepa)];

/// The keys of `ipvlan`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        default: "the one interface of the plugin before, else the link of the default route",
        ..config::MASTER
    },
    Key {
        path: "mode",
        kind: Kind::OneOf(&["l2", "l3", "l3s"]),
        default: "l2",
        doc: "Layer at which containers share the master: l2 like a switch, with ARP and broadcasts, l3 like a router, with neither, l3s as l3 but seen by the packet filter of the host.",
    },
    Key {
        path: "flag",
        kind: Kind::OneOf(&["bridge", "private", "vepa"]),
        default: "bridge",
        doc: "How containers on one master see each other: bridge directly, private not at all, vepa through a switch or router outside that sends packets back.",
    },
    config::MTU,
    config::LINK_IN_CONTAINER,
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    Key { default: "the addresses and routes of the plugin before", ..keys::IPAM },
    keys::IPAM_TYPE,
];

/// Reads what ADD and CHECK need.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network) -> Result<(Config, Ipvlan), Error> {
    let object = network.object()?;
    // The kernel gives all of them the master's address.
    let config = Config::parse(network, None)?;
    let ipvlan = Ipvlan {
        mode: keys::choice(object.get("mode"), "ipvlan mode", MODES)?,
        flag: keys::choice(object.get("flag"), "ipvlan flag", FLAGS)?,
    };
    Ok((config, ipvlan))
}
