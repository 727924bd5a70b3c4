//! Programs of the host that listen on a port which is to be published: they would not be reached
//! any more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use attach::error::refused;
use cni::{Error, code};
use kernel::listeners::{Listener, listeners, owner_of};
use kernel::netlink::Socket;
use netfilter::{Mapping, Protocol, Publication};
use types::Family;

/// What to do about a program of the host that listens on a port that is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnListener {
    /// Say so and publish it: Podman itself binds the ports that it publishes.
    Warn,
    /// Fail.
    Fail,
}

/// Looks for them, and warns in the name of `plugin` or fails.
pub(crate) fn look(
    publication: &Publication,
    on_listener: OnListener,
    plugin: &str,
) -> Result<(), Error> {
    let socket = Socket::open_sock_diag("the host's namespace").map_err(|e| refused(&e))?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for family in [Family::V4, Family::V6] {
            let serving: Vec<&Mapping> = publication
                .mappings
                .iter()
                .filter(|mapping| mapping.protocol == protocol && mapping.serves(family))
                .collect();
            if serving.is_empty() || publication.target(family).is_none() {
                continue;
            }
            // A kernel without sock_diag does not tell.
            let there = listeners(&socket, protocol.number(), family).unwrap_or_default();
            if let Some((mapping, listener)) = first(&serving, &there, family) {
                let told = taken(publication, mapping, listener);
                match on_listener {
                    OnListener::Fail => return Err(told),
                    OnListener::Warn => cni::warn(plugin, &told.msg),
                }
            }
        }
    }
    Ok(())
}

fn first<'a>(
    mappings: &[&'a Mapping],
    there: &'a [Listener],
    family: Family,
) -> Option<(&'a Mapping, &'a Listener)> {
    mappings.iter().find_map(|mapping| {
        let ports = mapping.host_port..=mapping.last_host_port();
        let hit = |listener: &&Listener| {
            ports.contains(&listener.port) && meet(mapping.host_ip(), listener, family)
        };
        there.iter().find(hit).map(|listener| (*mapping, listener))
    })
}

/// Whether packets to the mapping's address would be the listener's.
fn meet(host: Option<IpAddr>, listener: &Listener, family: Family) -> bool {
    match host {
        Some(ip) => listener.serves(ip),
        None => {
            let any: IpAddr = match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            };
            Family::of(listener.address) == family || listener.serves(any)
        }
    }
}

fn taken(publication: &Publication, mapping: &Mapping, listener: &Listener) -> Error {
    let who = owner_of(listener.inode)
        .map_or_else(|| "a program".to_owned(), |process| process.to_string());
    let text = format!(
        "publish {}/{} of the host for {}: {who} of the host listens there at {}",
        listener.port, mapping.protocol, publication.key, listener.address
    );
    Error::new(code::EXHAUSTED, text)
        .with_hint("it is not reached from outside any more; stop it, or publish another port")
}
