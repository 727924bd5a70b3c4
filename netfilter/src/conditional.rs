//! Ports that are published on conditions: the only ones that need rules of their own.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Meta, Op, Payload, Reg, Rule, Verdict};
use types::{Attachment, Cidr, Family};

use crate::claim::{Claim, Entrance, Ports};
use crate::elements::owner;
use crate::error::Error;
use crate::layout::{CONDITIONAL, INET};
use crate::{Condition, Mapping, Match};

/// Puts the rules that `claim` needs into the batch.
pub(crate) fn add(batch: &mut Batch, claim: &Claim) {
    for rule in rules(claim) {
        batch.add_rule(&INET, CONDITIONAL, &rule);
    }
}

/// Puts the deletion of all rules of `key` into the batch.
pub(crate) fn remove(socket: &Socket, batch: &mut Batch, key: &Attachment) -> Result<(), Error> {
    let ours = owner(key);
    for rule in nft::rules(socket, &INET, CONDITIONAL)? {
        if rule.comment.as_deref() == Some(&ours) {
            batch.del_rule(&INET, CONDITIONAL, rule.handle);
        }
    }
    Ok(())
}

/// Compares the number of rules that `claim` wants with those that are there.
pub(crate) fn check(socket: &Socket, claim: &Claim) -> Result<(), Error> {
    let wanted = rules(claim).len();
    if wanted == 0 {
        return Ok(());
    }
    let ours = owner(&claim.key);
    let there = nft::rules(socket, &INET, CONDITIONAL)?;
    let there = there.iter().filter(|rule| rule.comment.as_deref() == Some(&ours)).count();
    if there == wanted {
        return Ok(());
    }
    let text =
        format!("chain {INET} {CONDITIONAL} has {there} rules of {ours}, {wanted} are wanted");
    Err(Error::Differs(text))
}

fn rules(claim: &Claim) -> Vec<Rule> {
    let at_host = |ports: &&Ports| ports.entrance == Entrance::Host;
    let Some(ports) = claim.ports.as_ref().filter(at_host) else { return Vec::new() };
    let publication = &ports.publication;
    let mut rules = Vec::new();
    for family in [Family::V4, Family::V6] {
        let (Some(target), conditions) =
            (publication.target(family), publication.conditions(family))
        else {
            continue;
        };
        if conditions.is_empty() {
            continue;
        }
        for mapping in publication.mappings.iter().filter(|mapping| mapping.serves(family)) {
            for step in 0..mapping.count {
                let rule = rule(mapping, step, target, conditions);
                rules.push(rule.comment(owner(&publication.key)));
            }
        }
    }
    rules
}

fn rule(mapping: &Mapping, step: u16, target: Cidr, conditions: &[Condition]) -> Rule {
    let family = target.family();
    let mut rule = Rule::new().nfproto(nfproto(family));
    for condition in conditions {
        rule = matching(rule, family, condition);
    }
    if let Some(ip) = mapping.host_ip() {
        rule = address(rule, family, End::Destination, (Cidr::host(ip), false));
    }
    rule = rule.l4proto(Op::Eq, mapping.protocol.number()).load(Payload::DPORT, Reg::FIRST).cmp(
        Reg::FIRST,
        Op::Eq,
        &(mapping.host_port + step).to_be_bytes(),
    );
    let after = Reg::word(address_words(family));
    let port = (mapping.container_port + step).to_be_bytes();
    match target.ip() {
        std::net::IpAddr::V4(ip) => rule.set(Reg::FIRST, &ip.octets()),
        std::net::IpAddr::V6(ip) => rule.set(Reg::FIRST, &ip.octets()),
    }
    .set(after, &port)
    .dnat(nfproto(family), Some(after))
}

fn matching(rule: Rule, family: Family, condition: &Condition) -> Rule {
    let op = if condition.negated { Op::Ne } else { Op::Eq };
    match &condition.on {
        Match::Source(network) => address(rule, family, End::Source, (*network, condition.negated)),
        Match::Destination(network) => {
            address(rule, family, End::Destination, (*network, condition.negated))
        }
        Match::Iif(name) => rule.ifname(Meta::IifName, op, name),
        Match::Oif(name) => rule.ifname(Meta::OifName, op, name),
        Match::Protocol(number) => rule.l4proto(op, *number),
    }
}

/// Which address of a packet.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

fn address(rule: Rule, family: Family, end: End, (network, negated): (Cidr, bool)) -> Rule {
    if network.family() != family {
        // No packet of this family is in it.
        return if negated { rule } else { rule.verdict(&Verdict::Return) };
    }
    if network.is_default() {
        return if negated { rule.verdict(&Verdict::Return) } else { rule };
    }
    let at = match (family, end) {
        (Family::V4, End::Source) => Payload::IP_SADDR,
        (Family::V4, End::Destination) => Payload::IP_DADDR,
        (Family::V6, End::Source) => Payload::IP6_SADDR,
        (Family::V6, End::Destination) => Payload::IP6_DADDR,
    };
    let (value, bytes) = match network.network().ip() {
        std::net::IpAddr::V4(ip) => (ip.octets().to_vec(), 4),
        std::net::IpAddr::V6(ip) => (ip.octets().to_vec(), 16),
    };
    let prefix = u32::from(network.prefix());
    let mask: Vec<u8> = (0..bytes)
        .map(|byte| {
            let bits = prefix.saturating_sub(8 * byte).min(8);
            (0xff00_u32 >> bits) as u8
        })
        .collect();
    let rule = rule.load(at, Reg::FIRST).mask(Reg::FIRST, &mask);
    rule.cmp(Reg::FIRST, if negated { Op::Ne } else { Op::Eq }, &value)
}

fn address_words(family: Family) -> u32 {
    match family {
        Family::V4 => 1,
        Family::V6 => 4,
    }
}

fn nfproto(family: Family) -> u8 {
    (match family {
        Family::V4 => libc::NFPROTO_IPV4,
        Family::V6 => libc::NFPROTO_IPV6,
    }) as u8
}
