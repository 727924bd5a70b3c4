//! Which attachments of a network are still valid, as GC has to know.

use std::path::Path;

use cni::record::{Record, Records, boot_id};
use cni::{Error, GcAttachment, NetworkCall, code};
use types::Attachment;

/// What a call of GC says, beside what is recorded.
#[derive(Debug)]
pub struct Validity {
    /// The attachments that are valid; `None` where the caller gave no list.
    pub valid: Option<Vec<GcAttachment>>,
    records: Records,
    recorded: Vec<Record>,
    /// Keys of records that killed calls began to write.
    unfinished: Vec<Attachment>,
    boot: String,
}

impl Validity {
    /// What `call` says of its network, whose records are below `run_dir`.
    ///
    /// # Errors
    /// Codes 5, 6 and 7 when the list or the records cannot be read.
    pub fn of(call: &NetworkCall, run_dir: &Path) -> Result<Self, Error> {
        let network = call.config.name();
        let valid = call.config.valid_attachments()?;
        let records = Records::under(run_dir);
        let unreadable =
            |e| Error::new(code::IO, format!("list records of network {network}: {e}"));
        let recorded = records.of_network(network).map_err(unreadable)?;
        // Of these nothing proves that they are dead, beside the list.
        let unfinished = match &valid {
            Some(_) => records.unfinished(network).map_err(unreadable)?,
            None => Vec::new(),
        };
        let boot =
            boot_id().map_err(|e| Error::new(code::IO, format!("read the boot's id: {e}")))?;
        Ok(Self { valid, records, recorded, unfinished, boot })
    }

    /// Whether `key` is valid no more: not in the list, or, without one, proven dead.
    #[must_use]
    pub fn is_dead(&self, key: &Attachment) -> bool {
        match &self.valid {
            Some(valid) => !valid.iter().any(|entry| entry.covers(key)),
            None => {
                self.recorded.iter().any(|record| record.key == *key && record.is_dead(&self.boot))
            }
        }
    }

    /// Records of the attachments that are valid no more.
    pub fn dead(&self) -> impl Iterator<Item = &Record> {
        self.recorded.iter().filter(|record| self.is_dead(&record.key))
    }

    /// Whether the namespace that `record` tells of is still there.
    #[must_use]
    pub fn has_namespace(&self, record: &Record) -> bool {
        !record.is_dead(&self.boot)
    }

    /// Removes the records of all that is valid no more, when nothing else of them is left.
    #[must_use]
    pub fn remove_records(&self) -> Vec<Error> {
        let unfinished = self.unfinished.iter().filter(|key| self.is_dead(key));
        let keys = self.dead().map(|record| &record.key).chain(unfinished);
        let remove = |key: &Attachment| {
            let failed = |e| Error::new(code::IO, format!("remove record of {key}: {e}"));
            self.records.remove(key).map_err(failed).err()
        };
        keys.filter_map(remove).collect()
    }
}
