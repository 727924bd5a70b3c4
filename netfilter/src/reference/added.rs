use kernel::nft::xt::Spec;
use kernel::nft::{Batch, Handles, Ticket};

use super::matching::nfproto;
use super::view::View;
use crate::claim::Handle;

/// Rules of one attachment, to be remembered once the batch is carried out.
#[derive(Clone, Debug, Default)]
#[must_use = "without the handles, removing the rules means to read whole chains"]
pub struct Added {
    pending: Vec<(Ticket, Handle)>,
    /// Rules that were there already.
    known: Vec<Handle>,
}

/// Of one attachment no more handles are asked for: the kernel answers all at once, and its answers
/// have to fit the socket. Rules without a handle are found by reading their chain.
const MOST_ASKED: usize = 32;

impl Added {
    /// The rules that an earlier one told, all of which are there.
    pub(crate) fn keeping(stored: &[Handle]) -> Self {
        Self { pending: Vec::new(), known: stored.to_vec() }
    }

    /// Where the rules are, after the batch was carried out with
    /// [`Batch::commit_with_handles`].
    #[must_use]
    pub fn handles(&self, found: &Handles) -> Vec<Handle> {
        let new = self.pending.iter().filter_map(|(ticket, place)| {
            found.get(*ticket).map(|number| Handle { number, ..place.clone() })
        });
        self.known.iter().cloned().chain(new).collect()
    }

    /// Takes over those of another part of the same batch.
    pub fn extend(&mut self, other: Self) {
        self.pending.extend(other.pending);
        self.known.extend(other.known);
    }

    /// Appends a rule to a chain, with a handle unless there are many.
    pub(super) fn append(&mut self, batch: &mut Batch, view: &View<'_>, chain: &str, spec: &Spec) {
        let rule = spec.rule(view.family);
        if self.pending.len() == MOST_ASKED {
            batch.add_rule(&view.table, chain, &rule);
            return;
        }
        let ticket = batch.add_rule_with_handle(&view.table, chain, &rule);
        self.pending.push((ticket, place(view, chain, 0)));
    }

    /// Keeps a rule that is there.
    pub(super) fn keep(&mut self, view: &View<'_>, chain: &str, number: u64) {
        self.known.push(place(view, chain, number));
    }
}

fn place(view: &View<'_>, chain: &str, number: u64) -> Handle {
    Handle {
        family: nfproto(view.family),
        table: view.table.name().to_owned(),
        chain: chain.to_owned(),
        number,
    }
}
