//! The drop-in IPAM plugin `dhcp`: addresses from a DHCPv4 server on the container's network, and the
//! daemon that keeps them, `dhcp daemon`.
//!
//! ```
//! use cni::Plugin;
//! let text = br#"{"cniVersion": "1.1.0", "name": "lan", "ipam":
//!     {"type": "dhcp", "provide": [{"option": "hostname", "value": "web"}]}}"#;
//! let error = dhcp::Dhcp.validate(&cni::Config::parse(text)?).unwrap_err();
//! assert_eq!(
//!     error.msg,
//!     "key \"ipam.provide[0].option\": hostname is no option: a number up to 255, or a name"
//! );
//! # Ok::<(), cni::Error>(())
//! ```
//!
//! The plugin asks the daemon, which talks to servers and remembers each lease in a file. It refuses
//! to speak DHCPv6, and to look whether somebody else has an address that a server gave.

mod config;
mod control;
mod daemon;
mod exchange;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod lease;
mod options;
mod place;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::record::boot_id;
use cni::schema::Key;
use cni::{AddResult, Args, Call, Config as Network, Error, NetworkCall, Plugin, code, state};
use types::Attachment;

use crate::config::Config;
use crate::control::{Add, Client, LOOKING, PATIENCE, Reply, Request};
use crate::lease::Lease;
use crate::store::Store;

pub use daemon::run_daemon_if_asked;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Dhcp;

impl Plugin for Dhcp {
    fn name(&self) -> &'static str {
        "dhcp"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &Network) -> Result<(), Error> {
        config::parse(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = config::parse(&call.config)?;
        let lease = acquire(call, &config, None, LOOKING)?;
        lease.result(config.priority).ok_or_else(no_mask)
    }

    /// Without the daemon the plugin does what it would do.
    fn del(&self, call: &Call) -> Result<(), Error> {
        forget(&call.attachment, &config::socket(&call.config))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config)?;
        let key = &call.attachment;
        must_fit(key, 0)?;
        let given: Vec<Ipv4Addr> = call.config.prev_result()?.map(addresses).unwrap_or_default();
        let request = Request::Check { key: key.into() };
        let lease = match Client::must_connect(&config.socket, PATIENCE)?.ask(&request)? {
            Reply::Lease { lease } => *lease,
            // Made by the reference's daemon, or by none: it is asked for, so that it is kept.
            _ => match given.first() {
                Some(address) => acquire(call, &config, Some(*address), PATIENCE)?,
                None => {
                    let text = format!("dhcp: no lease is held for {key}");
                    return Err(Error::new(code::DIFFERS, text)
                        .with_hint("the container must be attached again: DEL, then ADD"));
                }
            },
        };
        if given.is_empty() || given.contains(&lease.address) {
            return Ok(());
        }
        let text =
            format!("dhcp: {key} was given {}; the server gives {} now", given[0], lease.address);
        Err(Error::new(code::DIFFERS, text).with_hint("attach the container again: DEL, then ADD"))
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        let network = call.config.name();
        let valid = call.config.valid_attachments()?;
        let failed = |e| Error::new(code::IO, format!("list leases of network {network}: {e}"));
        let boot = boot_id().map_err(failed)?;
        let store = Store::under(&state::lib_dir());
        let is_listed = |key: &Attachment| valid.iter().flatten().any(|entry| entry.covers(key));
        let mut dead: Vec<Attachment> = Vec::new();
        for entry in store.of_network(network).map_err(failed)? {
            let is_dead = match &valid {
                Some(_) => !is_listed(&entry.key),
                None => !entry.what.netns_id().lives_at(&entry.what.netns, &boot),
            };
            dead.extend(is_dead.then_some(entry.key));
        }
        if valid.is_some() {
            let unfinished = store.unfinished(network).map_err(failed)?;
            dead.extend(unfinished.into_iter().filter(|key| !is_listed(key)));
        }
        let socket = config::socket(&call.config);
        let errors = dead.iter().filter_map(|key| forget(key, &socket).err()).collect();
        Error::joined(errors).map_or(Ok(()), Err)
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = config::parse(&call.config)?;
        Client::must_connect(&config.socket, PATIENCE).map(drop).map_err(Error::unavailable)
    }
}

/// Asks the daemon for a lease; the one that is held already, if there is one.
fn acquire(
    call: &Call,
    config: &Config,
    wanted: Option<Ipv4Addr>,
    limit: Duration,
) -> Result<Lease, Error> {
    let key = &call.attachment;
    let netns = call.netns.clone().unwrap_or_default();
    // The daemon lives elsewhere.
    let netns = std::path::absolute(&netns).unwrap_or(netns);
    must_fit(key, netns.as_os_str().len())?;
    let request = Request::Add(Add {
        key: key.into(),
        netns: netns.to_string_lossy().into_owned(),
        spec: config.spec(key, &Args::lenient(&call.args_text))?,
        priority: config.priority,
        wanted,
        within: limit.as_secs(),
    });
    // The daemon says by itself that the time is over.
    let limit = limit + Duration::from_secs(2);
    match Client::must_connect(&config.socket, limit)?.ask(&request)? {
        Reply::Lease { lease } => Ok(*lease),
        other => Err(Error::new(code::DECODE, format!("dhcp daemon answered {other:?} to ADD"))),
    }
}

/// Gives a lease back and forgets it, by the daemon at `socket` or, where none is, without.
fn forget(key: &Attachment, socket: &Path) -> Result<(), Error> {
    let connected = Client::connect(socket, PATIENCE).unwrap_or_else(|error| {
        cni::warn("dhcp", &format!("{error}"));
        None
    });
    let unreleased = match connected.filter(|_| fits(key, 0)) {
        Some(client) => match client.ask(&Request::Del { key: key.into() })? {
            Reply::Forgotten { unreleased } => unreleased,
            _ => None,
        },
        None => forget_files(&Store::under(&state::lib_dir()), key, "")?,
    };
    if let Some(why) = unreleased {
        cni::warn(
            "dhcp",
            &format!("the lease of {key} stays with its server until it ends: {why}"),
        );
    }
    Ok(())
}

/// Gives back and forgets what is remembered of `key`; why its server could not be told, if so.
fn forget_files(store: &Store, key: &Attachment, prefix: &str) -> Result<Option<String>, Error> {
    let released = store.read(key).map_or(Ok(()), |entry| place::release(&entry, prefix));
    store
        .remove(key)
        .map_err(|error| Error::new(code::IO, format!("forget the lease of {key}: {error}")))?;
    Ok(released.err().map(|error| error.msg))
}

/// Whether the daemon can be told of `key`, with so many bytes of path. No lease has one that is longer.
fn fits(key: &Attachment, path_bytes: usize) -> bool {
    const MOST_BYTES: usize = 32 * 1024;
    let ids = key.network.as_str().len() + key.container.as_str().len();
    ids + path_bytes <= MOST_BYTES
}

fn must_fit(key: &Attachment, path_bytes: usize) -> Result<(), Error> {
    if fits(key, path_bytes) {
        return Ok(());
    }
    let text = "tell dhcp daemon of name, container id (CNI_CONTAINERID) and CNI_NETNS: they are longer \
                than 32 KiB";
    Err(Error::new(code::INVALID_ENVIRONMENT, text).with_hint("choose shorter ids"))
}

fn addresses(result: AddResult) -> Vec<Ipv4Addr> {
    let v4 = |ip: cni::Ip| match ip.address.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    };
    result.ips.into_iter().filter_map(v4).collect()
}

fn no_mask() -> Error {
    Error::new(code::IO, "dhcp: the server gave an address without a subnet mask (option 1)")
        .with_hint("let the server give it; with \"skipDefault\" it has to be in \"request\"")
}

/// Where leases are remembered on a host whose root is `prefix`.
fn lib_dir(prefix: &str) -> PathBuf {
    prefixed(prefix, &state::lib_dir())
}

fn prefixed(prefix: &str, path: &Path) -> PathBuf {
    let mut prefixed = std::ffi::OsString::from(prefix);
    prefixed.push(path);
    prefixed.into()
}

/// A number that nobody guesses and two clients do not share.
fn xid() -> u32 {
    let mut bytes = [0; 4];
    // Without it the wire still tells clients apart, by their Ethernet addresses.
    let _ = getrandom::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}
