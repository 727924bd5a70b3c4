//! Finding names and addresses.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use super::Zone;
use super::found::Found;
use super::network::Network;

/// Names of the host as containers know it.
const HOST: [&str; 3] =
    ["host.containers.internal", "host.docker.internal", "gateway.docker.internal"];

/// What an address is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// So.
    Called(String),
    /// It is an address of ours, without a name that the asker may see.
    Nothing,
    /// It is none of ours.
    Foreign,
}

type Networks<'a> = &'a [Rc<RefCell<Network>>];

impl Zone {
    /// Looks for a name on the networks that somebody sees, in their order: as it is; without the
    /// network's suffix; as `name.network`; as a wildcard. The first network that has it answers
    /// alone, or all together. Whether somebody has it.
    pub fn find(&self, networks: Networks<'_>, merge: bool, name: &str, found: &mut Found) -> bool {
        let exact = Network::named;
        let wild = Network::wild;
        let any = collect_all(networks, merge, found, |network, found| exact(network, name, found))
            || collect_all(networks, merge, found, |network, found| {
                let Some(rest) = network.suffix().and_then(|suffix| below(name, suffix)) else {
                    return false;
                };
                exact(network, rest, found)
                    || below(rest, &network.lower()).is_some_and(|rest| exact(network, rest, found))
                    || wild(network, rest, found)
            })
            || collect_all(networks, false, found, |network, found| {
                below(name, &network.lower())
                    .is_some_and(|rest| exact(network, rest, found) || wild(network, rest, found))
            })
            || collect_all(networks, merge, found, |network, found| wild(network, name, found))
            || (HOST.contains(&name) && collect_all(networks, false, found, gateways));
        if any {
            found.order();
        }
        any
    }

    /// The suffix of a network that somebody sees and that a name is below, or is.
    #[must_use]
    pub fn suffix_of(&self, networks: Networks<'_>, name: &str) -> Option<Rc<str>> {
        networks.iter().find_map(|network| {
            let network = network.borrow();
            let suffix = network.suffix()?;
            (name == suffix || below(name, suffix).is_some()).then(|| suffix.into())
        })
    }

    /// Whether a name is below a network's, whoever is on it, and no domain of the internet can be
    /// meant.
    #[must_use]
    pub fn is_below_a_network(&self, name: &str) -> bool {
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            let named = self.by_lower.get(parent).into_iter().flatten();
            if named.into_iter().any(|network| !network.borrow().may_be_a_domain()) {
                return true;
            }
            rest = parent;
        }
        false
    }

    /// Whether a name of those networks lost its last holder a moment ago, in whatever spelling.
    #[must_use]
    pub fn is_reserved(&self, networks: Networks<'_>, name: &str, now: Instant) -> bool {
        networks.iter().any(|network| {
            let network = network.borrow();
            network.is_reserved(name, now)
                || below(name, &network.lower()).is_some_and(|rest| network.is_reserved(rest, now))
        })
    }

    /// What an address is called by somebody who sees these networks.
    #[must_use]
    pub fn reverse(&self, networks: Networks<'_>, address: IpAddr) -> Reverse {
        for network in networks {
            let network = network.borrow();
            let here = network.holder(address).and_then(|holder| holder.called());
            let Some(name) = here.or_else(|| network.elsewhere().called(address)) else { continue };
            let lower = network.lower();
            return Reverse::Called(match network.suffix() {
                None => format!("{name}.{lower}"),
                Some(suffix) => format!("{name}.{lower}.{suffix}"),
            });
        }
        if self.is_managed(address) { Reverse::Nothing } else { Reverse::Foreign }
    }
}

fn collect_all(
    networks: Networks<'_>,
    merge: bool,
    found: &mut Found,
    collect: impl Fn(&Network, &mut Found) -> bool,
) -> bool {
    let mut any = false;
    for network in networks {
        any |= collect(&network.borrow(), found);
        if any && !merge {
            break;
        }
    }
    any
}

fn gateways(network: &Network, found: &mut Found) -> bool {
    for gateway in network.gateways() {
        match gateway {
            IpAddr::V4(address) => found.v4.push(*address),
            IpAddr::V6(address) => found.v6.push(*address),
        }
    }
    !network.gateways().is_empty()
}

/// What stands before `.parent` in `name`.
fn below<'a>(name: &'a str, parent: &str) -> Option<&'a str> {
    name.strip_suffix(parent)?.strip_suffix('.').filter(|rest| !rest.is_empty())
}
