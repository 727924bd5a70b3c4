//! What the user wrote, parsed once into types that cannot be wrong.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Dns, Error, code};
use netfilter::Mapping;
use peers::HostId;
use published::mappings;
use serde_json::value::RawValue;
use types::{MacAddr, Mtu};

/// Everything that `overlay` reads of a network configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where hosts learn of each other.
    pub store: Store,
    /// MTU of containers; `None`: what the underlay leaves.
    pub mtu: Option<Mtu>,
    /// Whether what leaves the network is masqueraded.
    pub masquerade: bool,
    /// Ports to publish.
    pub mappings: Vec<Mapping>,
    /// For so long a released address goes to nobody but its last owner.
    pub quarantine: Duration,
    /// Addresses asked for.
    pub requested: Vec<IpAddr>,
    /// Address of the container's end; `None`: a random one.
    pub mac: Option<MacAddr>,
    /// Name service of containers.
    pub dns: Option<Dns>,
}

/// Where hosts learn of each other.
#[derive(Clone, Debug)]
pub enum Store {
    /// From a file with all of them.
    Static {
        /// The file.
        peers: PathBuf,
        /// Which of them this host is; `None`: the one with an address of this host.
        host: Option<HostId>,
    },
    /// From etcd, by way of the daemon.
    Etcd(Etcd),
}

/// What the daemon is told.
#[derive(Clone, Debug, Default)]
pub struct Etcd {
    /// Key `store` as it was written; `None` where it names no member: the daemon's own
    /// configuration does.
    pub store: Option<Box<RawValue>>,
    /// Key `create` as it was written.
    pub create: Option<Box<RawValue>>,
}

/// What `CNI_ARGS` may hold.
pub(crate) const ARGS: &[&str] = &[
    "IP",
    "MAC",
    "K8S_POD_NAME",
    "K8S_POD_NAMESPACE",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

/// Longest `quarantine` in seconds: a week.
const QUARANTINE_MAX: i64 = 7 * 24 * 60 * 60;

const fn text(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::Text, default, doc }
}

const fn list(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::List, default, doc }
}

const fn port(path: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::Integer(1, 65535), default: "required", doc }
}

/// The table of keys, in the order of the plugin's page.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    // Nothing confines the network's packets, so that its questions alone would be confined.
    let of_names = naming::KEYS.iter().filter(|key| key.path != "internal");
    OWN.iter().chain(of_names).copied().collect()
});

/// Those that names do not read.
const OWN: &[Key] = &[
    Key {
        path: "store",
        kind: Kind::Object,
        default: "required",
        doc: "Where hosts learn of each other.",
    },
    Key {
        path: "store.type",
        kind: Kind::OneOf(&["static", "etcd"]),
        default: "required",
        doc: "static: a file that lists all hosts. etcd: the daemon cais-overlayd, which reads the other keys of etcd.",
    },
    text(
        "store.peers",
        "required with static",
        "The file of peers, by its whole path; at most 64 besides this host.",
    ),
    list(
        "store.endpoints",
        "those of /etc/cais/overlayd.json",
        "Members of etcd, as https://…:2379. Which store a host follows is said once: another one is refused.",
    ),
    text("store.ca", "none", "With https: file with the certificate that signed the members'."),
    text("store.cert", "none", "File with this host's certificate."),
    text("store.key", "none", "File with its key."),
    text("store.user", "none", "Whom etcd knows this host as, where certificates do not say."),
    text("store.passwordFile", "required with user", "File with the password."),
    text("store.prefix", "/overlay/v1", "Below which keys are."),
    Key {
        path: "store.ttl",
        kind: Kind::Integer(5, 3600),
        default: "60",
        doc: "Seconds for which a host counts as present after it was heard of last.",
    },
    Key {
        path: "create",
        kind: Kind::Object,
        default: "none: the network has to be there",
        doc: "With etcd: how the network is to be if this is its first host. Another one that is there is refused.",
    },
    list(
        "create.pools",
        "required",
        "All addresses of the network, at most one pool of each family.",
    ),
    Key {
        path: "create.vni",
        kind: Kind::Integer(1, 16_777_215),
        default: "any that is free",
        doc: "The network's number on the wire.",
    },
    Key {
        path: "create.blockLen4",
        kind: Kind::Integer(1, 30),
        default: "24, or a quarter of a smaller pool",
        doc: "Prefix length of a host's block of IPv4 addresses.",
    },
    Key {
        path: "create.blockLen6",
        kind: Kind::Integer(1, 126),
        default: "64, or a quarter of a smaller pool",
        doc: "The same for IPv6.",
    },
    Key {
        path: "create.port",
        kind: Kind::Integer(1, 65535),
        default: "4789",
        doc: "UDP port between hosts.",
    },
    Key {
        path: "create.mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (what each host's underlay leaves)",
        doc: "MTU in bytes of containers on all hosts.",
    },
    Key {
        path: "create.masq",
        kind: Kind::Flag,
        default: "true",
        doc: "Masquerades what leaves the network.",
    },
    Key {
        path: "create.encryption",
        kind: Kind::OneOf(&["none", "wireguard"]),
        default: "none",
        doc: "How packets between hosts are hidden from others.",
    },
    list("create.reserved", "[]", "Parts of the pools that no host gets a block of."),
    text(
        "hostId",
        "the one with an address of this host",
        "Which host of the file this one is; with static alone.",
    ),
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (that of the link with the underlay address, less 50 bytes over IPv4, 70 over IPv6)",
        doc: "MTU in bytes of devices, bridge and containers.",
    },
    Key {
        path: "ipMasq",
        kind: Kind::Flag,
        default: "true",
        doc: "Masquerades what leaves the network, but multicast.",
    },
    Key {
        path: "quarantine",
        kind: Kind::Integer(0, QUARANTINE_MAX),
        default: "30",
        doc: "Seconds for which a released address goes to nobody but its last owner, unless requested.",
    },
    Key {
        path: "dns",
        kind: Kind::Object,
        default: "that of the network, if any",
        doc: "Name service of containers.",
    },
    attach::keys::DNS_NAMESERVERS,
    attach::keys::DNS_DOMAIN,
    attach::keys::DNS_SEARCH,
    attach::keys::DNS_OPTIONS,
    list(
        "runtimeConfig.portMappings",
        "[]",
        "Ports of this host to publish. The runtime fills in what `capabilities` names, here and below.",
    ),
    port("runtimeConfig.portMappings[].hostPort", "Port of the host."),
    port("runtimeConfig.portMappings[].containerPort", "Port of the container."),
    Key {
        path: "runtimeConfig.portMappings[].protocol",
        kind: Kind::OneOf(&["tcp", "udp", "sctp"]),
        default: "tcp",
        doc: "Protocol, in upper or lower case.",
    },
    text("runtimeConfig.portMappings[].hostIP", "all of them", "Address of the host."),
    list(
        "runtimeConfig.ips",
        "[]",
        "Addresses asked for, one of each family, within this host's blocks; CNI_ARGS IP is one more.",
    ),
    pairs::keys::RUNTIME_MAC,
    list("args.cni.ips", "[]", "Addresses asked for, besides the others."),
    pairs::keys::ARGS_MAC,
    Key {
        path: "names",
        kind: Kind::OneOf(crate::names::MODES),
        default: "watch",
        doc: "Whether containers find each other by name: watch, on all hosts with etcd, on one host with static; off, not at all. The keys below are about names.",
    },
];

impl Config {
    /// Reads what ADD, CHECK and STATUS need. `args` is `CNI_ARGS`.
    ///
    /// # Errors
    /// Codes 4, 6 and 7, the key named by its path.
    pub fn parse(network: &Network, args: &Args) -> Result<Self, Error> {
        let keys = network.object()?;
        let quarantine = keys.integer("quarantine", 0..=QUARANTINE_MAX)?.unwrap_or(30);
        Ok(Self {
            store: store(&keys)?,
            mtu: mtu(&keys)?,
            masquerade: match keys.get("ipMasq").filter(|value| !value.is_null()) {
                Some(value) => value.boolean()?,
                None => true,
            },
            mappings: mappings::requested(network)?,
            quarantine: Duration::from_secs(quarantine.unsigned_abs()),
            requested: ipam_cni::requested::addresses(network, args)?,
            mac: attach::keys::mac(network, args)?,
            dns: attach::keys::dns(&keys)?,
        })
    }
}

fn store(keys: &Object<'_>) -> Result<Store, Error> {
    let invalid = |text: &str| Error::new(code::INVALID_CONFIG, text);
    let host: Option<HostId> = keys.parsed("hostId")?;
    let store = keys.object("store")?.ok_or_else(|| {
        invalid("key \"store\": missing")
            .with_hint("{\"type\": \"static\", \"peers\": \"/etc/cais/overlay/NAME.peers.json\"}")
    })?;
    check_etcd(&store)?;
    check_create(keys)?;
    let kind = store.string("type")?.unwrap_or_default();
    let peers = store.string("peers")?.filter(|path| !path.is_empty());
    match (kind.as_str(), peers) {
        ("static", Some(peers)) if peers.starts_with('/') && !peers.contains('\0') => {
            Ok(Store::Static { peers: peers.into(), host })
        }
        ("static", Some(peers)) => {
            Err(invalid(&format!("key \"store.peers\": {peers:?} is no whole path of a file")))
        }
        ("static", None) => Err(invalid("key \"store.peers\": missing")
            .with_hint("name the file that lists all hosts of the network")),
        ("etcd", None) if host.is_none() => {
            let raw = |key: &str| {
                let value = keys.get(key).filter(|value| !value.is_null());
                value.map(|value| value.raw().to_owned())
            };
            // What they mean is for the daemon to judge.
            let names_members = store.get("endpoints").is_some_and(|value| !value.is_null());
            let store = raw("store").filter(|_| names_members);
            Ok(Store::Etcd(Etcd { store, create: raw("create") }))
        }
        ("etcd", peers) => {
            let key = if peers.is_some() { "store.peers" } else { "hostId" };
            Err(invalid(&format!("cannot use {key} with a store of type etcd"))
                .with_hint("leave one of them out"))
        }
        (kind, _) => Err(invalid(&format!("key \"store.type\": unknown store \"{kind}\""))
            .with_hint("use static or etcd")),
    }
}

/// Whether all that the daemon is told of etcd is of the right kind.
fn check_etcd(store: &Object<'_>) -> Result<(), Error> {
    store.strings("endpoints")?;
    for key in ["ca", "cert", "key", "user", "passwordFile", "prefix"] {
        store.string(key)?;
    }
    store.integer("ttl", 5..=3600).map(drop)
}

/// Whether all that the daemon is told of a new network is of the right kind.
fn check_create(keys: &Object<'_>) -> Result<(), Error> {
    let Some(create) = keys.object("create")? else { return Ok(()) };
    for key in ["pools", "reserved"] {
        create.strings(key)?;
    }
    for (key, most) in
        [("vni", 16_777_215), ("blockLen4", 30), ("blockLen6", 126), ("port", 65_535)]
    {
        create.integer(key, 1..=most)?;
    }
    create.integer("mtu", 0..=65_535)?;
    if let Some(masq) = create.get("masq").filter(|value| !value.is_null()) {
        masq.boolean()?;
    }
    match create.string("encryption")?.as_deref() {
        None | Some("" | "none" | "wireguard") => Ok(()),
        Some(other) => {
            let text = format!("key \"create.encryption\": unknown encryption \"{other}\"");
            Err(Error::new(code::INVALID_CONFIG, text).with_hint("use none or wireguard"))
        }
    }
}

fn mtu(keys: &Object<'_>) -> Result<Option<Mtu>, Error> {
    attach::keys::mtu(keys)
}
