//! Elements that serve a whole network, and finding elements by their comments.

use std::net::IpAddr;

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Field, FoundElement, Set, Table};
use types::{Attachment, NetworkName};

use crate::claim::Claimant;
use crate::elements::{self, Wanted, network_owner};
use crate::error::Error;
use crate::filter::{Filter, as_element};
use crate::layout::{self, BRIDGE, INET, V4, V6};

/// Sets whose elements serve networks.
const OF_NETWORKS: [&Set; 20] = [
    &layout::POLICED,
    &layout::ALONE,
    &layout::GUARDED,
    &layout::OPENED,
    &layout::LINKS,
    &layout::WITHIN,
    &layout::NO_ICC,
    &layout::OPEN,
    &layout::ISOLATED,
    &layout::PASSING,
    &layout::FROM,
    &layout::TO,
    &V4.same,
    &V6.same,
    &V4.host_ips,
    &V6.host_ips,
    &V4.dns,
    &V6.dns,
    &V4.listening,
    &V6.listening,
];

/// Sets whose elements are attachments' own, by the plugin that puts them there.
fn of_attachments(claimant: Claimant) -> Vec<(&'static Table, &'static Set)> {
    match claimant {
        Claimant::Interface => vec![
            (&INET, &V4.masq),
            (&INET, &V6.masq),
            (&BRIDGE, &layout::CHECKED),
            (&BRIDGE, &layout::OWN_MAC),
        ],
        Claimant::Portmap => {
            let of = |sets: &'static layout::Sets| {
                [
                    &sets.hairpin,
                    &sets.masq_all,
                    &sets.dnat_ip,
                    &sets.dnat_any,
                    &sets.dnat_ip_range,
                    &sets.dnat_any_range,
                    &sets.published,
                    &sets.published_range,
                ]
            };
            let (v4, v6) =
                (layout::Sets::of(types::Family::V4), layout::Sets::of(types::Family::V6));
            let proxied = [&layout::PROXY_IP, &layout::PROXY_ANY];
            of(v4).into_iter().chain(of(v6)).chain(proxied).map(|set| (&INET, set)).collect()
        }
        // What leads to resolvers is their network's.
        Claimant::Names => Vec::new(),
        Claimant::Firewall => vec![(&INET, &V4.forwarded), (&INET, &V6.forwarded)],
    }
}

/// Puts the deletion of all that `claimant` has there for the owner `ours` into the batch. Returns
/// the addresses of the container that it had there.
pub(crate) fn delete_by_comment(
    socket: &Socket,
    batch: &mut Batch,
    claimant: Claimant,
    ours: &str,
) -> Result<Vec<IpAddr>, Error> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (table, set) in of_attachments(claimant) {
        for found in nft::find_elements(socket, table, set, |text| text == ours)? {
            batch.del_element(table, set, &as_element(&found));
            let address = match set.key.first() {
                Some(Field::Ipv4) if !set.is_map() => {
                    found.key.first_chunk::<4>().map(|&a| a.into())
                }
                Some(Field::Ipv6) if !set.is_map() => {
                    found.key.first_chunk::<16>().map(|&a| a.into())
                }
                _ => None,
            };
            addresses.extend(address.filter(|address| !addresses.contains(address)));
        }
    }
    Ok(addresses)
}

/// The attachments of `network` for which `claimant` has elements, remembered or not.
pub(crate) fn owners(
    socket: &Socket,
    claimant: Claimant,
    network: &NetworkName,
) -> Result<Vec<Attachment>, Error> {
    let start = format!("{network}/");
    let mut owners: Vec<Attachment> = Vec::new();
    for (table, set) in of_attachments(claimant) {
        for found in nft::find_elements(socket, table, set, |text| text.starts_with(&start))? {
            let key = found.comment.as_deref().and_then(elements::key_of_owner);
            if let Some(key) = key.filter(|key| !owners.contains(key)) {
                owners.push(key);
            }
        }
    }
    Ok(owners)
}

/// Puts the deletion of all that serves `network` into the batch, or hands it to another network
/// that needs it as well. Returns the links that had been given `route_localnet` for it.
pub(crate) fn delete_of_network(
    filter: &Filter,
    batch: &mut Batch,
    network: &NetworkName,
) -> Result<Vec<String>, Error> {
    let ours = network_owner(network);
    let mut found: Vec<(&Set, FoundElement)> = Vec::new();
    for set in OF_NETWORKS {
        let of_set = nft::find_elements(&filter.socket, &INET, set, |text| text == ours)?;
        found.extend(of_set.into_iter().map(|found| (set, found)));
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    // Attachments of one network need not want the same, so all of them are asked.
    let others: Vec<Wanted> = filter
        .store()
        .some_of_each_other(network)?
        .iter()
        .flat_map(|claim| elements::of(claim).shared)
        .collect();
    let mut links = Vec::new();
    for (set, found) in found {
        batch.del_element(&INET, set, &as_element(&found));
        let heir = others.iter().find(|other| other.set == set && other.has_key(&found));
        match heir {
            Some(heir) => batch.add_element(&INET, set, &heir.element),
            None if *set == layout::OPENED => links.push(link_name(&found)),
            None => {}
        }
    }
    Ok(links)
}

/// The link that is the key of an element.
pub(crate) fn link_name(found: &FoundElement) -> String {
    let end = found.key.iter().position(|&byte| byte == 0).unwrap_or(found.key.len());
    String::from_utf8_lossy(&found.key[..end]).into_owned()
}

/// Whether the tables hold anything of others than `ours`, remembered or not, or rules of users.
pub(crate) fn in_use(socket: &Socket, ours: &str) -> Result<bool, Error> {
    for claimant in Claimant::ALL {
        for (table, set) in of_attachments(claimant) {
            if !nft::find_elements(socket, table, set, |text| text != ours)?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(!nft::rules(socket, &INET, layout::USER_CHAIN)?.is_empty())
}
