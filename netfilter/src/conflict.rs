//! Who else has the ports that a publication wants. The kernel itself refuses two values for one
//! key; what lies in different maps (one address and all addresses, a port and a range around it)
//! is looked up here, under the lock.

use std::net::IpAddr;

use kernel::netlink::Socket;
use kernel::nft::{self, FoundElement, Key, Set};
use types::Family;

use crate::error::Error;
use crate::layout::{INET, Sets};
use crate::{Mapping, Protocol, Publication};

/// A published port that is in the way of one that is wanted.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// What was wanted.
    pub(crate) wanted: (Option<IpAddr>, u16, Protocol),
    /// Where the other one is.
    pub(crate) set: &'static Set,
    /// The other one.
    pub(crate) found: FoundElement,
}

impl Conflict {
    /// Whose it is, as its comment says.
    pub(crate) fn holder(&self) -> &str {
        self.found.comment.as_deref().unwrap_or_default()
    }
}

/// Everything in the way of `publication`, be it its own of an earlier call.
pub(crate) fn find(socket: &Socket, publication: &Publication) -> Result<Vec<Conflict>, Error> {
    let mut conflicts = Vec::new();
    for family in [Family::V4, Family::V6] {
        let unconditional = publication.conditions(family).is_empty();
        if publication.target(family).is_none() || !unconditional {
            continue; // conditions may well tell containers apart
        }
        let serving: Vec<&Mapping> =
            publication.mappings.iter().filter(|mapping| mapping.serves(family)).collect();
        if serving.is_empty() {
            continue;
        }
        let (wide, narrow): (Vec<&Mapping>, Vec<&Mapping>) =
            serving.into_iter().partition(|mapping| mapping.count > LOOKED_UP);
        conflicts.extend(of_narrow(socket, family, &narrow)?);
        for range in wide {
            conflicts.extend(of_wide(socket, family, range)?);
        }
    }
    Ok(conflicts)
}

fn at(host: Option<IpAddr>, protocol: Protocol, port: u16) -> Key {
    let key = host.map_or_else(Key::new, |ip| Key::new().ip(ip));
    key.l4proto(protocol.number()).port(port)
}

/// Up to so many ports are looked up one by one; for more, all that are published are read.
const LOOKED_UP: u16 = 128;

/// Looks up each place where a port may be taken.
fn of_narrow(
    socket: &Socket,
    family: Family,
    mappings: &[&Mapping],
) -> Result<Vec<Conflict>, Error> {
    let sets = Sets::of(family);
    let hosts = match mappings.iter().any(|mapping| mapping.host_ip().is_none()) {
        true => single_addresses(socket, family)?,
        false => Vec::new(),
    };
    let mut places: Vec<(&Mapping, u16, &'static Set, Key)> = Vec::new();
    let ports = mappings.iter().flat_map(|mapping| {
        (mapping.host_port..=mapping.last_host_port()).map(move |port| (*mapping, port))
    });
    for (mapping, port) in ports {
        let mut at_one = |ip| {
            for set in [&sets.dnat_ip, &sets.dnat_ip_range] {
                places.push((mapping, port, set, at(Some(ip), mapping.protocol, port)));
            }
        };
        match mapping.host_ip() {
            Some(ip) => at_one(ip),
            None => hosts.iter().copied().for_each(at_one),
        }
        for set in [&sets.dnat_any, &sets.dnat_any_range] {
            places.push((mapping, port, set, at(None, mapping.protocol, port)));
        }
    }
    let wanted: Vec<(&Set, &Key)> = places.iter().map(|(_, _, set, key)| (*set, key)).collect();
    let found = nft::element(socket, &INET, &wanted)?;
    Ok(places
        .iter()
        .zip(found)
        .filter_map(|((mapping, port, set, _), found)| {
            let wanted = (mapping.host_ip(), *port, mapping.protocol);
            Some(Conflict { wanted, set, found: found? })
        })
        .collect())
}

/// Addresses of the host at which single ports are published.
fn single_addresses(socket: &Socket, family: Family) -> Result<Vec<IpAddr>, Error> {
    let mut addresses = Vec::new();
    for found in nft::elements(socket, &INET, &Sets::of(family).host_ips)? {
        let ip = address(family, &found.key);
        if let Some(ip) = ip.filter(|ip| !addresses.contains(ip)) {
            addresses.push(ip);
        }
    }
    Ok(addresses)
}

/// Reads all ports that are published.
fn of_wide(socket: &Socket, family: Family, range: &Mapping) -> Result<Vec<Conflict>, Error> {
    let sets = Sets::of(family);
    let mut conflicts = Vec::new();
    for (set, with_address) in [
        (&sets.dnat_any, false),
        (&sets.dnat_any_range, false),
        (&sets.dnat_ip, true),
        (&sets.dnat_ip_range, true),
    ] {
        for found in nft::elements(socket, &INET, set)? {
            let start = if with_address { address_bytes(family) } else { 0 };
            let same_address = match (range.host_ip(), with_address) {
                (Some(ip), true) => address(family, &found.key) == Some(ip),
                _ => true,
            };
            let Some((protocol, first)) = protocol_and_port(&found.key, start) else { continue };
            let last = protocol_and_port(&found.last, start).map_or(first, |(_, last)| last);
            let overlaps = first <= range.last_host_port() && last >= range.host_port;
            if same_address && protocol == range.protocol.number() && overlaps {
                let port = first.max(range.host_port);
                let wanted = (range.host_ip(), port, range.protocol);
                conflicts.push(Conflict { wanted, set, found });
            }
        }
    }
    Ok(conflicts)
}

fn address_bytes(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

fn address(family: Family, key: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => key.first_chunk::<4>().map(|&octets| octets.into()),
        Family::V6 => key.first_chunk::<16>().map(|&octets| octets.into()),
    }
}

fn protocol_and_port(key: &[u8], start: usize) -> Option<(u8, u16)> {
    match key.get(start..)? {
        [protocol, _, _, _, high, low, ..] => Some((*protocol, u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}
