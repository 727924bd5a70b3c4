//! What all attachments share, taken away when none is left.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch};
use types::Family;

use super::names::HOSTPORT_PASS;
use super::view::{FILTER, Line, NAT, View};
use super::{firewall, ingress, names, passing, portmap};
use crate::Error;

/// A chain of more rules than this is in use, and not read.
const FEW: u32 = 8;

/// Takes away the chains of the reference layouts that nothing uses any more, what leads to them,
/// and then base chains and tables that are empty and accept: so that a host without containers
/// looks as one that never had any. The administrator's chain goes only if it is empty. Whether
/// anything went.
///
/// It is a batch of its own, which fails as a whole when somebody comes to use a chain meanwhile;
/// then everything stays, and that is no error.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, or a change is refused for another reason.
pub fn tidy(socket: &Socket) -> Result<bool, Error> {
    let mut went = false;
    for family in [Family::V4, Family::V6] {
        for mut tidying in [ports(socket, family)?, forwarding(socket, family)?] {
            tidying.base_chains()?;
            if tidying.batch.is_empty() {
                continue;
            }
            match tidying.batch.commit(socket) {
                Ok(()) => went = true,
                Err(error) if error.is_busy() || error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(went)
}

/// Deletions of one table that make sense together.
struct Tidying<'a> {
    view: View<'a>,
    batch: Batch,
    /// The chain of each rule to be deleted.
    rules: Vec<(&'static str, u64)>,
    chains: u32,
    bases: &'static [&'static str],
}

const NAT_CHAINS: [&str; 7] = [
    "PREROUTING",
    "INPUT",
    "OUTPUT",
    "POSTROUTING",
    names::HOSTPORT_DNAT,
    names::HOSTPORT_SETMARK,
    names::HOSTPORT_MASQ,
];

fn ports(socket: &Socket, family: Family) -> Result<Tidying<'_>, Error> {
    let view = View::of(socket, family, NAT, &NAT_CHAINS)?;
    let mut tidying = Tidying::of(view, &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]);
    let entry = |line: &Line| line.is(&portmap::entry());
    if !tidying.chain(names::HOSTPORT_DNAT, &["PREROUTING", "OUTPUT"], entry, |_| false)? {
        return Ok(tidying);
    }
    let marks = |line: &Line| (0..32).any(|bit| line.is(&portmap::set_mark(bit)));
    tidying.chain(names::HOSTPORT_SETMARK, &[], |_| false, marks)?;
    let entry = |line: &Line| line.is(&portmap::masquerade_entry());
    let rules = |line: &Line| (0..32).any(|bit| line.is(&portmap::masquerade(bit)));
    tidying.chain(names::HOSTPORT_MASQ, &["POSTROUTING"], entry, rules)?;
    Ok(tidying)
}

fn forwarding(socket: &Socket, family: Family) -> Result<Tidying<'_>, Error> {
    const BASES: &[&str] = &["INPUT", "FORWARD", "OUTPUT"];
    let mut wanted = BASES.to_vec();
    wanted.extend([names::FORWARD, HOSTPORT_PASS, names::ISOLATION_1, names::ISOLATION_2]);
    let admin = admin(socket, family)?;
    wanted.extend(admin.as_deref());
    let mut tidying = Tidying::of(View::of(socket, family, FILTER, &wanted)?, BASES);
    let entry = |line: &Line| line.is(&firewall::entry());
    let shared = |line: &Line| {
        let leads = |chain: &str| line.is(&firewall::overrides(chain));
        line.is(&passing::jump()) || line.target().is_some_and(leads)
    };
    if tidying.chain(names::FORWARD, &["FORWARD"], entry, shared)? {
        tidying.led_to(HOSTPORT_PASS, |line| line.is(&passing::pass()))?;
        if let Some(admin) = &admin {
            tidying.led_to(admin, |_| false)?;
        }
    }
    if tidying.chain(names::ISOLATION_1, &["FORWARD"], ingress::is_entry, ingress::is_frame)? {
        tidying.chain(names::ISOLATION_2, &[], |_| false, ingress::is_frame)?;
    }
    Ok(tidying)
}

/// The administrator's chain: where the first rule of `CNI-FORWARD` leads.
fn admin(socket: &Socket, family: Family) -> Result<Option<String>, Error> {
    let view = View::of(socket, family, FILTER, &[names::FORWARD])?;
    if view.chain(names::FORWARD).is_none_or(|found| found.uses > FEW) {
        return Ok(None);
    }
    let lines = view.lines(names::FORWARD)?;
    let chain = |line: &Line| {
        line.target().filter(|chain| line.is(&firewall::overrides(chain))).map(str::to_owned)
    };
    Ok(lines.iter().find_map(chain))
}

impl<'a> Tidying<'a> {
    fn of(view: View<'a>, bases: &'static [&'static str]) -> Self {
        Self { view, batch: Batch::new(), rules: Vec::new(), chains: 0, bases }
    }

    /// Deletes a chain that only `entries` of the chains `from` lead to, and that has no rules but
    /// its `own`. Whether it is gone then.
    fn chain(
        &mut self,
        name: &'static str,
        from: &[&'static str],
        entries: impl Fn(&Line) -> bool,
        own: impl Fn(&Line) -> bool,
    ) -> Result<bool, Error> {
        let Some(found) = self.view.chain(name) else { return Ok(true) };
        if found.uses > FEW {
            return Ok(false);
        }
        let lines = self.view.lines(name)?;
        let mut rules = Vec::new();
        for &chain in from {
            let jumps = self.view.lines(chain)?;
            rules.extend(jumps.iter().filter(|one| entries(one)).map(|one| (chain, one.handle())));
        }
        if !lines.iter().all(own) || self.view.incoming(name, &lines) > rules.len() {
            return Ok(false);
        }
        rules.extend(lines.iter().map(|line| (name, line.handle())));
        for (chain, handle) in &rules {
            self.batch.del_rule(&self.view.table, chain, *handle);
        }
        self.rules.extend(rules);
        self.batch.del_empty_chain(&self.view.table, name);
        self.chains += 1;
        Ok(true)
    }

    /// Deletes a chain that only `CNI-FORWARD`, now gone, led to, and that has no rules but its
    /// `own`: the administrator's has none.
    fn led_to(&mut self, name: &str, own: impl Fn(&Line) -> bool) -> Result<(), Error> {
        let Some(found) = self.view.chain(name) else { return Ok(()) };
        if found.uses > FEW {
            return Ok(());
        }
        let lines = self.view.lines(name)?;
        let from = self.view.lines(names::FORWARD)?;
        let led = from.iter().filter(|line| line.leads_to(name)).count();
        if lines.iter().all(own) && self.view.incoming(name, &lines) == led {
            for line in &lines {
                self.batch.del_rule(&self.view.table, name, line.handle());
            }
            self.batch.del_empty_chain(&self.view.table, name);
            self.chains += 1;
        }
        Ok(())
    }

    /// Deletes base chains in which nothing is left, and then the table if it is empty.
    fn base_chains(&mut self) -> Result<(), Error> {
        if self.chains == 0 {
            return Ok(());
        }
        for name in self.bases {
            let Some(found) = self.view.chain(name) else { continue };
            let gone = self.rules.iter().filter(|(chain, _)| chain == name).count();
            if found.uses as usize == gone && found.is_base && !found.drops {
                self.batch.del_empty_chain(&self.view.table, name);
                self.chains += 1;
            }
        }
        if nft::table_uses(self.view.socket, &self.view.table)? == Some(self.chains) {
            self.batch.del_empty_table(&self.view.table);
        }
        Ok(())
    }
}
