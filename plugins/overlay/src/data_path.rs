//! Devices, peers and guard, where this plugin makes them: under a lock, and taken down with the last
//! container.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use attach::error::refused;
use attach::host::Host;
use bridges::apply;
use cni::{Error, code};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::undo::Undo;
use netfilter::tunnels::Guard;
use peers::NodeFile;
use types::{IfName, NetworkName};

use crate::network::Network;

/// How long another call may be at it.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// Makes what of the network's data path is not as it should be. What was not there before is taken
/// back when a later step fails and nobody uses it by then.
pub(crate) fn make<'a>(
    name: &'a NetworkName,
    network: &Network,
    host: &'a Host,
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let Some(desired) = &network.desired else { return Ok(()) };
    let guard = Rc::new(Guard::open(&host.run_dir)?);
    let _locked = lock(&host.run_dir)?;
    if !links(&host.socket, name)?.iter().any(|link| tunnels::is_ours(link, name)) {
        // By then the thread may be in the container; both sockets stay where they are.
        let guard = Rc::clone(&guard);
        undo.push(format!("take network {name} down"), move || Ok(take_down(name, host, &guard)?));
    }
    // The guard first: a device without it takes packets of anybody.
    guard.keep(&desired.tunnels())?;
    tunnels::reconcile(&host.socket, desired).map(drop).map_err(|e| told(&e))
}

/// Whether anything of `network` was made on this host, in whose namespace the calling thread is.
pub(crate) fn is_there(network: &NetworkName, guard: &Guard) -> Result<bool, Error> {
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    // An ADD may have been killed between the guard and the device.
    Ok(!links(&host, network)?.is_empty() || guard.has(network)?)
}

/// Whether this host has containers on `network`, or had: its bridge is there.
pub(crate) fn has_containers(host: &Socket, network: &NetworkName) -> Result<bool, Error> {
    bridge(host, network).map(|bridge| bridge.is_some())
}

/// Removes bridge, devices and guard of `network`, where no container is on it any more and no other
/// call under way. A daemon's devices and guard stay.
pub(crate) fn take_down(network: &NetworkName, host: &Host, guard: &Guard) -> Result<(), Error> {
    if let Some(bridge) = bridge(&host.socket, network)? {
        apply::remove_bridge(host, &bridge, &tunnels::alias(network))?;
    }
    // Known to a daemon as long as its file is there; a file that cannot be read is one, too.
    let has_daemon = NodeFile::path(&host.run_dir, network).exists();
    if has_daemon || !host.is_alone() || bridge(&host.socket, network)?.is_some() {
        return Ok(());
    }
    tunnels::dismantle(&host.socket, network).map_err(|e| told(&e))?;
    guard.remove(network)?;
    Ok(())
}

/// The bridge that was made for `network`.
fn bridge(host: &Socket, network: &NetworkName) -> Result<Option<IfName>, Error> {
    let links = links(host, network)?;
    let bridge = links.iter().find(|link| link.is_kind("bridge"));
    Ok(bridge.and_then(|link| link.dev.name.parse().ok()))
}

/// All links that were made for `network`.
fn links(host: &Socket, network: &NetworkName) -> Result<Vec<Link>, Error> {
    let alias = tunnels::alias(network);
    let mut links = link::list(host).map_err(|e| refused(&e))?;
    links.retain(|link| link.alias.as_deref() == Some(&alias));
    Ok(links)
}

/// One call at a time changes networks; the lock leaves no file behind.
fn lock(run_dir: &Path) -> Result<File, Error> {
    let dir = run_dir.join("overlay");
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::TimedOut => code::TRY_AGAIN,
            _ => code::IO,
        };
        Error::new(code, format!("lock {}: {error}", dir.display()))
    };
    DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(failed)?;
    let file = File::open(&dir).map_err(failed)?;
    deadline::lock(&file, LOCK_DEADLINE).map_err(failed)?;
    Ok(file)
}

/// In the protocol's terms.
pub(crate) fn told(error: &tunnels::Error) -> Error {
    let code = match error {
        tunnels::Error::Kernel(error) => return refused(error),
        tunnels::Error::NoUnderlay { .. } | tunnels::Error::Unsupported { .. } => {
            code::INVALID_CONFIG
        }
        _ => code::IO,
    };
    Error::new(code, error.to_string()).with_hint_if_any(error.hint())
}
