//! What is there of one table: a few chains known by name, and their rules when asked for.

use std::collections::BTreeMap;

use kernel::netlink::Socket;
use kernel::nft::xt::Spec;
use kernel::nft::{self, BaseChain, Batch, FoundChain, FoundRule, Hook, Kind, Table};
use types::Family;

use super::owner;
use crate::Error;
use crate::claim::Handle;

/// One table of one family, as it was found.
pub(super) struct View<'a> {
    pub(super) socket: &'a Socket,
    pub(super) family: Family,
    pub(super) table: Table,
    chains: BTreeMap<String, FoundChain>,
}

/// A rule that was read.
pub(super) struct Line {
    rule: FoundRule,
    family: Family,
}

pub(super) const NAT: &str = "nat";
pub(super) const FILTER: &str = "filter";

/// The chains where packets enter, as iptables-nft makes them: table, name and where they are.
const BASE: [(&str, &str, BaseChain); 4] = [
    (NAT, "PREROUTING", base(Kind::Nat, Hook::Prerouting, -100)),
    (NAT, "OUTPUT", base(Kind::Nat, Hook::Output, -100)),
    (NAT, "POSTROUTING", base(Kind::Nat, Hook::Postrouting, 100)),
    (FILTER, "FORWARD", base(Kind::Filter, Hook::Forward, 0)),
];

const fn base(kind: Kind, hook: Hook, priority: i32) -> BaseChain {
    BaseChain { kind, hook, priority }
}

impl<'a> View<'a> {
    /// Looks at the chains of these names in one exchange.
    pub(super) fn of(
        socket: &'a Socket,
        family: Family,
        table: &'static str,
        names: &[&str],
    ) -> Result<Self, Error> {
        let table = Table::of_family(family, table);
        let wanted: Vec<_> = names.iter().map(|name| (&table, *name)).collect();
        let found = nft::find_chains(socket, &wanted)?;
        let chains =
            names.iter().zip(found).filter_map(|(name, one)| Some(((*name).to_owned(), one?)));
        Ok(Self { socket, family, table, chains: chains.collect() })
    }

    /// The chain, if it is there.
    pub(super) fn chain(&self, name: &str) -> Option<&FoundChain> {
        self.chains.get(name)
    }

    /// Whether the chain is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.chains.contains_key(name)
    }

    /// All rules of a chain.
    pub(super) fn lines(&self, chain: &str) -> Result<Vec<Line>, Error> {
        if !self.has(chain) {
            return Ok(Vec::new());
        }
        let rules = nft::rules(self.socket, &self.table, chain)?;
        Ok(rules.into_iter().map(|rule| Line { rule, family: self.family }).collect())
    }

    /// The rules of a chain with these handles, as far as they are there.
    pub(super) fn lines_at(&self, chain: &str, handles: &[u64]) -> Result<Vec<Line>, Error> {
        if handles.is_empty() || !self.has(chain) {
            return Ok(Vec::new());
        }
        let found = nft::find_rules(self.socket, &self.table, chain, handles)?;
        Ok(found.into_iter().flatten().map(|rule| Line { rule, family: self.family }).collect())
    }

    /// How many rules lead to a chain, which has `rules` of its own.
    pub(super) fn incoming(&self, chain: &str, rules: &[Line]) -> usize {
        let uses = self.chain(chain).map_or(0, |found| found.uses as usize);
        uses.saturating_sub(rules.len())
    }

    /// Makes the chain unless it is there.
    pub(super) fn ensure(&self, batch: &mut Batch, name: &str) -> Result<(), Error> {
        match self.chain(name) {
            Some(found) if found.is_base => {
                Err(self.unusable(name, "it is a base chain, and rules are to lead to it"))
            }
            Some(_) => Ok(()),
            None => {
                batch.add_table(&self.table, "");
                batch.create_chain(&self.table, name);
                Ok(())
            }
        }
    }

    /// Makes the base chain unless it is there. Its policy is left alone.
    pub(super) fn ensure_base(&self, batch: &mut Batch, name: &str) -> Result<(), Error> {
        let of_name = |(table, chain, _): &&(&str, &str, BaseChain)| {
            *table == self.table.name() && *chain == name
        };
        let Some((.., base)) = BASE.iter().find(of_name) else { return Ok(()) };
        let Some(found) = self.chain(name) else {
            batch.add_table(&self.table, "");
            batch.create_base_chain(&self.table, name, *base);
            return Ok(());
        };
        let kind = match base.kind {
            Kind::Filter => "filter",
            Kind::Nat => "nat",
        };
        if found.hook == Some(base.hook) && found.kind == kind {
            Ok(())
        } else {
            Err(self
                .unusable(name, "it is no base chain of the type and hook that iptables gives it"))
        }
    }

    /// The rules of a chain that `stored` tells, or all where one of `specs` is not among them.
    pub(super) fn lines_for(
        &self,
        chain: &str,
        stored: &[Handle],
        specs: &[Spec],
    ) -> Result<Vec<Line>, Error> {
        let handles = owner::handles_in(stored, self.family, self.table.name(), chain);
        let known = self.lines_at(chain, &handles)?;
        match specs.iter().all(|spec| contains(&known, spec)) {
            true => Ok(known),
            false => self.lines(chain),
        }
    }

    /// Says which of `specs` is missing in a chain, looking at the rules of `stored` first.
    pub(super) fn demand(
        &self,
        chain: &str,
        stored: &[Handle],
        specs: &[Spec],
    ) -> Result<(), Error> {
        let lines = self.lines_for(chain, stored, specs)?;
        let Some(spec) = specs.iter().find(|spec| !contains(&lines, spec)) else { return Ok(()) };
        Err(Error::Differs(format!("no rule `{spec}` in chain {} {chain}", self.table)))
    }

    /// A chain that has the name, but not the nature of the reference's.
    pub(super) fn unusable(&self, chain: &str, why: &'static str) -> Error {
        Error::Chain { chain: format!("{} {chain}", self.table).into(), why }
    }
}

impl Line {
    /// What deletes it.
    pub(super) fn handle(&self) -> u64 {
        self.rule.handle
    }

    /// The chain that it leads to.
    pub(super) fn target(&self) -> Option<&str> {
        self.rule.target.as_deref()
    }

    /// The rule as iptables would show it, where it can. Read anew each time: of the many rules of
    /// a chain few are asked.
    pub(super) fn spec(&self) -> Option<Spec> {
        Spec::of(&self.rule, self.family)
    }

    /// Whether it is this rule.
    pub(super) fn is(&self, spec: &Spec) -> bool {
        self.target() == spec.jump() && self.spec().as_ref() == Some(spec)
    }

    /// Whether it leads to this chain.
    pub(super) fn leads_to(&self, chain: &str) -> bool {
        self.target() == Some(chain)
    }
}

/// Whether one of `lines` is this rule.
pub(super) fn contains(lines: &[Line], spec: &Spec) -> bool {
    lines.iter().any(|line| line.is(spec))
}
