//! Which published ports need the daemon.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use cni::Error;
use kernel::sysctl::Key;
use netfilter::claim::Proxied;
use netfilter::{HostAddress, Mapping, Masquerade, Publication};
use types::{Cidr, Family};

use crate::client::Client;
use crate::listener::{Offer, listen};
use crate::mapping::Protocol;

/// More ports than this in one mapping are not served: each takes a socket of the daemon.
const MOST_PORTS: u16 = 16;

/// Has the daemon serve what of `publication` the kernel cannot: `[::1]` of the host, and IPv6
/// clients of a container that has only IPv4. Returns where it listens, for the table to lead there;
/// nothing where nothing is needed, and then no daemon is started. To be called in the namespace of
/// the host.
///
/// # Errors
/// As [`Client::serve`].
pub fn serve_published(
    client: &Client<'_>,
    publication: &Publication,
) -> Result<Vec<Proxied>, Error> {
    let mut proxied = Vec::new();
    if !is_wanted(publication) {
        return Ok(proxied);
    }
    let mut offers: Vec<Offer> = Vec::new();
    for mapping in &publication.mappings {
        let Some(place) = place(publication, mapping) else { continue };
        for step in 0..mapping.count {
            let listener = listen(place.protocol, place.listen, 0)?;
            proxied.push(Proxied {
                protocol: mapping.protocol,
                host: place.host,
                host_port: mapping.host_port + step,
                proxy_port: listener.port(),
            });
            let target = SocketAddr::new(place.target, mapping.container_port + step);
            offers.push(listener.lead_to(target));
        }
    }
    if !offers.is_empty() {
        client.serve(&publication.key, offers)?;
    }
    Ok(proxied)
}

/// Where a mapping is served.
struct Place {
    protocol: Protocol,
    /// At this address of the host, or at all.
    host: Option<Ipv6Addr>,
    listen: Ipv6Addr,
    target: IpAddr,
}

/// Whether the host has IPv6, and its own processes and the container's neighbours are to be served:
/// the container sees the host as their source.
fn is_wanted(publication: &Publication) -> bool {
    let is_off = || Key::net("ipv6/conf/lo/disable_ipv6").and_then(|key| key.read().ok());
    publication.masquerade != Masquerade::Nobody
        && publication.conditions_v6.is_empty()
        && Path::new("/proc/net/if_inet6").exists()
        && is_off().is_some_and(|value| value == "0")
}

fn place(publication: &Publication, mapping: &Mapping) -> Option<Place> {
    let protocol = match mapping.protocol {
        netfilter::Protocol::Tcp => Protocol::Tcp,
        netfilter::Protocol::Udp => Protocol::Udp,
        netfilter::Protocol::Sctp => return None,
    };
    if mapping.count > MOST_PORTS || !mapping.serves(Family::V6) {
        return None;
    }
    let (v4, v6) = (publication.v4.map(Cidr::ip), publication.v6.map(Cidr::ip));
    // The kernel leads to a container's IPv6 address itself, but from `[::1]`.
    let only_v4 = v6.is_none();
    let target = v6.or(v4)?;
    let (host, listen) = match mapping.host {
        HostAddress::One(IpAddr::V6(ip)) if ip.is_loopback() => (Some(ip), ip),
        HostAddress::One(IpAddr::V6(ip)) if only_v4 => (Some(ip), Ipv6Addr::UNSPECIFIED),
        HostAddress::One(_) => return None,
        HostAddress::Any | HostAddress::All(_) if only_v4 => (None, Ipv6Addr::UNSPECIFIED),
        HostAddress::Any | HostAddress::All(_) => (Some(Ipv6Addr::LOCALHOST), Ipv6Addr::LOCALHOST),
    };
    Some(Place { protocol, host, listen, target })
}
