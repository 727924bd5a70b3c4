//! Writing the tables again from what is remembered, in one transaction.

use kernel::nft::{self, Batch, Element, Set, Table};

use crate::claim::Claim;
use crate::conditional;
use crate::elements::{self, Wanted};
use crate::error::Error;
use crate::filter::Filter;
use crate::layout::{self, BRIDGE, INET, LAYOUT_NUMBER};
use crate::store::Locked;

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
