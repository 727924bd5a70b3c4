//! Records of all attachments that have names, one small file each below `dns` in the run directory.
//! They are the truth; the daemon reads them when it starts.

use std::io;
use std::path::{Path, PathBuf};

use cni::keyed::{self, Keyed};
use cni::{Error, code};
use types::{Attachment, ContainerId, NetworkName};

use crate::record::Record;

/// The directory of all records, which is also the lock of those who start the daemon.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    files: Keyed,
}

impl Store {
    /// Records below `run_dir`, which is `/run/cais` but in tests and labs.
    #[must_use]
    pub fn under(run_dir: &Path) -> Self {
        let dir = run_dir.join("dns");
        Self { files: Keyed::below(dir.clone()), dir }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes `record`, whole or not at all.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn write(&self, record: &Record) -> Result<(), Error> {
        let written = self.files.write(&record.key, record.encode().as_bytes());
        written.map_err(|error| failed("write", &record.key, &error))
    }

    /// Removes the record of `key`, and what a killed call left of one; none there is success.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn remove(&self, key: &Attachment) -> Result<(), Error> {
        self.files.remove(key).map_err(|error| failed("remove", key, &error))
    }

    /// The record of `key`; a torn one counts as none.
    #[must_use]
    pub fn read(&self, key: &Attachment) -> Option<Record> {
        Record::parse(&self.files.read(key)?).ok().filter(|record| record.key == *key)
    }

    /// All records of `network`, in no order. Torn ones are left out.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn of_network(&self, network: &NetworkName) -> Result<Vec<Record>, Error> {
        let texts = self.files.of_network(network).map_err(|error| self.unlistable(&error))?;
        let records = texts.iter().filter_map(|text| Record::parse(text).ok());
        Ok(records.filter(|record| record.key.network == *network).collect())
    }

    /// All records of `container`, on whatever network, in no order. Torn ones are left out.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn of_container(&self, container: &ContainerId) -> Result<Vec<Record>, Error> {
        let texts = self.files.of_container(container).map_err(|error| self.unlistable(&error))?;
        let records = texts.iter().filter_map(|text| Record::parse(text).ok());
        Ok(records.filter(|record| record.key.container == *container).collect())
    }

    /// Keys of records of `network` that killed calls began to write.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn unfinished(&self, network: &NetworkName) -> Result<Vec<Attachment>, Error> {
        self.files.unfinished(network).map_err(|error| self.unlistable(&error))
    }

    /// All records, and what is wrong with files that are none.
    ///
    /// # Errors
    /// Code 5 with what the file system said.
    pub fn all(&self) -> Result<(Vec<Record>, Vec<Error>), Error> {
        let (mut records, mut broken) = (Vec::new(), Vec::new());
        for network in keyed::entries(&self.dir).map_err(|error| self.unlistable(&error))? {
            // Whatever is no directory is not ours.
            for path in keyed::entries(&network).unwrap_or_default() {
                let read = std::fs::read(&path).map_err(|error| {
                    Error::new(code::IO, format!("read {}: {error}", path.display()))
                });
                match read.and_then(|text| Record::parse(&text)) {
                    Ok(record) => records.push(record),
                    Err(_) if is_unfinished(&path) => {}
                    Err(error) => broken.push(error.in_step(format!("read {}", path.display()))),
                }
            }
        }
        Ok((records, broken))
    }

    fn unlistable(&self, error: &io::Error) -> Error {
        Error::new(code::IO, format!("list {}: {error}", self.dir.display()))
    }
}

/// A call is writing it, or was killed.
fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn failed(verb: &str, key: &Attachment, error: &io::Error) -> Error {
    Error::new(code::IO, format!("{verb} the names of {key}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::tests::record;

    #[test]
    fn records_are_found_by_key_network_and_container_and_broken_ones_are_told() {
        let dir = std::env::temp_dir().join(format!("cais-names-store-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let store = Store::under(&dir);
        assert_eq!(store.all().unwrap(), (vec![], vec![]));
        let (a, b) = (record("web", "c1"), record("lan", "c1"));
        store.write(&a).unwrap();
        store.write(&b).unwrap();
        assert_eq!(store.read(&a.key), Some(a.clone()));
        assert_eq!(store.of_network(&a.key.network).unwrap(), std::slice::from_ref(&a));
        assert_eq!(store.of_container(&a.key.container).unwrap().len(), 2);
        fs::write(store.path().join("lan/c1@eth0"), "{").unwrap();
        fs::write(store.path().join("lan/.c2@eth0.new"), "{").unwrap();
        let (records, broken) = store.all().unwrap();
        assert_eq!(records, std::slice::from_ref(&a));
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].msg.contains("lan/c1@eth0"), "{}", broken[0]);
        store.remove(&a.key).unwrap();
        store.remove(&a.key).unwrap();
        assert_eq!(store.read(&a.key), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
