//! Writing the tables again from what is remembered, in one transaction.

use kernel::nft::{Batch, Element, Missing, Set, Table};

use crate::chains::{self, Gone};
use crate::claim::Claim;
use crate::elements::{self, Wanted};
use crate::error::Error;
use crate::filter::{Filter, remember_rules};
use crate::layout::{self, BRIDGE, INET, LAYOUT_NUMBER};
use crate::store::Locked;
use crate::{conditional, leftovers};

impl Filter {
    /// Writes all that living attachments want again, in one transaction: someone flushed the
    /// ruleset. The reference's chains follow. Returns the claims that hold now.
    ///
    /// # Errors
    /// [`Error::Layout`], and what went wrong.
    pub fn reload(&self) -> Result<Vec<Claim>, Error> {
        let locked = self.store().lock()?;
        let mut claims = with_all(self, &locked)?;
        self.write_chains(&locked, &mut claims)?;
        claims.iter().try_for_each(leftovers::write)?;
        Ok(claims)
    }

    /// Writes what claims want of the reference's chains, apart from our tables, where something of
    /// it is missing: someone flushed them, or loaded them as they once were.
    pub(crate) fn write_chains(&self, locked: &Locked, claims: &mut [Claim]) -> Result<(), Error> {
        for claim in claims {
            match chains::check(&self.socket, claim) {
                Ok(()) => continue,
                Err(Error::Differs(_)) => {}
                Err(error) => return Err(error),
            }
            let forward = claim.forward.as_ref();
            let gone = Gone {
                key: &claim.key,
                claimant: claim.claimant,
                claim: Some(claim),
                addresses: forward.map_or(&[], |forward| &forward.addresses),
                shared: &[],
                was_last_of_kind: false,
            };
            let mut batch = Batch::new();
            chains::remove(&self.socket, &mut batch, &gone)?;
            batch.commit_skipping_missing(&self.socket)?;
            let mut batch = Batch::new();
            let added = chains::add(&self.socket, &mut batch, claim, None)?;
            let handles = batch.commit_with_handles(&self.socket, Missing::Skip)?;
            claim.handles.clear();
            remember_rules(locked, claim, added.handles(&handles))?;
        }
        Ok(())
    }
}

/// Makes both tables hold what living attachments want, and nothing else. Returns the claims that
/// hold now.
pub(crate) fn with_all(filter: &Filter, locked: &Locked) -> Result<Vec<Claim>, Error> {
    let mut claims = locked.store().all()?;
    claims.retain(|claim| !filter.is_dead(claim));
    let mut wanted: Vec<Wanted> = Vec::new();
    for claim in &claims {
        let elements = elements::of(claim);
        wanted.extend(elements.own.into_iter().chain(elements.shared));
    }
    wanted.sort_by(|a, b| a.place().cmp(&b.place()));
    wanted.dedup_by(|later, earlier| earlier.is_at(later) || earlier.overlaps(later));
    let mut batch = Batch::new();
    for table in [&INET, &BRIDGE] {
        let found = filter.layout_of(table)?;
        match found {
            Some(found) if found > LAYOUT_NUMBER => {
                let (table, ours) = (table.to_string(), LAYOUT_NUMBER);
                return Err(Error::Layout { table, found, ours });
            }
            // Of no layout at all is one that an administrator made, for rules in the chain that is
            // theirs: it is completed.
            Some(found) if (1..LAYOUT_NUMBER).contains(&found) => batch.del_table(table),
            _ => {}
        }
        let of_table: Vec<&Wanted> = wanted.iter().filter(|w| w.table == table).collect();
        if found.is_some() || !of_table.is_empty() {
            layout::reset(&mut batch, table);
            add_all(&mut batch, table, &of_table);
        }
    }
    for claim in &claims {
        conditional::add(&mut batch, claim);
    }
    batch.commit(&filter.socket)?;
    Ok(claims)
}

/// Elements of one set go together.
fn add_all(batch: &mut Batch, table: &Table, wanted: &[&Wanted]) {
    let mut sets: Vec<&'static Set> = Vec::new();
    for one in wanted {
        if !sets.contains(&one.set) {
            sets.push(one.set);
        }
    }
    for set in sets {
        let elements: Vec<Element> = wanted
            .iter()
            .filter(|wanted| wanted.set == set)
            .map(|wanted| wanted.element.clone())
            .collect();
        batch.add_elements(table, set, &elements);
    }
}
