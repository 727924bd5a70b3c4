//! What the plugin tells the daemon of a container: one file for each attachment.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Attachment, ContainerId, IfName, NetworkName};

use crate::error::{Error, parse};
use crate::file::{is_being_written, remove, short, write_whole};

/// A container on a network of this host, with its names and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolRecord {
    v: u32,
    /// The container.
    #[serde(rename = "containerID", with = "crate::text")]
    pub container: ContainerId,
    /// Its interface.
    #[serde(with = "crate::text")]
    pub ifname: IfName,
    /// What it is called.
    pub names: Vec<String>,
    /// Its addresses.
    #[serde(with = "crate::text::list")]
    pub ips: Vec<IpAddr>,
}

impl SpoolRecord {
    /// A record of a container.
    #[must_use]
    pub fn new(
        container: ContainerId,
        ifname: IfName,
        names: Vec<String>,
        ips: Vec<IpAddr>,
    ) -> Self {
        Self { v: crate::LAYOUT, container, ifname, names, ips }
    }

    /// Whose it is.
    #[must_use]
    pub fn key(&self, network: &NetworkName) -> Attachment {
        let (container, ifname) = (self.container.clone(), self.ifname.clone());
        Attachment { network: network.clone(), container, ifname }
    }

    /// The directory of all records of `network` below `run_dir`.
    #[must_use]
    pub fn directory(run_dir: &Path, network: &NetworkName) -> PathBuf {
        run_dir.join("overlay/ep").join(&*short(network.as_str()))
    }

    /// The file of `key`.
    #[must_use]
    pub fn path(run_dir: &Path, key: &Attachment) -> PathBuf {
        // Neither an id nor a link's name holds an `@`.
        let name = format!("{}@{}", short(key.container.as_str()), key.ifname);
        Self::directory(run_dir, &key.network).join(name)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, run_dir: &Path, network: &NetworkName) -> Result<(), Error> {
        let key = self.key(network);
        let text = serde_json::to_string(self).expect("it has text keys and no failing parts");
        write_whole(&Self::path(run_dir, &key), &text)
    }

    /// Removes the one of `key`; none there is success.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(run_dir: &Path, key: &Attachment) -> Result<(), Error> {
        remove(Self::path(run_dir, key))
    }

    /// The one of `key`; a torn one counts as none.
    #[must_use]
    pub fn read(run_dir: &Path, key: &Attachment) -> Option<Self> {
        let record = Self::parse(&fs::read(Self::path(run_dir, key)).ok()?).ok()?;
        (record.container == key.container && record.ifname == key.ifname).then_some(record)
    }

    /// Removes all of `network` but those of attachments that `stays` says yes to, and what killed
    /// calls left.
    ///
    /// # Errors
    /// When the file system refuses; all were tried.
    pub fn sweep(
        run_dir: &Path,
        network: &NetworkName,
        stays: impl Fn(&Attachment) -> bool,
    ) -> Result<(), Error> {
        let path = Self::directory(run_dir, network);
        let mut outcome = Ok(());
        for (name, record) in listed(&path)? {
            let is_kept = match record {
                Some(record) => stays(&record.key(network)),
                None => is_being_written(&name),
            };
            let path = path.join(&name);
            let removed = if is_kept { Ok(()) } else { remove(path) };
            outcome = outcome.and(removed);
        }
        outcome
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parse(bytes)
    }

    /// All records of `network` by the names of their files. Torn ones, and what is being written, are
    /// left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(run_dir: &Path, network: &NetworkName) -> Result<BTreeMap<String, Self>, Error> {
        let all = listed(&Self::directory(run_dir, network))?;
        Ok(all.into_iter().filter_map(|(name, record)| Some((name, record?))).collect())
    }
}

/// All files in a directory, with the records that can be read.
fn listed(path: &Path) -> Result<Vec<(String, Option<SpoolRecord>)>, Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::File { verb: "list", path: path.to_owned(), source }),
    };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_whole = !name.starts_with('.');
        let text = is_whole.then(|| fs::read(entry.path()).ok()).flatten();
        Some((name, text.and_then(|text| SpoolRecord::parse(&text).ok())))
    };
    Ok(entries.flatten().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_listed_and_removed() {
        let dir = std::env::temp_dir().join(format!("cais-spool-{}", std::process::id()));
        let network: NetworkName = "blue".parse().unwrap();
        let (container, ifname): (ContainerId, IfName) =
            ("c1".parse().unwrap(), "eth0".parse().unwrap());
        let record = SpoolRecord::new(
            container.clone(),
            ifname.clone(),
            vec!["web".to_owned()],
            vec!["10.77.4.5".parse().unwrap()],
        );
        assert!(SpoolRecord::all(&dir, &network).unwrap().is_empty());
        record.write(&dir, &network).unwrap();
        let torn = SpoolRecord::directory(&dir, &network).join("c2@eth0");
        fs::write(&torn, "{\"v\":1,").unwrap();
        let dead = torn.with_file_name(".c3@eth0.999999999.new");
        fs::write(&dead, "{").unwrap();
        let living = torn.with_file_name(format!(".c4@eth0.{}.new", std::process::id()));
        fs::write(&living, "{").unwrap();
        let all = SpoolRecord::all(&dir, &network).unwrap();
        assert_eq!(all, [("c1@eth0".to_owned(), record.clone())].into());
        let key = Attachment { network: network.clone(), container, ifname };
        SpoolRecord::sweep(&dir, &network, |one| *one == key).unwrap();
        assert!(!torn.exists() && !dead.exists() && living.exists());
        assert_eq!(SpoolRecord::read(&dir, &key), Some(record));
        SpoolRecord::remove(&dir, &key).unwrap();
        SpoolRecord::remove(&dir, &key).unwrap();
        assert_eq!(SpoolRecord::read(&dir, &key), None);
        assert!(SpoolRecord::all(&dir, &network).unwrap().is_empty());
        fs::remove_dir_all(dir).unwrap();
    }
}
