//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Error, code};
use kernel::link::MacvlanMode;
use sublinks::config::{self, Config};
use types::MacAddr;

use crate::link::Macvlan;

/// More addresses than this do not fit into one request to the kernel.
const SOURCES_MAX: usize = 4096;

/// Modes by their names.
const MODES: &[(&str, MacvlanMode); 5] = &[
    ("bridge", MacvlanMode::Bridge),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
    ("passthru", MacvlanMode::Passthru),
    ("source", MacvlanMode::Source),
];

/// The keys of `macvlan`, in the order of its page.
pub const KEYS: &[Key] = &[
    config::MASTER,
    Key {
        path: "mode",
        kind: Kind::OneOf(&["bridge", "private", "vepa", "passthru", "source"]),
        default: "bridge",
        doc: "How containers on one master see each other: bridge directly, private not at all, vepa through a switch outside that sends frames back; passthru gives the whole master to one container, source gives each what comes from the addresses in sources alone.",
    },
    config::MTU,
    Key {
        path: "mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the container's link; CNI_ARGS MAC, args.cni.mac and runtimeConfig.mac are stronger. With passthru the master gets it, too.",
    },
    config::LINK_IN_CONTAINER,
    Key {
        path: "bcqueuelen",
        kind: Kind::Integer(0, 4_294_967_295),
        default: "0 (the kernel's, 1000)",
        doc: "Broadcast and multicast frames that may wait for the container. The longest queue asked for holds for the whole master.",
    },
    Key {
        path: "sources",
        kind: Kind::List,
        default: "[]",
        doc: "Addresses whose frames the container gets; mode source needs one at least, the other modes take none.",
    },
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    keys::IPAM,
    keys::IPAM_TYPE,
    Key {
        path: "args.cni.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the container's link; mac and CNI_ARGS MAC are weaker.",
    },
    Key {
        path: "runtimeConfig.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the container's link; stronger than all others.",
    },
];

/// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network, args: &Args) -> Result<(Config, Macvlan), Error> {
    let object = network.object()?;
    let own: Option<MacAddr> = object.parsed("mac")?;
    let config = Config::parse(network, keys::mac(network, args)?.or(own))?;
    let mode = keys::choice(object.get("mode"), "macvlan mode", MODES)?;
    let queue = object.integer("bcqueuelen", 0..=i64::from(u32::MAX))?.unwrap_or_default();
    let queue = u32::try_from(queue).expect("integer() kept it within 32 bits");
    let macvlan = Macvlan {
        mode,
        broadcast_queue: (queue != 0).then_some(queue),
        sources: sources(&object, mode)?,
    };
    Ok((config, macvlan))
}

fn sources(object: &Object<'_>, mode: MacvlanMode) -> Result<Vec<MacAddr>, Error> {
    let invalid = |text: &str| Err(Error::new(code::INVALID_CONFIG, text));
    let list = object.list("sources")?;
    if list.len() > SOURCES_MAX {
        return invalid("key \"sources\": more than 4096 addresses");
    }
    let sources: Vec<MacAddr> = list.iter().map(Value::parsed).collect::<Result<_, Error>>()?;
    match (mode, sources.is_empty()) {
        (MacvlanMode::Source, true) => {
            invalid("key \"sources\": mode source without addresses would let nothing in")
                .map_err(|e| e.with_hint("list whose frames the container is to get"))
        }
        (MacvlanMode::Source, false) | (_, true) => Ok(sources),
        (_, false) => invalid("key \"sources\": only mode source looks at it")
            .map_err(|e| e.with_hint("set \"mode\" to source, or leave \"sources\" out")),
    }
}
