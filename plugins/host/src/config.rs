//! What the user wrote and the runtime added: the ports that a container will bind.

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{AddResult, Config as Network, Error, Version, code};

use crate::claim::{Address, Claim, Protocol, WildcardV6};

/// Everything that `host` reads of a network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// What the container claims, each once.
    pub(crate) claims: Vec<Claim>,
    /// What ADD answers: the result of the plugins before it, else an empty one.
    pub(crate) result: AddResult,
}

/// The keys of `host`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "runtimeConfig.portMappings",
        kind: Kind::List,
        default: "[]",
        doc: "Ports that the container declares. The runtime fills it in where the configuration has `\"capabilities\": {\"portMappings\": true}`.",
    },
    Key {
        path: "runtimeConfig.portMappings[].hostPort",
        kind: Kind::Integer(1, 65535),
        default: "containerPort",
        doc: "Port on the host. It must be equal to containerPort, since the container binds it itself.",
    },
    Key {
        path: "runtimeConfig.portMappings[].containerPort",
        kind: Kind::Integer(1, 65535),
        default: "hostPort",
        doc: "Port that the program in the container binds.",
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
        doc: "Address of the host that the program binds. `0.0.0.0` is all of IPv4; `::` is all of both families, or of IPv6 alone where the sysctl `net.ipv6.bindv6only` is 1.",
    },
];

pub(crate) const PORTS_HINT: &str =
    "a port is a number from 1 to 65535; write one mapping for each port";

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub(crate) fn parse(network: &Network, wildcard: WildcardV6) -> Result<Self, Error> {
        let mut claims = Vec::new();
        for mapping in network.runtime()?.list("portMappings")? {
            let claim = claim(&mapping, wildcard)?;
            if !claims.contains(&claim) {
                claims.push(claim);
            }
        }
        let result = network.prev_result()?.unwrap_or_default();
        refuse_what_cannot_be_answered(network.version(), &result)?;
        Ok(Self { claims, result })
    }
}

fn claim(mapping: &Value<'_>, wildcard: WildcardV6) -> Result<Claim, Error> {
    let keys = mapping.object()?;
    let protocol = protocol(&keys)?;
    let address = Address::new(keys.ip("hostIP")?, wildcard);
    refuse_range(&keys)?;
    let port = match (port(&keys, "hostPort")?, port(&keys, "containerPort")?) {
        (Some(host), Some(container)) if host != container => {
            return Err(mapping
                .invalid(format!("host port {host} and container port {container} differ"))
                .with_hint(format!(
                    "on the host's network the container binds its port itself: let its program \
                     listen on {host}, or publish {container}, or use a bridge network"
                )));
        }
        (Some(port), _) | (None, Some(port)) => port,
        (None, None) => {
            return Err(mapping.invalid("a mapping needs a hostPort").with_hint(PORTS_HINT));
        }
    };
    Ok(Claim { protocol, address, port })
}

fn port(keys: &Object<'_>, key: &str) -> Result<Option<u16>, Error> {
    let number = keys.integer(key, 1..=65535).map_err(|e| e.with_hint(PORTS_HINT))?;
    Ok(number.map(|n| u16::try_from(n).expect("integer() kept it within 16 bits")))
}

/// Podman's own configuration has `range`; its CNI side writes single ports. To claim the first
/// port alone would be wrong without a word.
fn refuse_range(keys: &Object<'_>) -> Result<(), Error> {
    let Some(value) = keys.get("range") else { return Ok(()) };
    match value.integer(0..=65535).map_err(|e| e.with_hint(PORTS_HINT))? {
        0 | 1 => Ok(()),
        ports => Err(value.invalid(format!("{ports} ports in one mapping")).with_hint(PORTS_HINT)),
    }
}

fn protocol(keys: &Object<'_>) -> Result<Protocol, Error> {
    let Some(value) = keys.get("protocol") else { return Ok(Protocol::Tcp) };
    match value.string()?.as_str() {
        "" => Ok(Protocol::Tcp),
        text => text.parse().map_err(|_| {
            value.invalid(format!("unknown protocol \"{text}\"")).with_hint("use tcp, udp or sctp")
        }),
    }
}

/// The first two versions know no result without an address, and `host` gives none. Better said
/// before anything is claimed.
fn refuse_what_cannot_be_answered(version: Version, result: &AddResult) -> Result<(), Error> {
    if version >= Version::V0_3_0 || !result.ips.is_empty() {
        return Ok(());
    }
    let text = format!("key \"cniVersion\": {version} cannot express a result without an address");
    Err(Error::new(code::INVALID_CONFIG, text).with_hint("set cniVersion to 0.3.1 or later"))
}
