//! Chains that a network's bridge is led to in [`FROM`](super::FROM) and [`TO`](super::TO).

use kernel::nft::{Batch, Ct, Op, Rule, Verdict};

use super::{INET, LINKS, NO_ICC, V4, V6, iif_in, within};

/// Nothing comes in but answers and published ports.
pub const STRICT: &str = "in_strict";
/// As strict, and from open networks.
pub const ISOLATED: &str = "in_isolated";
/// As strict, and from open and isolated networks.
pub const OPEN: &str = "in_open";
/// All comes in but from other networks of ours.
pub const UNPROTECTED: &str = "in_unprotected";
/// Published ports and ICMP come in, at the container's own address; from other networks of
/// ours published ports alone.
pub const ROUTED: &str = "in_routed";
/// Nothing comes in.
pub const INTERNAL: &str = "in_internal";
/// All comes in, from the network's own containers only where they may reach each other.
pub const ANY: &str = "in_any";
/// Nothing goes out.
pub const NOTHING_OUT: &str = "out_internal";

/// What comes in, by the class of the network that it comes to.
pub(super) fn rules(batch: &mut Batch) {
    let jump = |chain: &str| Rule::new().verdict(&Verdict::Jump(chain.into()));
    let goto = |rule: Rule, chain: &str| rule.verdict(&Verdict::Goto(chain.into()));
    let drop = || Rule::new().counter().verdict(&Verdict::Drop);
    let accept = |rule: Rule| rule.verdict(&Verdict::Accept);
    let known = Rule::new().ct_bits(Ct::State, Ct::STATE_ESTABLISHED | Ct::STATE_RELATED);
    let invalid = Rule::new().ct_bits(Ct::State, Ct::STATE_INVALID).counter();
    let dnatted = || Rule::new().ct_bits(Ct::Status, Ct::STATUS_DNAT);
    let icmp = |number| Rule::new().l4proto(Op::Eq, number);

    for rule in [
        accept(known.clone()),
        invalid.verdict(&Verdict::Drop),
        goto(within(), "icc"),
        goto(dnatted(), "published"),
    ] {
        batch.add_rule(&INET, "answers", &rule);
    }
    for rule in [accept(dnatted()), iif_in(&NO_ICC).counter().verdict(&Verdict::Drop)] {
        batch.add_rule(&INET, "icc", &rule);
    }
    batch.add_rule(&INET, "icc", &accept(Rule::new()));
    for sets in [&V4, &V6] {
        sets.published_rules(batch);
    }
    batch.add_rule(&INET, "published", &drop());

    let classes: [(&str, Vec<Rule>); 8] = [
        (STRICT, vec![jump("answers"), drop()]),
        (ISOLATED, vec![jump("answers"), accept(iif_in(&super::OPEN)), drop()]),
        (
            OPEN,
            vec![
                jump("answers"),
                accept(iif_in(&super::OPEN)),
                accept(iif_in(&super::ISOLATED)),
                drop(),
            ],
        ),
        (
            UNPROTECTED,
            vec![
                jump("answers"),
                iif_in(&LINKS).counter().verdict(&Verdict::Drop),
                accept(Rule::new()),
            ],
        ),
        (
            ROUTED,
            vec![
                accept(known.clone()),
                goto(within(), "icc"),
                // Networks that are kept apart have no more than published ports of each other.
                goto(iif_in(&LINKS), "published"),
                accept(icmp(libc::IPPROTO_ICMP as u8)),
                accept(icmp(libc::IPPROTO_ICMPV6 as u8)),
                goto(Rule::new(), "published"),
            ],
        ),
        (INTERNAL, vec![goto(within(), "icc"), drop()]),
        (ANY, vec![accept(known), goto(within(), "icc"), accept(Rule::new())]),
        (NOTHING_OUT, vec![within().verdict(&Verdict::Return), drop()]),
    ];
    for (chain, rules) in &classes {
        for rule in rules {
            batch.add_rule(&INET, chain, rule);
        }
    }
}
