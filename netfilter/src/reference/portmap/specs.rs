//! The rules of published ports, as data.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;

use kernel::nft::xt::{Destination, MULTIPORT_MAX, Match as Extension, Spec, Target};
use types::{Cidr, Family};

use crate::claim::ReferencePorts;
use crate::reference::{names, owner};
use crate::{Condition, Error, Mapping, Masquerade, Match, Publication};

/// What comes before the owner in the comment of a jump.
pub(super) const COMMENT: &str = "dnat ";

/// From `PREROUTING` and `OUTPUT`.
pub(in crate::reference) fn entry() -> Spec {
    Spec::new(Target::Jump(names::HOSTPORT_DNAT.into())).with(Extension::ToLocal)
}

/// From `POSTROUTING`.
pub(in crate::reference) fn masquerade_entry() -> Spec {
    Spec::new(Target::Jump(names::HOSTPORT_MASQ.into())).comment("CNI portfwd requiring masquerade")
}

/// The rule of `CNI-HOSTPORT-SETMARK`.
pub(in crate::reference) fn set_mark(bit: u8) -> Spec {
    let mark = mark(bit);
    Spec::new(Target::Mark(mark, mark)).comment("CNI portfwd masquerade mark")
}

/// The rule of `CNI-HOSTPORT-MASQ`.
pub(in crate::reference) fn masquerade(bit: u8) -> Spec {
    let mark = mark(bit);
    Spec::new(Target::Masquerade).with(Extension::Mark(mark, mark))
}

/// Bit 31 is the last; what is beyond it is no bit.
fn mark(bit: u8) -> u32 {
    1_u32.checked_shl(bit.into()).unwrap_or(0)
}

/// The rules of `CNI-HOSTPORT-DNAT` that lead to the container's chain.
pub(super) fn jumps(publication: &Publication, family: Family) -> Result<Vec<Spec>, Error> {
    let key = &publication.key;
    let (network, container) = (key.network.as_str(), key.container.as_str());
    let chain = names::dnat(network, container);
    let comment = owner::comment(COMMENT, network, container);
    let mut by_protocol: BTreeMap<&str, Vec<&Mapping>> = BTreeMap::new();
    for mapping in &publication.mappings {
        by_protocol.entry(mapping.protocol.name()).or_default().push(mapping);
    }
    let mut specs = Vec::new();
    for mappings in by_protocol.values() {
        let protocol = mappings[0].protocol.number();
        let base = Spec::new(Target::Jump(chain.clone())).protocol(protocol);
        let Some(base) = conditional(base, publication, family, protocol)? else { continue };
        for ports in port_lists(mappings.iter().flat_map(|mapping| written_out(mapping))) {
            let spec = base.clone().comment(comment.clone());
            specs.push(spec.with(Extension::DestinationPorts(ports)));
        }
    }
    Ok(specs)
}

/// Ranges up to this many ports are written as single ports.
const MOST_WRITTEN_OUT: u16 = 150;

/// The ports of the host, one by one: nerdctl searches these rules for ports that are not free, and
/// of a range it reads the first port alone. A range too long for that stays one.
fn written_out(mapping: &Mapping) -> Vec<(u16, u16)> {
    let (first, last) = (mapping.host_port, mapping.last_host_port());
    match mapping.count {
        0..=MOST_WRITTEN_OUT => (first..=last).map(|port| (port, port)).collect(),
        _ => vec![(first, last)],
    }
}

/// Ports and ranges of ports in lists that fit a rule, in their order.
pub(in crate::reference) fn port_lists(
    ranges: impl IntoIterator<Item = (u16, u16)>,
) -> Vec<Vec<(u16, u16)>> {
    let mut lists: Vec<Vec<(u16, u16)>> = Vec::new();
    let mut room = 0;
    for (first, last) in ranges {
        let numbers = if first == last { 1 } else { 2 };
        if room < numbers {
            lists.push(Vec::new());
            room = MULTIPORT_MAX;
        }
        room -= numbers;
        if let Some(list) = lists.last_mut() {
            list.push((first, last));
        }
    }
    lists
}

/// The rule with the conditions of the publication; `None` where no packet can meet them.
fn conditional(
    mut spec: Spec,
    publication: &Publication,
    family: Family,
    protocol: u8,
) -> Result<Option<Spec>, Error> {
    let mut seen = Vec::new();
    for condition in publication.conditions(family) {
        let refused = |why| Error::Condition {
            key: Box::new(publication.key.clone()),
            condition: condition.to_string().into(),
            why,
        };
        let Condition { on, negated } = condition;
        let kind = std::mem::discriminant(on);
        if seen.contains(&kind) && !matches!(on, Match::Protocol(_)) {
            return Err(refused("a rule of iptables has only one of its kind"));
        }
        seen.push(kind);
        if let Match::Source(network) | Match::Destination(network) = on
            && network.family() != family
        {
            return Err(refused("it is of the other address family"));
        }
        spec = match (on, negated) {
            (Match::Source(network), false) => spec.source(*network),
            (Match::Source(network), true) => spec.not_source(*network),
            (Match::Destination(network), false) => spec.destination(*network),
            (Match::Destination(network), true) => spec.not_destination(*network),
            (Match::Iif(name), _) => spec.iif(&plus(name), *negated),
            (Match::Oif(name), _) => spec.oif(&plus(name), *negated),
            (Match::Protocol(number), _) if (*number == protocol) == *negated => return Ok(None),
            (Match::Protocol(_), _) => spec,
        };
    }
    Ok(Some(spec))
}

/// nft(8) writes `*` for what is `+` to iptables.
fn plus(name: &str) -> String {
    match name.strip_suffix('*') {
        Some(start) => format!("{start}+"),
        None => name.to_owned(),
    }
}

/// The rules of the container's own chain: what is to be masqueraded is marked, then all is led to
/// the container at `target`.
pub(super) fn chain(
    publication: &Publication,
    how: &ReferencePorts,
    family: Family,
    target: Cidr,
) -> Vec<Spec> {
    let set_mark = how.set_mark_chain.as_deref().unwrap_or(names::HOSTPORT_SETMARK);
    let sources = match publication.masquerade {
        Masquerade::Nobody => vec![],
        Masquerade::Neighbours if family == Family::V4 => {
            vec![target.network(), Cidr::host(Ipv4Addr::LOCALHOST.into())]
        }
        Masquerade::Neighbours => vec![target.network()],
        Masquerade::All => vec![family.default_route()],
    };
    let mut specs = Vec::new();
    // What is twice in the configuration is once in the chain.
    let mut seen = HashSet::new();
    let mut is_new = |mapping: &&Mapping| {
        let Mapping { protocol, host_port, container_port, count, .. } = **mapping;
        seen.insert((protocol, mapping.host_ip(), host_port, container_port, count))
    };
    let serving = publication.mappings.iter().filter(|mapping| mapping.serves(family));
    for mapping in serving.filter(|mapping| is_new(mapping)) {
        let rule = |target| {
            let ports = Extension::DestinationPort(mapping.host_port, mapping.last_host_port());
            let spec = Spec::new(target).protocol(mapping.protocol.number()).with(ports);
            match mapping.host_ip() {
                Some(ip) => spec.destination(Cidr::host(ip)),
                None => spec,
            }
        };
        for source in &sources {
            specs.push(rule(Target::Jump(set_mark.to_owned())).source(*source));
        }
        specs.push(rule(Target::Dnat(destination(mapping, target))));
    }
    specs
}

fn destination(mapping: &Mapping, target: Cidr) -> Destination {
    let first = mapping.container_port;
    Destination {
        ip: target.ip(),
        first,
        last: first.saturating_add(mapping.count - 1),
        base: (mapping.count > 1).then_some(mapping.host_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostAddress, Protocol};

    fn mapping(host_port: u16, count: u16) -> Mapping {
        let container_port = 80;
        let protocol = Protocol::Tcp;
        Mapping { protocol, host: HostAddress::Any, host_port, container_port, count }
    }

    #[test]
    fn a_rule_holds_fifteen_numbers_of_which_a_range_takes_two() {
        let mut many: Vec<(u16, u16)> = (1..=14).map(|port| (port, port)).collect();
        assert_eq!(port_lists(many.clone()).len(), 1);
        many.push((1000, 1099));
        let lists = port_lists(many);
        assert_eq!(lists.len(), 2);
        assert_eq!(lists[1], [(1000, 1099)]);
    }

    #[test]
    fn a_range_is_written_out_unless_it_is_very_long() {
        assert_eq!(written_out(&mapping(8080, 1)), [(8080, 8080)]);
        assert_eq!(written_out(&mapping(8080, 2)), [(8080, 8080), (8081, 8081)]);
        assert_eq!(written_out(&mapping(8080, 151)), [(8080, 8230)]);
    }

    #[test]
    fn the_last_bit_is_one_and_the_one_after_it_is_none() {
        assert_eq!((mark(13), mark(31), mark(32)), (0x2000, 0x8000_0000, 0));
    }
}
