//! Connections that the kernel remembers: a flow of UDP or SCTP goes on to where its first packet
//! was sent, whatever is published later.

use std::net::{IpAddr, Ipv4Addr};

use attach::error::refused;
use cni::Error;
use kernel::addr;
use kernel::conntrack::{self, Filter};
use kernel::netlink::Socket;
use netfilter::{Mapping, Protocol, Publication};
use types::{Cidr, Family};

/// Forgets flows to the ports that are published now which lead elsewhere.
pub(crate) fn forget_others(socket: &Socket, publication: &Publication) -> Result<(), Error> {
    let mut filters = Vec::new();
    let mut own: Option<Vec<Cidr>> = None;
    for (family, target, mapping) in remembered(publication) {
        let hosts = match mapping.host_ip() {
            Some(ip) => vec![Cidr::host(ip)],
            // Flows through this host to the same port of others are nobody's business here.
            None => {
                if own.is_none() {
                    own = Some(addresses()?);
                }
                own.iter().flatten().copied().filter(|cidr| cidr.family() == family).collect()
            }
        };
        let to = Filter::to_ports(mapping.protocol.number(), ports(mapping)).family(family);
        let to = hosts.into_iter().fold(to, Filter::destination);
        filters.push(to.reply_source_not(target));
    }
    flush(socket, &filters)
}

/// Forgets flows to the ports that are not published any more.
pub(crate) fn forget_own(socket: &Socket, publication: &Publication) -> Result<(), Error> {
    let filters: Vec<Filter> = remembered(publication)
        .map(|(family, target, mapping)| {
            Filter::to_ports(mapping.protocol.number(), ports(mapping))
                .family(family)
                .reply_source(target)
        })
        .collect();
    flush(socket, &filters)
}

fn flush(socket: &Socket, filters: &[Filter]) -> Result<(), Error> {
    if filters.is_empty() {
        return Ok(());
    }
    conntrack::flush(socket, filters).map(drop).map_err(|e| refused(&e))
}

/// Mappings of protocols that have no end of a connection, by family.
fn remembered(publication: &Publication) -> impl Iterator<Item = (Family, IpAddr, &Mapping)> {
    [Family::V4, Family::V6].into_iter().flat_map(|family| {
        let target = publication.target(family).map(Cidr::ip);
        publication
            .mappings
            .iter()
            .filter(move |mapping| mapping.protocol != Protocol::Tcp && mapping.serves(family))
            .filter_map(move |mapping| Some((family, target?, mapping)))
    })
}

fn ports(mapping: &Mapping) -> std::ops::RangeInclusive<u16> {
    mapping.host_port..=mapping.last_host_port()
}

/// The host's own addresses.
fn addresses() -> Result<Vec<Cidr>, Error> {
    let socket = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let found = addr::list_all(&socket).map_err(|e| refused(&e))?;
    let mut addresses: Vec<Cidr> = found.iter().map(|found| Cidr::host(found.cidr.ip())).collect();
    addresses.extend(Cidr::new(Ipv4Addr::LOCALHOST.into(), 8).map(Cidr::network));
    Ok(addresses)
}
