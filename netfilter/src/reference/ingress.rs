//! `ingressPolicy` of `firewall`: two chains that keep bridges apart.

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Spec, Target};
use types::Family;

use super::names::{ISOLATION_1, ISOLATION_2};
use super::view::{FILTER, Line, View, contains};
use crate::Error;
use crate::claim::Ingress;

pub(super) const FORWARD: &str = "FORWARD";

/// Who keeps apart what.
struct Policy<'a> {
    bridge: &'a str,
    comment: String,
    isolated: bool,
}

impl<'a> Policy<'a> {
    fn of(ingress: Ingress, bridge: &'a str) -> Option<Self> {
        let (name, isolated) = match ingress {
            Ingress::Open => return None,
            Ingress::SameBridge => ("same-bridge", false),
            Ingress::Isolated => ("isolated", true),
        };
        let comment = format!("CNI firewall plugin rules (ingressPolicy: {name})");
        Some(Self { bridge, comment, isolated })
    }

    fn jump(&self, chain: &str) -> Spec {
        Spec::new(Target::Jump(chain.to_owned())).comment(self.comment.clone())
    }

    fn back(&self) -> Spec {
        Spec::new(Target::Return).comment(self.comment.clone())
    }

    /// What leaves the bridge for elsewhere.
    fn leaves(&self) -> Spec {
        self.jump(ISOLATION_2).iif(self.bridge, false).oif(self.bridge, true)
    }

    /// What comes from elsewhere, too.
    fn enters(&self) -> Spec {
        Spec::new(Target::Drop).oif(self.bridge, false).comment(self.comment.clone())
    }

    /// What stays on the bridge.
    fn stays(&self) -> Spec {
        self.enters().iif(self.bridge, false)
    }
}

/// Keeps `bridge` apart from others as `ingress` says.
pub(super) fn add(
    socket: &Socket,
    batch: &mut Batch,
    family: Family,
    (ingress, bridge): (Ingress, &str),
) -> Result<(), Error> {
    let Some(policy) = Policy::of(ingress, bridge) else { return Ok(()) };
    let view = View::of(socket, family, FILTER, &[FORWARD, ISOLATION_1, ISOLATION_2])?;
    let (first, second) = (view.lines(ISOLATION_1)?, view.lines(ISOLATION_2)?);
    view.ensure_base(batch, FORWARD)?;
    view.ensure(batch, ISOLATION_1)?;
    view.ensure(batch, ISOLATION_2)?;
    let mut insert = |chain, lines: &[Line], spec: &Spec| {
        if !contains(lines, spec) {
            batch.insert_rule(&view.table, chain, &spec.rule(family));
        }
    };
    insert(FORWARD, &view.lines(FORWARD)?, &policy.jump(ISOLATION_1));
    insert(ISOLATION_1, &first, &policy.leaves());
    if policy.isolated {
        insert(ISOLATION_1, &first, &policy.stays());
    }
    insert(ISOLATION_2, &second, &policy.enters());
    for (chain, lines) in [(ISOLATION_1, &first), (ISOLATION_2, &second)] {
        if !contains(lines, &policy.back()) {
            batch.add_rule(&view.table, chain, &policy.back().rule(family));
        }
    }
    if !policy.isolated {
        // The reference forgets this when the network is no longer isolated.
        let strict = Policy::of(Ingress::Isolated, bridge).map(|policy| policy.stays());
        for line in first.iter().filter(|line| line.spec() == strict) {
            batch.del_rule(&view.table, ISOLATION_1, line.handle());
        }
    }
    Ok(())
}

/// Compares the tables with what [`add`] makes.
pub(super) fn check(
    socket: &Socket,
    family: Family,
    (ingress, bridge): (Ingress, &str),
) -> Result<(), Error> {
    let Some(policy) = Policy::of(ingress, bridge) else { return Ok(()) };
    let view = View::of(socket, family, FILTER, &[FORWARD, ISOLATION_1, ISOLATION_2])?;
    let mut first = vec![policy.leaves()];
    if policy.isolated {
        first.push(policy.stays());
    }
    view.demand(FORWARD, &[], &[policy.jump(ISOLATION_1)])?;
    view.demand(ISOLATION_1, &[], &first)?;
    view.demand(ISOLATION_2, &[], &[policy.enters()])
}

/// Takes back what keeps `bridge` apart: for a bridge that is gone.
pub(super) fn remove(
    socket: &Socket,
    batch: &mut Batch,
    family: Family,
    bridge: &str,
) -> Result<bool, Error> {
    let view = View::of(socket, family, FILTER, &[ISOLATION_1, ISOLATION_2])?;
    let policies = [Ingress::SameBridge, Ingress::Isolated].map(|one| Policy::of(one, bridge));
    let mut found = false;
    for chain in [ISOLATION_1, ISOLATION_2] {
        for line in view.lines(chain)? {
            let ours = policies.iter().flatten().any(|policy| {
                [policy.leaves(), policy.stays(), policy.enters()].iter().any(|spec| line.is(spec))
            });
            if ours {
                batch.del_rule(&view.table, chain, line.handle());
                found = true;
            }
        }
    }
    Ok(found)
}

/// Whether a rule is there whatever bridges there are.
pub(super) fn is_frame(line: &Line) -> bool {
    let policies = [Ingress::SameBridge, Ingress::Isolated].map(|one| Policy::of(one, ""));
    policies.iter().flatten().any(|policy| line.is(&policy.back()))
}

/// Whether a rule leads to the first chain.
pub(super) fn is_entry(line: &Line) -> bool {
    let policies = [Ingress::SameBridge, Ingress::Isolated].map(|one| Policy::of(one, ""));
    policies.iter().flatten().any(|policy| line.is(&policy.jump(ISOLATION_1)))
}
