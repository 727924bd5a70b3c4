//! Tables of a later version, of which only the promise is known: where slots lie, what they look
//! like, and that a set dirty byte has everything else rebuilt from them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::table::header::{DIRTY_AT, LAYOUT, SIZE};
use crate::table::slot::{self, Record, State};
use crate::table::{scan, slot_at, write};

/// A table whose layout is newer than ours. Leases can be released, none can be taken.
pub(crate) struct Foreign {
    file: File,
    path: PathBuf,
    layout: u32,
}

impl Foreign {
    /// The table in `file`, whose lock the caller holds.
    pub(crate) fn new(file: File, path: &Path, layout: u32) -> Self {
        Self { file, path: path.to_owned(), layout }
    }

    /// Why no address is taken from this table.
    pub(crate) fn refusal(&self) -> StoreError {
        StoreError::NewerLayout { path: self.path.clone(), found: self.layout, known: LAYOUT }
    }

    /// All addresses that are held.
    pub(crate) fn leases(&self) -> Result<Vec<(u32, Record)>, StoreError> {
        let length = self
            .file
            .metadata()
            .map_err(|source| StoreError::io("look at", &self.path, source))?
            .len();
        let mut leases = Vec::new();
        let slots = length.saturating_sub(SIZE as u64) / slot::SIZE as u64;
        scan(&self.file, &self.path, slots, |slot, record| {
            if record.state == State::Held {
                leases.push((slot, record));
            }
        })?;
        Ok(leases)
    }

    /// Frees the address in `slot`, which `record` describes, at `now` (nanoseconds since 1970).
    pub(crate) fn release(&self, slot: u32, record: &Record, now: i64) -> Result<(), StoreError> {
        // First the byte: slots and indexes disagree from here on.
        write(&self.file, &self.path, &[1], DIRTY_AT)?;
        let mut freed = record.clone();
        freed.state = State::Freed;
        freed.since = now;
        freed.sequence = record.sequence.saturating_add(1);
        write(&self.file, &self.path, &freed.encode(slot), slot_at(slot))
    }
}
