//! From a rule-specification to the expressions that iptables-nft makes of it, in its order.

use std::net::IpAddr;

use types::{Cidr, Family};

use super::info::{self, Extension};
use super::{Not, Spec, Target};
use crate::nft::{Meta, Op, Payload, Reg, Rule, Verdict};

impl Spec {
    /// The rule for tables of `family`; its networks are to be of that family.
    #[must_use]
    pub fn rule(&self, family: Family) -> Rule {
        let mut rule = Rule::new();
        if let Some(name) = &self.iif {
            rule = link(rule, Meta::IifName, name);
        }
        if let Some(name) = &self.oif {
            rule = link(rule, Meta::OifName, name);
        }
        if let Some(protocol) = &self.protocol {
            rule = rule.l4proto(op(protocol.inverted), protocol.value);
            rule = rule.compat(protocol.value, protocol.inverted);
        }
        let [source, destination] = match family {
            Family::V4 => [Payload::IP_SADDR, Payload::IP_DADDR],
            Family::V6 => [Payload::IP6_SADDR, Payload::IP6_DADDR],
        };
        if let Some(network) = &self.source {
            rule = net(rule, source, network);
        }
        if let Some(network) = &self.destination {
            rule = net(rule, destination, network);
        }
        let protocol = self.protocol.as_ref().filter(|one| !one.inverted).map(|one| one.value);
        for one in &self.matches {
            match info::of_match(one, protocol) {
                Some(found) => rule = extension(rule, "match", &found),
                // Ports of a protocol without any: no packet has them.
                None => rule = rule.l4proto(Op::Eq, 255).l4proto(Op::Ne, 255),
            }
        }
        target(rule.counter(), &self.target, family)
    }
}

fn op(inverted: bool) -> Op {
    if inverted { Op::Ne } else { Op::Eq }
}

/// iptables-nft compares a whole name with its NUL, and no further.
fn link(rule: Rule, which: Meta, name: &Not<String>) -> Rule {
    let mut bytes = name.value.clone().into_bytes();
    bytes.truncate(15);
    if name.value.ends_with('+') {
        bytes.pop();
    } else {
        bytes.push(0);
    }
    let rule = rule.load_meta(which, Reg::FIRST);
    if bytes.is_empty() { rule } else { rule.cmp(Reg::FIRST, op(name.inverted), &bytes) }
}

/// The whole address with a mask: newer versions shorten prefixes of whole bytes, older ones do not
/// read that.
fn net(rule: Rule, from: Payload, network: &Not<Cidr>) -> Rule {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let value = octets(network.value.ip());
    let mut rule = rule.load(from, Reg::FIRST);
    if usize::from(network.value.prefix()) < value.len() * 8 {
        rule = rule.mask(Reg::FIRST, &mask(network.value.prefix(), value.len()));
    }
    rule.cmp(Reg::FIRST, op(network.inverted), &value)
}

/// `prefix` ones, then zeros.
fn mask(prefix: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| {
            let ones = usize::from(prefix).saturating_sub(at * 8).min(8);
            !(0xff_u16 >> ones) as u8
        })
        .collect()
}

fn extension(rule: Rule, kind: &str, found: &Extension) -> Rule {
    rule.expression(kind, |e| {
        e.text(1, found.name);
        e.u32_be(2, found.revision);
        e.bytes(3, &found.info);
    })
}

fn target(rule: Rule, target: &Target, family: Family) -> Rule {
    if let Some(found) = info::of_target(target, family) {
        return extension(rule, "target", &found);
    }
    rule.verdict(&match target {
        Target::Drop => Verdict::Drop,
        Target::Return => Verdict::Return,
        Target::Jump(chain) => Verdict::Jump(chain.clone()),
        Target::Accept | Target::Mark(..) | Target::Masquerade | Target::Dnat(_) => Verdict::Accept,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_as_many_ones_as_the_prefix_says() {
        assert_eq!(mask(0, 4), [0, 0, 0, 0]);
        assert_eq!(mask(4, 4), [0xf0, 0, 0, 0]);
        assert_eq!(mask(24, 4), [0xff, 0xff, 0xff, 0]);
        assert_eq!(mask(31, 4), [0xff, 0xff, 0xff, 0xfe]);
    }
}
