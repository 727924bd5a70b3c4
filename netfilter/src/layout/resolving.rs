//! Names: what a container asks at the gateway's port 53 goes to the resolver of its network, and
//! iptables' `INPUT` is to let it through.

use kernel::nft::{Batch, Meta, Op, Payload, Reg, Rule, Verdict};

use super::{INET, PASS_MARK, Sets, V4, V6};
use crate::Protocol;

/// The chain before iptables' `INPUT`, and the one after it.
pub(super) const BEFORE: &str = "admit";
pub(super) const AFTER: &str = "admitted";

/// The protocols of DNS.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

/// The port at which everybody asks for names.
const DOMAIN: u16 = 53;

/// Rules that lead to resolvers: a listener of the host on port 53, be it on all addresses, does not
/// matter. nft(8) reads them, from a ruleset that was saved, only where a rule says which protocol's
/// the port is.
pub(super) fn redirect_rules(batch: &mut Batch) {
    for protocol in PROTOCOLS {
        for sets in [&V4, &V6] {
            let asks = sets
                .rule()
                .l4proto(Op::Eq, protocol.number())
                .load(Payload::DPORT, Reg::FIRST)
                .cmp(Reg::FIRST, Op::Eq, &DOMAIN.to_be_bytes());
            let rule = sets.load_place(asks).map(&sets.dns);
            let port = Some(Reg::word(sets.after_address()));
            batch.add_rule(&INET, "pre", &rule.dnat(sets.proto(), port));
        }
    }
}

/// The rules of both chains around `INPUT`. As in `FORWARD` only packets without any mark get one.
pub(super) fn rules(batch: &mut Batch) {
    let mark = || Rule::new().load_meta(Meta::Mark, Reg::FIRST);
    let marked = mark().cmp(Reg::FIRST, Op::Ne, &[0; 4]).verdict(&Verdict::Return);
    batch.add_rule(&INET, BEFORE, &marked);
    for sets in [&V4, &V6] {
        let after = sets.after_link_and_address();
        let rule = sets
            .load_place(sets.rule())
            .load_meta(Meta::L4Proto, Reg::word(after))
            .load(Payload::DPORT, Reg::word(after + 1))
            .in_set(&sets.listening);
        batch.add_rule(&INET, BEFORE, &rule.set_mark(PASS_MARK).verdict(&Verdict::Accept));
    }
    let ours = mark().cmp(Reg::FIRST, Op::Eq, &PASS_MARK.to_ne_bytes());
    batch.add_rule(&INET, AFTER, &ours.set_mark(0));
}

/// Registers that the name of a link takes.
const LINK_WORDS: u32 = 4;

impl Sets {
    /// Loads `iifname . ip daddr`.
    fn load_place(&self, rule: Rule) -> Rule {
        rule.load_meta(Meta::IifName, Reg::FIRST).load(self.daddr(), Reg::word(LINK_WORDS))
    }

    fn after_link_and_address(&self) -> u32 {
        LINK_WORDS + self.after_address()
    }
}
