//! Ports that are published on conditions: the only ones that need rules of their own.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Op, Payload, Reg, Rule};
use types::{Attachment, Cidr, Family};

use crate::claim::{Claim, Entrance, Ports};
use crate::elements::owner;
use crate::error::Error;
use crate::layout::{CONDITIONAL, INET};
use crate::reference::matching::{daddr, nfproto, octets, when, when_in};
use crate::{Condition, Mapping};

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
        let never = |one: &Condition| one.always(family) == Some(false);
        if conditions.is_empty() || conditions.iter().any(never) {
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
    for condition in conditions.iter().filter(|one| one.always(family).is_none()) {
        rule = when(rule, condition);
    }
    if let Some(ip) = mapping.host_ip() {
        rule = when_in(rule, daddr(family), Op::Eq, Cidr::host(ip));
    }
    rule = rule.l4proto(Op::Eq, mapping.protocol.number()).load(Payload::DPORT, Reg::FIRST).cmp(
        Reg::FIRST,
        Op::Eq,
        &(mapping.host_port + step).to_be_bytes(),
    );
    // The address takes up to four words.
    let after = Reg::word(4);
    let port = (mapping.container_port + step).to_be_bytes();
    rule.set(Reg::FIRST, &octets(target.ip())).set(after, &port).dnat(nfproto(family), Some(after))
}
