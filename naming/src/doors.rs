//! What follows from the places at which the daemon answers: which servers the container is told,
//! and what leads there.

use std::net::{IpAddr, SocketAddrV4};

use cni::Dns;
use names::{ADDRESS, Place};
use netfilter::claim::Resolver;
use netfilter::loopback::Lead;

use crate::settings::Settings;

/// Whom the container is to ask: gateways, IPv4 first, else 127.0.0.11.
#[must_use]
pub fn nameservers(places: &[Place]) -> Vec<IpAddr> {
    let mut gateways: Vec<IpAddr> = places
        .iter()
        .filter_map(|place| match place {
            Place::Gateway { address, .. } => Some(*address),
            Place::Container { .. } => None,
        })
        .collect();
    gateways.sort_unstable();
    match gateways.is_empty() && !places.is_empty() {
        true => vec![IpAddr::V4(ADDRESS)],
        false => gateways,
    }
}

/// What the host's packet filter has to redirect to the daemon.
#[must_use]
pub fn resolvers(places: &[Place]) -> Vec<Resolver> {
    places
        .iter()
        .filter_map(|place| match place {
            Place::Gateway { link, address, port, .. } => {
                Some(Resolver { link: link.clone(), address: *address, port: *port })
            }
            Place::Container { .. } => None,
        })
        .collect()
}

/// Where 127.0.0.11 leads within the container.
#[must_use]
pub fn lead(places: &[Place]) -> Option<Lead> {
    let gateway = places.iter().find_map(|place| match place {
        Place::Gateway { address: IpAddr::V4(address), port, .. } => {
            Some(Lead::Gateway(SocketAddrV4::new(*address, *port)))
        }
        _ => None,
    });
    gateway.or_else(|| {
        places.iter().find_map(|place| match place {
            Place::Container { port } => Some(Lead::Local(*port)),
            Place::Gateway { .. } => None,
        })
    })
}

/// Tells the container whom to ask. What plugins before said stays, after that.
pub fn complete(dns: &mut Dns, settings: &Settings, places: &[Place]) {
    let mut servers: Vec<String> = nameservers(places).iter().map(ToString::to_string).collect();
    dns.nameservers.retain(|server| !servers.contains(server));
    servers.append(&mut dns.nameservers);
    dns.nameservers = servers;
    let suffix = settings.suffix.iter().map(ToString::to_string);
    append(&mut dns.search, settings.search.iter().cloned().chain(suffix));
    append(&mut dns.options, settings.options.iter().cloned());
}

fn append(list: &mut Vec<String>, new: impl Iterator<Item = String>) {
    for text in new {
        if !list.contains(&text) {
            list.push(text);
        }
    }
}
