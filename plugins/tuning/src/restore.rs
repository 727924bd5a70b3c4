//! Putting back what ADD changed, for DEL and GC.

use std::path::{Path, PathBuf};

use attach::error::{no_netns, refused};
use attach::host::identity;
use cni::{Call, Error, code};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::Key;
use types::Attachment;

use crate::apply::write;
use crate::attributes::Attributes;
use crate::backup::Backup;
use crate::config::data_dir_for_del;
use crate::record::{Record, Saved, Store};
use crate::sysctl::is_same_value;

/// All that is left of one attachment's ADD outside of the container.
pub(crate) struct Traces<'a> {
    key: &'a Attachment,
    record: Option<Record>,
    backups: Vec<Backup>,
    store: &'a Store,
}

impl<'a> Traces<'a> {
    /// Those that DEL finds: by the key, whoever made the attachment.
    pub(crate) fn of(call: &'a Call, store: &'a Store) -> Self {
        let key = &call.attachment;
        let usual = Backup::of(key, &data_dir_for_del(&call.config));
        let mut traces = Self { key, record: store.read(key), backups: vec![usual], store };
        // The configuration may have changed since.
        traces.backups.extend(traces.recorded_backup().filter(|b| !traces.backups.contains(b)));
        traces
    }

    /// Those that GC finds: what a record proves to be of its network.
    pub(crate) fn of_record(record: &'a Record, store: &'a Store) -> Self {
        let mut traces =
            Self { key: &record.key, record: Some(record.clone()), backups: Vec::new(), store };
        traces.backups.extend(traces.recorded_backup());
        traces
    }

    /// Restores what the traces tell in the namespace at `netns`, where that is the one, and
    /// removes them. Whatever has become of it, the container is gone: what cannot be restored is
    /// said on standard error and keeps nobody.
    ///
    /// # Errors
    /// Code 11 when a second try may restore more, and then nothing is removed; code 5 when a file
    /// cannot be removed.
    pub(crate) fn remove(&self, netns: Option<&Path>) -> Result<(), Error> {
        let failed = self.restore(netns);
        let (passing, lasting): (Vec<_>, Vec<_>) =
            failed.into_iter().partition(|error| error.code == code::TRY_AGAIN);
        if let Some(error) = Error::joined(passing) {
            return Err(error);
        }
        for error in lasting {
            eprintln!("not restored for {}: {error}", self.key);
        }
        let not_removed = |path: &Path, e| {
            Error::new(code::IO, format!("remove {} of {}: {e}", path.display(), self.key))
        };
        let backups = self.backups.iter();
        let mut errors: Vec<Error> =
            backups.filter_map(|b| b.remove().err().map(|e| not_removed(b.path(), e))).collect();
        // Last, since GC knows of the others only by it.
        if errors.is_empty()
            && let Err(e) = self.store.remove(self.key)
        {
            errors.push(Error::new(code::IO, format!("remove record of {}: {e}", self.key)));
        }
        Error::joined(errors).map_or(Ok(()), Err)
    }

    fn recorded_backup(&self) -> Option<Backup> {
        let path: Option<PathBuf> = self.record.as_ref().and_then(|record| record.backup.clone());
        path.map(Backup::at)
    }

    /// The namespace to restore in: the one that ADD changed, unless nobody knows which that was.
    fn namespace(&self, netns: Option<&Path>) -> Option<Netns> {
        let netns = Netns::open(netns?).ok()?;
        match &self.record {
            None => Some(netns),
            Some(Record { netns_id, .. }) => {
                let is_same = identity(&netns).is_ok_and(|id| id == *netns_id);
                is_same.then_some(netns)
            }
        }
    }

    /// What could not be restored. Where there is nothing to restore, nothing is opened.
    fn restore(&self, netns: Option<&Path>) -> Vec<Error> {
        let saved = self.record.as_ref().map(|record| record.sysctls.as_slice());
        let saved = saved.unwrap_or_default();
        let attributes = self.backups.iter().map(Backup::read);
        let attributes = attributes.reduce(Attributes::or).unwrap_or_default();
        if saved.is_empty() && attributes.is_empty() {
            return Vec::new();
        }
        let Some(netns) = self.namespace(netns) else { return Vec::new() };
        if let Err(error) = netns.enter_for_good() {
            return vec![no_netns(&error)];
        }
        let mut errors = self.restore_attributes(&attributes, &netns);
        let asked_by_others = self.asked_by_others(saved);
        let own = saved.iter().rev().filter(|saved| !asked_by_others.contains(&saved.path));
        errors.extend(own.filter_map(restore_sysctl));
        errors
    }

    fn restore_attributes(&self, attributes: &Attributes, netns: &Netns) -> Vec<Error> {
        if attributes.is_empty() {
            return Vec::new();
        }
        let put_back = Socket::open(netns.path().display().to_string()).and_then(|socket| {
            // Without the interface there is nothing left to restore.
            let Some(link) = link::find(&socket, &self.key.ifname)? else { return Ok(Vec::new()) };
            let changes = attributes.changes(&link.dev).into_iter();
            Ok(changes.filter_map(|change| socket.run(&change.request()).err()).collect())
        });
        match put_back {
            Ok(refusals) => refusals.iter().map(refused).collect(),
            Err(error) => vec![refused(&error)],
        }
    }

    /// Sysctls that other attachments of the container want as they are: those of the namespace as
    /// a whole. A switch of our interface is nobody else's.
    fn asked_by_others(&self, saved: &[Saved]) -> Vec<String> {
        let is_own =
            |saved: &Saved| saved.path.split('/').any(|part| part == self.key.ifname.as_str());
        if saved.iter().all(is_own) {
            return Vec::new();
        }
        let netns_id = self.record.as_ref().map(|record| &record.netns_id);
        let others = self.store.of_container(&self.key.container).unwrap_or_default();
        let others = others
            .into_iter()
            .filter(|other| other.key != *self.key && Some(&other.netns_id) == netns_id);
        others.flat_map(|other| other.sysctls).map(|saved| saved.path).collect()
    }
}

/// Only what is still as it was made is put back: whoever changed it later knew better.
fn restore_sysctl(saved: &Saved) -> Option<Error> {
    let before = saved.before.as_ref()?;
    let key = Key::net(&saved.path)?;
    // The interface may be gone, and its switches with it.
    let present = key.read().ok()?;
    if present == *before || !is_same_value(&present, &saved.after) {
        return None;
    }
    write(&key, before).err().map(|e| Error::from_chain(code::IO, &e))
}
