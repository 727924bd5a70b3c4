//! The table: a constant part, and a pair of rules for each attachment.

use std::net::SocketAddrV4;

use kernel::nft::{
    BaseChain, Batch, Ct, Element, Field, Hook, Key, Kind, Meta, Op, Payload, Reg, Rule, Set,
    Verdict,
};

use super::{ADDRESS, TABLE};
use crate::layout::DNS_PROTOCOLS;

/// What this code writes and reads, said by the presence of [`LAYOUT`].
pub(super) const LAYOUT_NUMBER: u32 = 1;
pub(super) const LAYOUT: Set = Set::new("layout_1", &[Field::Mark]);
/// Interfaces whose `route_localnet` cais turned on, with the attachment for which it did.
pub(super) const OPENED: Set = Set::new("opened", &[Field::IfName]);

/// The chain with a pair of rules for each attachment.
pub(super) const OUT: &str = "out";
const GUARD: &str = "guard";
const POST: &str = "post";

/// How many rules the other chains have.
pub(super) const COUNTS: [(&str, usize); 2] = [(GUARD, 2), (POST, 1)];

/// One before the usual places, so that what the container has there comes after.
const CHAINS: [(&str, BaseChain); 3] = [
    (GUARD, BaseChain { kind: Kind::Filter, hook: Hook::Prerouting, priority: -300 }),
    (OUT, BaseChain { kind: Kind::Nat, hook: Hook::Output, priority: -101 }),
    (POST, BaseChain { kind: Kind::Nat, hook: Hook::Postrouting, priority: 99 }),
];

const V4: u8 = libc::NFPROTO_IPV4 as u8;
const LOOPBACK: &str = "lo";
const DOMAIN: u16 = 53;

/// Makes the constant part.
pub(super) fn table(batch: &mut Batch) {
    batch.add_table(&TABLE, "made and kept by cais");
    for set in [&LAYOUT, &OPENED] {
        batch.add_set(&TABLE, set);
    }
    for (name, base) in CHAINS {
        batch.add_base_chain(&TABLE, name, base);
    }
    // Where route_localnet is on, the kernel no longer does this itself.
    for end in [Payload::IP_SADDR, Payload::IP_DADDR] {
        let foreign = loopback(Rule::new().ifname(Meta::IifName, Op::Ne, LOOPBACK), end);
        batch.add_rule(&TABLE, GUARD, &foreign.counter().verdict(&Verdict::Drop));
    }
    let led = Rule::new().ifname(Meta::OifName, Op::Ne, LOOPBACK);
    let led = loopback(led, Payload::IP_SADDR).ct_bits(Ct::Status, Ct::STATUS_DNAT);
    batch.add_rule(&TABLE, POST, &led.masquerade());
    batch.add_element(&TABLE, &LAYOUT, &Element::new(Key::new().mark(LAYOUT_NUMBER)));
}

/// Goes on where the address at `end` is of `127.0.0.0/8`.
fn loopback(rule: Rule, end: Payload) -> Rule {
    rule.load(end.first(1), Reg::FIRST).cmp(Reg::FIRST, Op::Eq, &[127])
}

/// The rules that lead one attachment's questions to its resolver, in UDP and in TCP.
pub(super) fn pair(to: SocketAddrV4) -> [Rule; 2] {
    DNS_PROTOCOLS.map(|protocol| {
        Rule::new()
            .load(Payload::IP_DADDR, Reg::FIRST)
            .cmp(Reg::FIRST, Op::Eq, &ADDRESS.octets())
            .l4proto(Op::Eq, protocol.number())
            .load(Payload::DPORT, Reg::FIRST)
            .cmp(Reg::FIRST, Op::Eq, &DOMAIN.to_be_bytes())
            .set(Reg::FIRST, &to.ip().octets())
            .set(Reg::word(1), &to.port().to_be_bytes())
            .dnat(V4, Some(Reg::word(1)))
    })
}

/// What their expressions hold, as it is read: see [`FoundRule::constants`](kernel::nft::FoundRule).
pub(super) fn constants(to: SocketAddrV4) -> [Vec<Vec<u8>>; 2] {
    DNS_PROTOCOLS.map(|protocol| {
        vec![
            ADDRESS.octets().into(),
            vec![protocol.number()],
            DOMAIN.to_be_bytes().into(),
            to.ip().octets().into(),
            to.port().to_be_bytes().into(),
        ]
    })
}
