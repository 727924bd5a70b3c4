//! Writing the tables again from what is remembered, in one transaction.

use kernel::nft::{self, Batch, Element, Missing, Set, Table};

use crate::claim::{Claim, Claimant};
use crate::conditional;
use crate::elements::{self, Wanted};
use crate::error::Error;
use crate::filter::Filter;
use crate::kind::{self, Gone, Kind};
use crate::layout::{self, BRIDGE, INET, LAYOUT_BEFORE, LAYOUT_NUMBER};
use crate::localnet;
use crate::passing;
use crate::resolvers;
use crate::store::Locked;

impl Filter {
    /// Writes all that living attachments want again, in one transaction: someone flushed the
    /// ruleset. The reference's chains follow. Returns the claims that hold now.
    ///
    /// # Errors
    /// [`Error::Layout`], and what went wrong.
    pub fn reload(&self) -> Result<Vec<Claim>, Error> {
        let locked = self.store().lock()?;
        let mut claims = with_all(self, &locked)?;
        self.write_missing_chains(&locked, kind::of, &mut claims)?;
        claims.iter().try_for_each(|claim| kind::of(claim.claimant).add_legacy(claim))?;
        resolvers::admit(self, &claims)?;
        passing::pass(&self.socket, &claims)?;
        for link in claims.iter().filter_map(Claim::opened_link) {
            if localnet::is_closed(link) {
                localnet::open(link)?;
            }
        }
        Ok(claims)
    }

    /// Writes what claims want of the reference's chains, apart from our tables, where something of
    /// it is missing: someone flushed them, or loaded them as they once were.
    pub(crate) fn write_missing_chains(
        &self,
        locked: &Locked,
        kind: impl Fn(Claimant) -> &'static dyn Kind,
        claims: &mut [Claim],
    ) -> Result<(), Error> {
        let mut missing: Vec<&mut Claim> = Vec::new();
        for claim in claims.iter_mut().filter(|claim| claim.has_chains()) {
            let kind = kind(claim.claimant);
            if kind.is_complete(&self.socket, claim)? {
                continue;
            }
            let forward = claim.forward.as_ref();
            let gone = Gone {
                key: &claim.key,
                claim: Some(claim),
                addresses: forward.map_or(&[], |forward| &forward.addresses),
                shared: &[],
                was_last_of_kind: false,
                others_publish: true,
            };
            let mut batch = Batch::new();
            kind.remove(&self.socket, &mut batch, &gone)?;
            batch.commit_skipping_missing(&self.socket)?;
            missing.push(claim);
        }
        let mut rest = missing.into_iter();
        // The first makes what all share; after it many go together.
        while let Some(first) = rest.next() {
            self.write_chains(locked, &kind, &mut [first])?;
            let (mut many, mut rules): (Vec<&mut Claim>, usize) = (Vec::new(), 0);
            while rules < TOGETHER
                && let Some(claim) = rest.next()
            {
                rules += rules_of(claim);
                many.push(claim);
            }
            if self.write_chains(locked, &kind, &mut many).is_err() {
                for claim in &mut many {
                    self.write_chains(locked, &kind, std::slice::from_mut(claim))?;
                }
            }
        }
        Ok(())
    }

    /// Writes what claims want of the reference's chains in one batch. It is refused as a whole where
    /// two of them share a chain that is missing.
    fn write_chains(
        &self,
        locked: &Locked,
        kind: &impl Fn(Claimant) -> &'static dyn Kind,
        claims: &mut [&mut Claim],
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        let mut added = Vec::with_capacity(claims.len());
        for claim in claims.iter() {
            added.push(kind(claim.claimant).add(&self.socket, &mut batch, claim, None)?);
        }
        let handles = batch.commit_with_handles(&self.socket, Missing::Skip)?;
        for (claim, added) in claims.iter_mut().zip(added) {
            claim.handles = added.handles(&handles);
            locked.write(claim)?;
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
            // theirs: it is completed. What else has our name is not ours.
            // It is completed, so that rules of users stay.
            Some(found) if found == LAYOUT_BEFORE.0 => batch.del_set(table, LAYOUT_BEFORE.1),
            Some(found) if found < LAYOUT_NUMBER && !is_users(filter, table, found)? => {
                batch.del_table(table);
            }
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

/// Whether a table holds the chain of users and nothing else.
fn is_users(filter: &Filter, table: &Table, layout: u32) -> Result<bool, Error> {
    let chains = nft::chains(&filter.socket, table)?;
    Ok(layout == 0 && chains.iter().all(|chain| chain.name == layout::USER_CHAIN))
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

/// Rules of the reference's chains that are written in one batch: what the kernel answers must fit
/// a socket of a user who is not root.
const TOGETHER: usize = 400;

/// About how many rules a claim has there: three for each port, and a few for its address.
fn rules_of(claim: &Claim) -> usize {
    let mappings = claim.ports.iter().flat_map(|ports| &ports.publication.mappings);
    mappings.map(|mapping| 3 * usize::from(mapping.count)).sum::<usize>() + 4
}
