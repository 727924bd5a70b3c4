//! Comparing claims with what is there.

use std::collections::BTreeMap;

use kernel::nft::{self, Batch, FoundElement, Table};

use crate::claim::Claim;
use crate::elements::{self, Wanted};
use crate::error::Error;
use crate::filter::Filter;
use crate::layout::{self, BRIDGE, INET};
use crate::{conditional, localnet, resolvers};

impl Filter {
    /// Compares what `claim` wants with what is there.
    ///
    /// # Errors
    /// [`Error::Differs`] with the first difference.
    pub fn check(&self, claim: &Claim) -> Result<(), Error> {
        let wanted = elements::of(claim);
        let all: Vec<&Wanted> = wanted.own.iter().chain(&wanted.shared).collect();
        for (wanted, found) in all.iter().zip(self.find(&all)?) {
            let holds = |found: FoundElement| wanted.is(&found) || !wanted.has_key(&found);
            if !found.is_some_and(holds) {
                return Err(Error::Differs(format!("{} is missing or differs", wanted.shown())));
            }
        }
        for table in [&INET, &BRIDGE] {
            if all.iter().any(|wanted| wanted.table == table) {
                self.check_chains(table)?;
            }
        }
        if let Some(link) = claim.opened_link().filter(|link| localnet::is_closed(link)) {
            return Err(Error::Differs(format!("route_localnet of {link} is off")));
        }
        conditional::check(&self.socket, claim)?;
        resolvers::check_admitted(self, claim)?;
        self.kind.check(&self.socket, claim)
    }

    /// Says which of a table's chains lacks rules: somebody flushed it.
    fn check_chains(&self, table: &'static Table) -> Result<(), Error> {
        if self.layout_of(table)? != Some(layout::LAYOUT_NUMBER) {
            return Ok(()); // which rules another layout has is not known here
        }
        let mut whole = Batch::new();
        layout::reset(&mut whole, table);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for place in whole.places_of_rules() {
            *counts.entry(place).or_default() += 1;
        }
        for (place, count) in counts {
            let chain = place.rsplit(' ').next().unwrap_or(place);
            let found = nft::rules(&self.socket, table, chain)?.len();
            if found < count {
                let text = format!("chain {place} has {found} of its {count} rules");
                return Err(Error::Differs(text));
            }
        }
        Ok(())
    }
}
