//! `runtimeConfig.portMappings`: the ports to publish.

use std::collections::HashMap;

use cni::json::{Object, Value};
use cni::{Config as Network, Error};
use netfilter::{HostAddress, Mapping, Protocol};
use types::Family;

const PORTS_HINT: &str = "a port is a number from 1 to 65535; write one mapping for each port";

/// The ports that the runtime asks for, each once and neighbours joined. Runtimes write ranges out,
/// so there may be tens of thousands.
///
/// # Errors
/// Codes 6 and 7, the key named by its path.
pub fn requested(network: &Network) -> Result<Vec<Mapping>, Error> {
    let mut mappings = Vec::new();
    let mut earlier: HashMap<(Protocol, u16), Vec<Mapping>> = HashMap::new();
    for value in network.runtime()?.list("portMappings")? {
        let mapping = mapping(&value)?;
        let of_port = earlier.entry((mapping.protocol, mapping.host_port)).or_default();
        refuse_contradiction(of_port, &mapping, &value)?;
        if of_port.iter().any(|earlier| covers(earlier.host, mapping.host)) {
            continue;
        }
        if of_port.iter().any(|earlier| covers(mapping.host, earlier.host)) {
            of_port.retain(|earlier| !covers(mapping.host, earlier.host));
            mappings.retain(|earlier: &Mapping| {
                (earlier.protocol, earlier.host_port) != (mapping.protocol, mapping.host_port)
                    || !covers(mapping.host, earlier.host)
            });
        }
        of_port.push(mapping);
        mappings.push(mapping);
    }
    Ok(joined(mappings))
}

fn mapping(value: &Value<'_>) -> Result<Mapping, Error> {
    let keys = value.object()?;
    let port = |key: &str| -> Result<u16, Error> {
        let number = keys.integer(key, 1..=65535).map_err(|e| e.with_hint(PORTS_HINT))?;
        let number = number.ok_or_else(|| {
            value.invalid(format!("a mapping needs a {key}")).with_hint(PORTS_HINT)
        })?;
        Ok(u16::try_from(number).expect("integer() kept it within 16 bits"))
    };
    let host = match keys.ip("hostIP")? {
        None => HostAddress::Any,
        Some(ip) if ip.is_unspecified() => HostAddress::All(Family::of(ip)),
        Some(ip) => HostAddress::One(ip),
    };
    Ok(Mapping {
        protocol: protocol(&keys)?,
        host,
        host_port: port("hostPort")?,
        container_port: port("containerPort")?,
        count: 1,
    })
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

/// One port cannot lead to two. `earlier` are those of the same port and protocol.
fn refuse_contradiction(
    earlier: &[Mapping],
    mapping: &Mapping,
    value: &Value<'_>,
) -> Result<(), Error> {
    let same = |other: &&Mapping| {
        other.container_port != mapping.container_port
            && (covers(other.host, mapping.host) || covers(mapping.host, other.host))
    };
    let Some(other) = earlier.iter().find(same) else { return Ok(()) };
    Err(value.invalid(format!(
        "host port {}/{} leads to container port {} already",
        mapping.host_port, mapping.protocol, other.container_port
    )))
}

/// Whether `wide` is all of `narrow`: two of them overlap only so.
fn covers(wide: HostAddress, narrow: HostAddress) -> bool {
    match (wide, narrow) {
        (HostAddress::Any, _) => true,
        (HostAddress::All(family), HostAddress::One(ip)) => Family::of(ip) == family,
        (wide, narrow) => wide == narrow,
    }
}

/// Ports in a row that are the same on both sides become one mapping: runtimes write ranges out.
fn joined(mut mappings: Vec<Mapping>) -> Vec<Mapping> {
    let identical = |mapping: &Mapping| mapping.host_port == mapping.container_port;
    if mappings.iter().filter(|mapping| identical(mapping)).count() < 2 {
        return mappings;
    }
    let mut ranged: Vec<Mapping> = mappings.extract_if(.., |mapping| identical(mapping)).collect();
    ranged.sort_by_key(|m| (m.protocol, m.host.to_string(), m.host_port));
    for mapping in ranged {
        match mappings.last_mut() {
            Some(last)
                if identical(last)
                    && (last.protocol, last.host) == (mapping.protocol, mapping.host)
                    && last.last_host_port().checked_add(1) == Some(mapping.host_port) =>
            {
                last.count += 1;
            }
            _ => mappings.push(mapping),
        }
    }
    mappings
}
