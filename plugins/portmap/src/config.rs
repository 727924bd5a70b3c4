//! What the user wrote and the runtime added: the ports to publish, and how.

use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{AddResult, Config as Network, Error, code};
use netfilter::claim::{Linked, ReferencePorts};
use netfilter::{Condition, Mapping, Masquerade};
use published::{OnListener, mappings};
use types::Family;

use crate::words;

/// Everything that `portmap` reads of a network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Ports to publish, neighbours joined.
    pub mappings: Vec<Mapping>,
    /// Whose source is hidden from the container.
    pub masquerade: Masquerade,
    /// Whether the reference's chains are written as well.
    pub reference_chains: bool,
    /// Bit of the packet mark that asks for masquerade in the reference's chains.
    pub mark_bit: u8,
    /// Chain that sets the mark in place of the reference's own.
    pub set_mark_chain: Option<String>,
    /// What IPv4 packets must have beside the port.
    pub conditions_v4: Vec<Condition>,
    /// What IPv6 packets must have beside the port.
    pub conditions_v6: Vec<Condition>,
    /// What to do about a program of the host that has the port.
    pub on_listener: OnListener,
    /// The result of the plugins before this one; `None` where there is none.
    pub result: Option<AddResult>,
}

/// The keys of `portmap`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        path: "snat",
        kind: Kind::Flag,
        default: "true",
        doc: "Lets the container's neighbours, the container itself and the host's 127.0.0.1 use its published ports: their source is replaced by the host's.",
    },
    Key {
        path: "masqAll",
        kind: Kind::Flag,
        default: "false",
        doc: "Replaces the source of everybody who uses a published port.",
    },
    Key {
        path: "backend",
        kind: Kind::OneOf(&["iptables", "nftables"]),
        default: "iptables",
        doc: "Ports are published by the table inet cais either way. With iptables the reference's chains are written as well, which other programs read.",
    },
    Key {
        path: "markMasqBit",
        kind: Kind::Integer(0, 31),
        default: "13",
        doc: "Bit of the packet mark that asks for masquerade in the reference's chains. Excludes externalSetMarkChain and backend nftables.",
    },
    Key {
        path: "externalSetMarkChain",
        kind: Kind::Text,
        default: "none",
        doc: "Chain of the reference's table nat that sets the mark in place of its own. Excludes markMasqBit and backend nftables.",
    },
    Key {
        path: "conditionsV4",
        kind: Kind::List,
        default: "[]",
        doc: "What IPv4 packets must have beside the port, as words of iptables (-s -d -i -o -p, ! before) or of nft (ip saddr, ip daddr, iifname, oifname, != after).",
    },
    Key {
        path: "conditionsV6",
        kind: Kind::List,
        default: "[]",
        doc: "The same for IPv6 packets (ip6 saddr, ip6 daddr).",
    },
    Key {
        path: "onListener",
        kind: Kind::OneOf(&["warn", "error"]),
        default: "warn",
        doc: "What to do where a program of the host listens on a port that is to be published, and would not be reached any more.",
    },
    Key {
        path: "runtimeConfig.portMappings",
        kind: Kind::List,
        default: "[]",
        doc: "Ports to publish. The runtime fills it in where the configuration has `\"capabilities\": {\"portMappings\": true}`.",
    },
    Key {
        path: "runtimeConfig.portMappings[].hostPort",
        kind: Kind::Integer(1, 65535),
        default: "required",
        doc: "Port of the host.",
    },
    Key {
        path: "runtimeConfig.portMappings[].containerPort",
        kind: Kind::Integer(1, 65535),
        default: "required",
        doc: "Port of the container.",
    },
    Key {
        path: "runtimeConfig.portMappings[].protocol",
        kind: Kind::OneOf(&["tcp", "udp", "sctp"]),
        default: "tcp",
        doc: "Protocol, in upper or lower case.",
    },
    Key {
        path: "runtimeConfig.portMappings[].hostIP",
        kind: Kind::Text,
        default: "all addresses",
        doc: "Address of the host. `0.0.0.0` is all of IPv4, `::` all of IPv6.",
    },
];

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub fn parse(network: &Network) -> Result<Self, Error> {
        let keys = network.object()?;
        let backend = backend(&keys)?;
        let on = |key: &str, otherwise: bool| match keys.get(key) {
            Some(value) => value.boolean(),
            None => Ok(otherwise),
        };
        let masquerade = match (on("masqAll", false)?, on("snat", true)?) {
            (_, false) => Masquerade::Nobody,
            (true, true) => Masquerade::All,
            (false, true) => Masquerade::Neighbours,
        };
        let (mark_bit, set_mark_chain) = mark(&keys)?;
        let config = Self {
            mappings: mappings::requested(network)?,
            masquerade,
            reference_chains: backend != Some(Backend::Nftables),
            mark_bit: mark_bit.unwrap_or(ReferencePorts::MARK_BIT),
            set_mark_chain,
            conditions_v4: words::conditions(&keys, "conditionsV4", Family::V4)?,
            conditions_v6: words::conditions(&keys, "conditionsV6", Family::V6)?,
            on_listener: on_listener(&keys)?,
            result: network.prev_result()?,
        };
        if backend == Some(Backend::Nftables)
            && (mark_bit.is_some() || config.set_mark_chain.is_some())
        {
            let text = "markMasqBit and externalSetMarkChain are options of backend \"iptables\"";
            return Err(Error::new(code::INVALID_CONFIG, text)
                .with_hint("leave them out: the masquerade needs no mark"));
        }
        Ok(config)
    }
}

impl Config {
    /// How the reference's chains are written.
    #[must_use]
    pub fn reference(&self, linked: Linked) -> ReferencePorts {
        let (mark_bit, set_mark_chain) = (self.mark_bit, self.set_mark_chain.clone());
        ReferencePorts { mark_bit, set_mark_chain, linked }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backend {
    Iptables,
    Nftables,
}

fn backend(keys: &Object<'_>) -> Result<Option<Backend>, Error> {
    let Some(value) = keys.get("backend") else { return Ok(None) };
    match value.string()?.as_str() {
        "" => Ok(None),
        "iptables" => Ok(Some(Backend::Iptables)),
        "nftables" => Ok(Some(Backend::Nftables)),
        other => Err(value
            .invalid(format!("unrecognized backend \"{other}\""))
            .with_hint("use iptables or nftables, or leave it out")),
    }
}

fn mark(keys: &Object<'_>) -> Result<(Option<u8>, Option<String>), Error> {
    let bit = keys.integer("markMasqBit", 0..=31)?;
    let bit = bit.map(|bit| u8::try_from(bit).expect("integer() kept it within 0..31"));
    let chain = keys.string("externalSetMarkChain")?.filter(|chain| !chain.is_empty());
    if bit.is_some() && chain.is_some() {
        let text = "Cannot specify externalSetMarkChain and markMasqBit";
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint("leave one of them out"));
    }
    // Names of chains have at most 28 characters (`XT_EXTENSION_MAXNAMELEN`).
    if let Some(value) = keys.get("externalSetMarkChain")
        && let Some(chain) = &chain
        && (chain.len() > 28
            || chain.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()))
    {
        return Err(value.invalid(format!("\"{chain}\" is no name of a chain")));
    }
    Ok((bit, chain))
}

fn on_listener(keys: &Object<'_>) -> Result<OnListener, Error> {
    let Some(value) = keys.get("onListener") else { return Ok(OnListener::Warn) };
    match value.string()?.as_str() {
        "" | "warn" => Ok(OnListener::Warn),
        "error" => Ok(OnListener::Fail),
        other => Err(value.invalid(format!("\"{other}\" is none of warn, error"))),
    }
}
