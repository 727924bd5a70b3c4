//! Listening again at all places that are remembered, when whoever listened there is dead.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use kernel::netns::Netns;
use names::{Place, Record, Sockets};
use nix::net::if_::if_nametoindex;

use super::place_of;
use crate::link::Listener;

/// Sockets at the places of `records`, as far as there can be any. Where there cannot, the next ADD
/// makes them, and tells the packet filter of their port.
pub(super) fn listeners(records: &[Record]) -> HashMap<super::Place, (Listener, [OwnedFd; 2])> {
    let mut all = HashMap::new();
    for record in records {
        for place in &record.places {
            let listener = Listener { key: record.key.clone(), place: place.clone() };
            let id = place_of(&listener);
            if !all.contains_key(&id)
                && let Some(Sockets { udp, tcp }) = listen(record, place)
            {
                all.insert(id, (listener, [udp, tcp]));
            }
        }
    }
    all
}

fn listen(record: &Record, place: &Place) -> Option<Sockets> {
    let (sockets, bound) = match place {
        Place::Gateway { link, index, .. } => {
            // A bridge that was made anew may have other addresses.
            if if_nametoindex(link.as_str()) != Ok(*index) {
                return None;
            }
            Sockets::bind(place).ok()?
        }
        Place::Container { .. } => {
            let boot = cni::record::boot_id().ok()?;
            if !record.netns_id.lives_at(&record.netns, &boot) {
                return None;
            }
            let netns = Netns::open(&record.netns).ok()?;
            netns.run(|| Sockets::bind(place)).ok()?.ok()?
        }
    };
    // Queries are redirected to this very port.
    (bound == *place).then_some(sockets)
}
