//! What the rules of the reference look at, as expressions of nftables.

use std::net::IpAddr;

use kernel::nft::{FoundRule, Meta, Op, Payload, Reg, Rule};
use types::{Cidr, Family};

use crate::{Condition, Match};

/// Source address in a packet of `family`.
pub(super) fn saddr(family: Family) -> Payload {
    match family {
        Family::V4 => Payload::IP_SADDR,
        Family::V6 => Payload::IP6_SADDR,
    }
}

/// Destination address in a packet of `family`.
pub(crate) fn daddr(family: Family) -> Payload {
    match family {
        Family::V4 => Payload::IP_DADDR,
        Family::V6 => Payload::IP6_DADDR,
    }
}

/// `NFPROTO_IPV4` or `_IPV6`.
pub(crate) fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => libc::NFPROTO_IPV4 as u8,
        Family::V6 => libc::NFPROTO_IPV6 as u8,
    }
}

/// An address as packets hold it.
pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Goes on where the address `what` is in `network`, or is not. Encoded as nft(8) does it: a prefix
/// of whole bytes is compared without the rest, any other under a mask.
pub(crate) fn when_in(rule: Rule, what: Payload, op: Op, network: Cidr) -> Rule {
    let prefix = network.prefix();
    let value = octets(network.network().ip());
    let whole = u32::from(prefix / 8);
    if prefix > 0 && prefix.is_multiple_of(8) {
        let value = &value[..usize::from(prefix / 8)];
        return rule.load(what.first(whole), Reg::FIRST).cmp(Reg::FIRST, op, value);
    }
    let ones = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0).to_be_bytes();
    rule.load(what, Reg::FIRST).mask(Reg::FIRST, &ones[..value.len()]).cmp(Reg::FIRST, op, &value)
}

/// Goes on where `condition` holds.
pub(crate) fn when(rule: Rule, condition: &Condition) -> Rule {
    let op = if condition.negated { Op::Ne } else { Op::Eq };
    match &condition.on {
        Match::Source(network) => when_in(rule, saddr(network.family()), op, *network),
        Match::Destination(network) => when_in(rule, daddr(network.family()), op, *network),
        Match::Iif(name) => rule.ifname(Meta::IifName, op, name),
        Match::Oif(name) => rule.ifname(Meta::OifName, op, name),
        Match::Protocol(number) => rule.l4proto(op, *number),
    }
}

/// The last address of `family` in a rule: where it sends packets, or for which destination it is.
pub(super) fn last_address(rule: &FoundRule, family: Family) -> Option<IpAddr> {
    rule.constants().iter().rev().find_map(|value| match family {
        Family::V4 => <[u8; 4]>::try_from(&value[..]).ok().map(IpAddr::from),
        Family::V6 => <[u8; 16]>::try_from(&value[..]).ok().map(IpAddr::from),
    })
}
