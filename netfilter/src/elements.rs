//! From claims to the elements that serve them.

use std::collections::HashSet;

use kernel::nft::{Element, FoundElement, Key, Set, Table, Verdict};
use types::{Attachment, Cidr, Family, NetworkName, stable_hash};

use crate::claim::{Claim, Class, Entrance, Forward, Ingress, Isolation, Passing, Ports, Resolver};
use crate::layout::{self, BRIDGE, INET, Sets, class};
use crate::{Mapping, Masquerade};

/// An element and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) table: &'static Table,
    pub(crate) set: &'static Set,
    pub(crate) element: Element,
    /// What a map has for it, as it is read.
    value: Value,
}

/// What a found element has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Nothing,
    Is(Key),
    Leads(&'static str),
}

/// The elements of one claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elements {
    /// Those that are the attachment's alone.
    pub(crate) own: Vec<Wanted>,
    /// Those that serve all attachments of its network.
    pub(crate) shared: Vec<Wanted>,
}

/// Longest key that is written out in a comment.
const OWNER_MAX_BYTES: usize = kernel::nft::COMMENT_MAX_BYTES - 1;

/// What an attachment's elements have as comment.
#[must_use]
pub(crate) fn owner(key: &Attachment) -> String {
    let text = key.to_string();
    if text.len() <= OWNER_MAX_BYTES {
        return text;
    }
    // Container ids have no limit of length; the digest stands for a long one.
    let (one, two) = (stable_hash(&text), stable_hash(&format!("{text}\0")));
    let network = key.network.as_str();
    let start = &network[..network.len().min(OWNER_MAX_BYTES - 34)];
    format!("{start}/#{one:016x}{two:016x}")
}

/// The key in such a comment; `None` where it was too long to be written.
#[must_use]
pub(crate) fn key_of_owner(text: &str) -> Option<Attachment> {
    let mut parts = text.splitn(3, '/');
    Some(Attachment {
        network: parts.next()?.parse().ok()?,
        container: parts.next()?.parse().ok()?,
        ifname: parts.next()?.parse().ok()?,
    })
}

/// What elements have as comment that serve a whole network.
#[must_use]
pub(crate) fn network_owner(network: &NetworkName) -> String {
    let text = format!("network {network}");
    if text.len() <= OWNER_MAX_BYTES {
        return text;
    }
    format!("network #{:016x}", stable_hash(&text))
}

impl Wanted {
    fn of(set: &'static Set, element: Element) -> Self {
        Self { table: &INET, set, element, value: Value::Nothing }
    }

    fn with_value(set: &'static Set, element: Element, value: Key) -> Self {
        let element = element.value(value.clone());
        Self { table: &INET, set, element, value: Value::Is(value) }
    }

    fn leading(set: &'static Set, key: Key, chain: &'static str, goes: bool) -> Self {
        let verdict = match goes {
            true => Verdict::Goto(chain.into()),
            false => Verdict::Jump(chain.into()),
        };
        let element = Element::new(key).verdict(verdict);
        Self { table: &INET, set, element, value: Value::Leads(chain) }
    }

    fn comment(self, text: &str) -> Self {
        Self { element: self.element.comment(text), ..self }
    }

    /// Whether `found` is this element, whoever it belongs to.
    pub(crate) fn is(&self, found: &FoundElement) -> bool {
        let value = match &self.value {
            Value::Nothing => true,
            Value::Is(value) => value.is(&found.value),
            Value::Leads(chain) => found.chain.as_deref() == Some(*chain),
        };
        value && self.has_key(found)
    }

    /// Whether both are at one place, of whatever value.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.table, self.set) == (other.table, other.set)
            && self.element.key() == other.element.key()
            && self.element.last() == other.element.last()
    }

    /// What orders elements: those of one set together, wide ranges before those within.
    pub(crate) fn place(&self) -> (&'static str, &[u8], std::cmp::Reverse<Option<&[u8]>>) {
        let last = self.element.last().map(Key::wire);
        (self.set.name, self.element.key().wire(), std::cmp::Reverse(last))
    }

    /// Whether another range of the same set begins within this one.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let Some(last) = self.element.last() else { return false };
        self.set == other.set && other.element.key().wire() <= last.wire()
    }

    /// Whether `found` belongs to the same attachment or network.
    pub(crate) fn has_owner_of(&self, found: &FoundElement) -> bool {
        self.element.text() == found.comment.as_deref()
    }

    /// Whether the range of `found` begins within this one.
    pub(crate) fn covers(&self, found: &FoundElement) -> bool {
        let Some(last) = self.element.last() else { return false };
        self.element.key().wire() <= &found.key[..] && &found.key[..] <= last.wire()
    }

    /// As an error names it.
    pub(crate) fn shown(&self) -> String {
        let owner = self.element.text().unwrap_or_default();
        format!("{} of table {} ({owner})", self.set.shown(&self.element), self.table)
    }

    /// Whether `found` is at the same place.
    pub(crate) fn has_key(&self, found: &FoundElement) -> bool {
        let last = self.element.last().map_or(found.last.is_empty(), |last| last.is(&found.last));
        self.element.key().is(&found.key) && last
    }

    /// Whether two attachments cannot both have it: a published port.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(self.value, Value::Is(_))
    }
}

/// The elements that serve `claim`.
#[must_use]
pub(crate) fn of(claim: &Claim) -> Elements {
    let mut elements = Elements::default();
    for cidr in &claim.masquerade {
        let sets = Sets::of(cidr.family());
        elements.own.push(Wanted::of(&sets.masq, Element::new(Key::new().ip(cidr.ip()))));
        elements.shared.push(same_subnet(*cidr));
    }
    if let Some((link, mac)) = &claim.spoof {
        let name = || Key::new().ifname(link);
        for (set, key) in [(&layout::CHECKED, name()), (&layout::OWN_MAC, name().ether(*mac))] {
            let wanted = Wanted::of(set, Element::new(key));
            elements.own.push(Wanted { table: &BRIDGE, ..wanted });
        }
    }
    if let Some(isolation) = &claim.isolation {
        isolate(isolation, &mut elements.shared);
    }
    if let Some(ports) = &claim.ports {
        publish(ports, &mut elements);
    }
    if let Some(forward) = &claim.forward {
        police(forward, &mut elements);
    }
    if let Some(Passing { bridge, .. }) = &claim.passing {
        let element = Element::new(Key::new().ifname(bridge));
        elements.shared.push(Wanted::of(&layout::PASSING, element));
        let uplinks = claim.isolation.iter().flat_map(|isolation| &isolation.uplinks);
        let passing = |link| Wanted::of(&layout::PASSING, Element::new(Key::new().ifname(link)));
        elements.shared.extend(uplinks.map(passing));
    }
    for resolver in &claim.resolvers {
        lead_to(resolver, &mut elements.shared);
    }
    elements.finish(&claim.key)
}

impl Elements {
    /// Names the owners, and leaves out what is there twice.
    fn finish(self, key: &Attachment) -> Self {
        let owned = |list: Vec<Wanted>, owner: &str| {
            let mut seen = HashSet::with_capacity(list.len());
            let new = |wanted: &Wanted| {
                let last = wanted.element.last().cloned();
                seen.insert((wanted.set.name, wanted.element.key().clone(), last))
            };
            list.into_iter().filter(new).map(|wanted| wanted.comment(owner)).collect()
        };
        Self {
            own: owned(self.own, &owner(key)),
            shared: owned(self.shared, &network_owner(&key.network)),
        }
    }
}

/// A packet from and to the subnet of `cidr`.
fn same_subnet(cidr: Cidr) -> Wanted {
    let pair = |ip| Key::new().ip(ip).ip(ip);
    let element = Element::new(pair(cidr.network().ip())).to(pair(cidr.last()));
    Wanted::of(&Sets::of(cidr.family()).same, element)
}

fn isolate(isolation: &Isolation, shared: &mut Vec<Wanted>) {
    let bridge = || Key::new().ifname(&isolation.bridge);
    // What comes by a link from another host of the network is as if from within.
    for uplink in &isolation.uplinks {
        let link = || Key::new().ifname(uplink);
        shared.push(Wanted::of(&layout::LINKS, Element::new(link())));
        let in_and_out = [bridge().ifname(uplink), link().ifname(&isolation.bridge)];
        shared.extend(in_and_out.map(|pair| Wanted::of(&layout::WITHIN, Element::new(pair))));
        shared.push(Wanted::leading(&layout::TO, link(), isolation.class.chain(), true));
    }
    let mut in_set = |set, key| shared.push(Wanted::of(set, Element::new(key)));
    if isolation.class != Class::Any {
        in_set(&layout::LINKS, bridge());
    }
    in_set(&layout::WITHIN, bridge().ifname(&isolation.bridge));
    if !isolation.icc {
        in_set(&layout::NO_ICC, bridge());
    }
    match isolation.class {
        Class::Open => in_set(&layout::OPEN, bridge()),
        Class::Isolated => in_set(&layout::ISOLATED, bridge()),
        _ => {}
    }
    shared.push(Wanted::leading(&layout::TO, bridge(), isolation.class.chain(), true));
    if isolation.class == Class::Internal {
        // Where it stays in the network the way goes on: it jumps.
        shared.push(Wanted::leading(&layout::FROM, bridge(), class::NOTHING_OUT, false));
    }
}

fn police(forward: &Forward, elements: &mut Elements) {
    for address in &forward.addresses {
        let sets = Sets::of(Family::of(*address));
        elements.own.push(Wanted::of(&sets.forwarded, Element::new(Key::new().ip(*address))));
    }
    let bridge = forward.bridge.as_ref().filter(|_| forward.ingress != Ingress::Open);
    let Some(bridge) = bridge else { return };
    let pair = || Element::new(Key::new().ifname(bridge).ifname(bridge));
    let mut shared = |set, element| elements.shared.push(Wanted::of(set, element));
    shared(&layout::POLICED, Element::new(Key::new().ifname(bridge)));
    shared(&layout::WITHIN, pair());
    if forward.ingress == Ingress::Isolated {
        shared(&layout::ALONE, pair());
    }
}

fn lead_to(resolver: &Resolver, shared: &mut Vec<Wanted>) {
    let Resolver { link, address, port } = resolver;
    let sets = Sets::of(Family::of(*address));
    let place = || Key::new().ifname(link).ip(*address);
    let to = Key::new().ip(*address).port(*port);
    shared.push(Wanted::with_value(&sets.dns, Element::new(place()), to));
    for protocol in layout::DNS_PROTOCOLS {
        let key = place().l4proto(protocol.number()).port(*port);
        shared.push(Wanted::of(&sets.listening, Element::new(key)));
    }
}

impl Class {
    /// What leads into a network of this class.
    pub(crate) const fn chain(self) -> &'static str {
        match self {
            Self::Strict => class::STRICT,
            Self::Isolated => class::ISOLATED,
            Self::Open => class::OPEN,
            Self::Unprotected => class::UNPROTECTED,
            Self::Routed => class::ROUTED,
            Self::Internal => class::INTERNAL,
            Self::Any => class::ANY,
        }
    }
}

/// Sets that say of what class a bridge's network is: it is in those that are wanted and in no
/// other.
pub(crate) const CLASS_SETS: [&Set; 5] =
    [&layout::LINKS, &layout::NO_ICC, &layout::OPEN, &layout::ISOLATED, &layout::FROM];

fn publish(ports: &Ports, elements: &mut Elements) {
    let publication = &ports.publication;
    if ports.entrance == Entrance::Nowhere {
        return;
    }
    for family in [Family::V4, Family::V6] {
        let Some(target) = publication.target(family) else { continue };
        let serving: Vec<&Mapping> =
            publication.mappings.iter().filter(|mapping| mapping.serves(family)).collect();
        if serving.is_empty() {
            continue;
        }
        for mapping in serving {
            map(ports, mapping, target, elements);
        }
        if ports.entrance != Entrance::Host {
            continue; // nobody's source has to be hidden
        }
        let sets = Sets::of(family);
        let address = || Element::new(Key::new().ip(target.ip()));
        if publication.masquerade != Masquerade::Nobody {
            elements.own.push(Wanted::of(&sets.hairpin, address()));
            elements.shared.push(same_subnet(target));
            if let (Family::V4, Some(link)) = (family, &ports.link) {
                let key = || Element::new(Key::new().ifname(link));
                elements.shared.push(Wanted::of(&layout::GUARDED, key()));
                if ports.link_opened {
                    elements.shared.push(Wanted::of(&layout::OPENED, key()));
                }
            }
        }
        if publication.masquerade == Masquerade::All {
            elements.own.push(Wanted::of(&sets.masq_all, address()));
        }
    }
    for proxied in &ports.proxied {
        let at = |key: Key| key.l4proto(proxied.protocol.number()).port(proxied.host_port);
        let (set, key) = match proxied.host {
            Some(ip) => (&layout::PROXY_IP, at(Key::new().v6(ip))),
            None => (&layout::PROXY_ANY, at(Key::new())),
        };
        let to = Key::new().port(proxied.proxy_port);
        elements.own.push(Wanted::with_value(set, Element::new(key), to));
    }
}

/// The elements that lead from the host's ports to the container's, and let clients through.
fn map(ports: &Ports, mapping: &Mapping, target: Cidr, elements: &mut Elements) {
    let publication = &ports.publication;
    let sets = Sets::of(target.family());
    let proto = mapping.protocol.number();
    // Conditions are rules, see `conditional`.
    let at_host =
        ports.entrance == Entrance::Host && publication.conditions(target.family()).is_empty();
    // One element does for a range only where both sides have the same numbers.
    let (steps, count) = match mapping.host_port == mapping.container_port {
        true => (1, mapping.count),
        false => (mapping.count, 1),
    };
    for step in 0..steps {
        let (host, inside) = (mapping.host_port + step, mapping.container_port + step);
        let last = count - 1;
        let container = |port| Key::new().ip(target.ip()).l4proto(proto).port(port);
        let published = match count {
            1 => Wanted::of(&sets.published, Element::new(container(inside))),
            _ => {
                let range = Element::new(container(inside)).to(container(inside + last));
                Wanted::of(&sets.published_range, range)
            }
        };
        elements.own.push(published);
        if !at_host {
            continue;
        }
        let at = |port| match mapping.host_ip() {
            Some(ip) => Key::new().ip(ip).l4proto(proto).port(port),
            None => Key::new().l4proto(proto).port(port),
        };
        let one = mapping.host_ip().is_some();
        elements.own.push(match count {
            1 => {
                let set = if one { &sets.dnat_ip } else { &sets.dnat_any };
                let to = Key::new().ip(target.ip()).port(inside);
                Wanted::with_value(set, Element::new(at(host)), to)
            }
            _ => {
                let set = if one { &sets.dnat_ip_range } else { &sets.dnat_any_range };
                let range = Element::new(at(host)).to(at(host + last));
                Wanted::with_value(set, range, Key::new().ip(target.ip()))
            }
        });
    }
    if let Some(ip) = mapping.host_ip().filter(|_| at_host) {
        let key = Key::new().ip(ip).mark(network_mark(&publication.key.network));
        elements.shared.push(Wanted::of(&sets.host_ips, Element::new(key)));
    }
}

/// Tells networks apart in [`Sets::host_ips`].
fn network_mark(network: &NetworkName) -> u32 {
    let digest = stable_hash(network.as_str());
    (digest ^ (digest >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str) -> Attachment {
        Attachment {
            network: "web".parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        }
    }

    #[test]
    fn an_owner_gives_its_key_back_unless_the_key_is_too_long() {
        assert_eq!(key_of_owner(&owner(&key("c1"))), Some(key("c1")));
        let long = key(&"x".repeat(300));
        assert!(owner(&long).len() <= OWNER_MAX_BYTES);
        assert_eq!(key_of_owner(&owner(&long)), None);
        assert_ne!(owner(&long), owner(&key(&"x".repeat(301))));
    }
}
