//! What iptables' `FORWARD` is to let through.

use kernel::nft::{Batch, Ct, Meta, Op, Payload, Reg, Rule, Verdict};

use super::{INET, PASSING, Sets, V4, V6, iif_in};

/// What packets of published ports, and of bridges in [`PASSING`], bear while iptables' `FORWARD`
/// looks at them, so that one rule there lets all of them through, however many there are. Only packets without any mark get it,
/// in the chain before, and lose it in the chain after. All 32 bits are compared, so that no
/// other program's mark is taken for it.
pub const PASS_MARK: u32 = 0x1500_0000;
pub(super) const BEFORE: &str = "pass";
pub(super) const AFTER: &str = "passed";

/// The rules of both chains.
pub(super) fn rules(batch: &mut Batch) {
    let mark = || Rule::new().load_meta(Meta::Mark, Reg::FIRST);
    let marked = mark().cmp(Reg::FIRST, Op::Ne, &[0; 4]).verdict(&Verdict::Return);
    batch.add_rule(&INET, BEFORE, &marked);
    for sets in [&V4, &V6] {
        sets.pass_rules(batch);
    }
    let answers = Rule::new()
        .ct_bits(Ct::State, Ct::STATE_ESTABLISHED | Ct::STATE_RELATED)
        .load_meta(Meta::OifName, Reg::FIRST)
        .in_set(&PASSING);
    for rule in [iif_in(&PASSING), answers] {
        batch.add_rule(&INET, BEFORE, &passes(rule));
    }
    let ours = mark().cmp(Reg::FIRST, Op::Eq, &PASS_MARK.to_ne_bytes());
    batch.add_rule(&INET, AFTER, &ours.set_mark(0));
}

fn passes(rule: Rule) -> Rule {
    rule.set_mark(PASS_MARK).verdict(&Verdict::Accept)
}

impl Sets {
    /// What goes to published ports and what they answer, and errors that belong to it.
    fn pass_rules(&self, batch: &mut Batch) {
        let state = |bits| self.rule().ct_bits(Ct::State, bits);
        let next = self.after_address();
        for set in [&self.published, &self.published_range] {
            batch.add_rule(&INET, BEFORE, &passes(self.load_where().in_set(set)));
            let answer = state(Ct::STATE_ESTABLISHED | Ct::STATE_RELATED)
                .load(self.saddr(), Reg::FIRST)
                .load_meta(Meta::L4Proto, Reg::word(next))
                .load(Payload::SPORT, Reg::word(next + 1));
            batch.add_rule(&INET, BEFORE, &passes(answer.in_set(set)));
        }
        for end in [self.saddr(), self.daddr()] {
            let related = state(Ct::STATE_RELATED).load(end, Reg::FIRST).in_set(&self.hairpin);
            batch.add_rule(&INET, BEFORE, &passes(related));
        }
    }
}
