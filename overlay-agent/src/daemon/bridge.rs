//! A bridge that somebody deleted under running containers: made again, with their ends of pairs in it.

use std::path::Path;
use std::time::Duration;

use ::names::{Client, Place, Record};
use attach::names::alias;
use kernel::announce;
use kernel::link::{self, Bridge, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::Key;
use netfilter::{Claimant, Store};
use tunnels::Desired;
use types::{MacAddr, NetworkName};

/// How long the daemon of names may take. It is waited for: nothing else of the host works either.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes the bridge of a network that has containers here. `mac` is what it had, where that is known:
/// containers send to it until they ask again. Whether there was something to do; its addresses are
/// still missing then.
///
/// # Errors
/// What the kernel refused, and records that cannot be read.
pub(super) fn mend(
    host: &Socket,
    run_dir: &Path,
    (name, desired, mac): (&NetworkName, &Desired, Option<MacAddr>),
) -> Result<bool, Box<dyn std::error::Error>> {
    if link::find(host, &desired.bridge)?.is_some() {
        return Ok(false);
    }
    let ends = ends(host, run_dir, name)?;
    if ends.is_empty() {
        return Ok(false); // the first container makes it
    }
    let new = Bridge::new(desired.bridge.clone()).mtu(desired.mtu);
    let new = mac.into_iter().fold(new, Bridge::mac);
    let whose = link::set(&desired.bridge).alias(&tunnels::alias(name)).request();
    host.run_all(&[new.create(), whose])?;
    let bridge = link::get(host, &desired.bridge)?;
    let name = &desired.bridge;
    for (key, value) in [
        (Key::conf_v6(name, "accept_ra"), "0"),
        (Key::conf_v6(name, "accept_dad"), "0"),
        (Key::conf_v4(name, "arp_notify"), "1"),
    ] {
        // A kernel without IPv6 does without.
        let _ = key.write(value);
    }
    host.run(&link::set(&bridge.dev).up().request())?;
    for end in &ends {
        host.run(&link::set(&end.dev).master(&bridge.dev).request())?;
    }
    Ok(true)
}

/// Lets names be answered at the gateways of a bridge that was made again: sockets belong to the one that
/// is gone.
///
/// # Errors
/// What the daemon of names, or the system, refused.
pub(super) fn reopen_doors(
    host: &Socket,
    run_dir: &Path,
    (name, desired): (&NetworkName, &Desired),
) -> Result<(), Box<dyn std::error::Error>> {
    let made = link::get(host, &desired.bridge)?.dev.index;
    let client = Client::new(run_dir, &[]).with_deadline(PATIENCE);
    for record in client.store().of_network(name)? {
        let moved = |place: &Place| match place.clone() {
            Place::Gateway { link, address, port, .. } if link == desired.bridge => {
                Place::Gateway { link, index: made, address, port }
            }
            place => place,
        };
        let places: Vec<Place> = record.places.iter().map(moved).collect();
        if places == record.places {
            continue;
        }
        let netns = Netns::open(&record.netns)?;
        client.register(&Record { places, ..record }, &netns)?;
    }
    Ok(())
}

/// Tells containers the Ethernet address of their gateways, which may be another than before.
pub(super) fn announce(host: &Socket, desired: &Desired) {
    if let Ok(Link { dev, mac: Some(mac), .. }) = link::get(host, &desired.bridge) {
        let _ = host.run(&announce::by_kernel(&dev, mac));
    }
}

/// The host's ends of the pairs of a network's containers.
fn ends(
    host: &Socket,
    run_dir: &Path,
    name: &NetworkName,
) -> Result<Vec<Link>, Box<dyn std::error::Error>> {
    let claims = Store::under(run_dir).of_network(name)?;
    let own = claims.iter().filter(|claim| claim.claimant == Claimant::Interface);
    let aliases: Vec<String> = own.map(|claim| alias(&claim.key)).collect();
    let mut all = link::list(host)?;
    all.retain(|link| {
        link.is_kind("veth") && link.alias.as_ref().is_some_and(|alias| aliases.contains(alias))
    });
    Ok(all)
}
