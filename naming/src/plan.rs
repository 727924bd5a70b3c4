//! What must be true, as data: from the settings, the result of the plugins before, and a look at
//! the host's links.

use std::net::IpAddr;
use std::path::Path;

use attach::error::{no_netns, refused};
use attach::host::{Host, identity};
use cni::{AddResult, Call, Error, Ip, code};
use control::MOST_BYTES;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::{addr, route};
use names::{Place, Record};
use netfilter::{Claimant, Class, Store};
use types::{Attachment, IfName};

use crate::settings::{Resolver, Settings};

/// Kinds of links that all containers of a network share as their gateway: a bridge, and a VLAN of
/// one. Others lead to a single container.
const SHARED: [&str; 2] = ["bridge", "vlan"];

/// Everything that the daemon must know of the attachment of `call`, before it said at which ports
/// it listens. `result` is that of the plugins before, `netns` the container's namespace.
///
/// # Errors
/// Code 7 where the gateway is asked for as the place and is no address of this host; code 5 with
/// what could not be read.
pub fn record(
    call: &Call,
    settings: &Settings,
    result: &AddResult,
    netns: &Netns,
    host: &Host,
) -> Result<Record, Error> {
    let ips: Vec<&Ip> =
        result.ips.iter().filter(|ip| is_of(&call.attachment, result, ip)).collect();
    let held = held_gateways(&host.socket, result, &ips)?;
    let is_internal = is_internal(&call.attachment, &host.run_dir);
    record_at((call, is_internal), settings, (&ips, &held), netns)
}

/// As [`record`] for a plugin that made the bridge itself: `bridge` has the gateways of `result`.
///
/// # Errors
/// As there.
pub fn record_on_bridge(
    call: &Call,
    settings: &Settings,
    result: &AddResult,
    netns: &Netns,
    (bridge, index): (&IfName, u32),
) -> Result<Record, Error> {
    let ips: Vec<&Ip> = result.ips.iter().collect();
    let at = |address| Held { link: bridge.clone(), index, address };
    let held: Vec<Held> = gateways(&ips).into_iter().map(at).collect();
    record_at((call, false), settings, (&ips, &held), netns)
}

fn record_at(
    (call, is_internal): (&Call, bool),
    settings: &Settings,
    (ips, held): (&[&Ip], &[Held]),
    netns: &Netns,
) -> Result<Record, Error> {
    let key = &call.attachment;
    let netns_id = identity(netns)
        .map_err(|e| Error::new(code::IO, format!("identify {}: {e}", call.sandbox())))?;
    let record = Record {
        key: key.clone(),
        netns: call.sandbox(),
        netns_id,
        names: settings.names(&key.container),
        addresses: ips.iter().map(|ip| ip.address).collect(),
        gateways: held.iter().map(|held| held.address).collect(),
        priority: settings.priority,
        merge: settings.merge,
        internal: settings.internal || is_internal,
        suffix: settings.suffix.clone(),
        servers: settings.servers.clone(),
        own_servers: settings.own_servers.clone(),
        places: places(settings.resolver, held, ips)?,
    };
    fits(&record)?;
    Ok(record)
}

/// Refuses what the daemon cannot be told in one message. Ids have no limit of length, nor have the
/// lists of a configuration.
fn fits(record: &Record) -> Result<(), Error> {
    /// What a message has beside the record.
    const BESIDE: usize = 256;
    let (length, most) = (record.encode().len(), MOST_BYTES - BESIDE);
    if length <= most {
        return Ok(());
    }
    let text = format!(
        "the names of a container take {length} bytes, and {most} fit: container id, aliases or servers are too long"
    );
    Err(Error::new(code::INVALID_CONFIG, text))
}

/// A gateway of the container that is an address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) link: IfName,
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
}

/// Where the daemon is to answer. At an IPv6 gateway alone nobody is reached who asks 127.0.0.11, so
/// there it answers within the container as well.
pub(crate) fn places(resolver: Resolver, held: &[Held], ips: &[&Ip]) -> Result<Vec<Place>, Error> {
    let port = names::PORT;
    let within = Place::Container { port };
    if held.is_empty() && resolver == Resolver::Gateway {
        let gateways: Vec<String> =
            ips.iter().filter_map(|ip| ip.gateway).map(|ip| ip.to_string()).collect();
        let text = match gateways.as_slice() {
            [] => "key \"resolver\": the container has no gateway".to_owned(),
            some => format!(
                "key \"resolver\": no bridge of this host has the gateway's address {}",
                some.join(", ")
            ),
        };
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint(
            "give `bridge` \"isGateway\": true, or leave \"resolver\" out: containers then ask 127.0.0.11",
        ));
    }
    if held.is_empty() || resolver == Resolver::Container {
        return Ok(vec![within]);
    }
    let gateway = |held: &Held| Place::Gateway {
        link: held.link.clone(),
        index: held.index,
        address: held.address,
        port,
    };
    let mut places: Vec<Place> = held.iter().map(gateway).collect();
    if !held.iter().any(|held| held.address.is_ipv4()) {
        places.push(within);
    }
    Ok(places)
}

/// The gateways of `ips`, IPv4 first.
fn gateways(ips: &[&Ip]) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.gateway).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The container's gateways that links of this host have, IPv4 first.
fn held_gateways(socket: &Socket, result: &AddResult, ips: &[&Ip]) -> Result<Vec<Held>, Error> {
    let wanted = gateways(ips);
    let mut held = Vec::new();
    if wanted.is_empty() {
        return Ok(held);
    }
    for link in host_links(socket, result, ips)? {
        let is_shared = link.kind.as_deref().is_some_and(|kind| SHARED.contains(&kind));
        let Ok(name) = link.dev.name.parse::<IfName>() else { continue };
        if !is_shared {
            continue;
        }
        let there = addr::list(socket, &link.dev).map_err(|e| refused(&e))?;
        for address in &wanted {
            if there.iter().any(|found| found.cidr.ip() == *address) {
                held.push(Held { link: name.clone(), index: link.dev.index, address: *address });
            }
        }
    }
    held.sort_by_key(|held| held.address);
    held.dedup_by_key(|held| held.address);
    Ok(held)
}

/// The host's links that the plugins before name. Results before 0.3.0 name none; there it is the
/// one by which the container is reached.
fn host_links(socket: &Socket, result: &AddResult, ips: &[&Ip]) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    for interface in result.interfaces.iter().filter(|link| link.sandbox.is_empty()) {
        let Ok(name) = interface.name.parse::<IfName>() else { continue };
        links.extend(link::find(socket, &name).map_err(|e| refused(&e))?);
    }
    if !result.interfaces.is_empty() {
        return Ok(links);
    }
    for ip in ips {
        let route = route::get(socket, ip.address.ip()).map_err(|e| refused(&e))?;
        if let Some(index) = route.and_then(|route| route.dev) {
            links.extend(link::find(socket, index).map_err(|e| refused(&e))?);
        }
    }
    Ok(links)
}

/// Whether an address is the container's at this interface, or nobody says whose it is.
fn is_of(key: &Attachment, result: &AddResult, ip: &Ip) -> bool {
    match ip.interface.and_then(|index| result.interfaces.get(index)) {
        None => true,
        Some(link) => link.name == key.ifname.as_str() && !link.sandbox.is_empty(),
    }
}

/// Whether the interface plugin keeps everything within the network.
fn is_internal(key: &Attachment, run_dir: &Path) -> bool {
    let claim = Store::under(run_dir).read(key, Claimant::Interface);
    claim.and_then(|claim| claim.isolation).is_some_and(|apart| apart.class == Class::Internal)
}

/// The container's namespace, as ADD and CHECK have it.
///
/// # Errors
/// Code 4 when there is none.
pub fn sandbox(call: &Call) -> Result<Netns, Error> {
    Netns::open(call.sandbox()).map_err(|e| no_netns(&e))
}
