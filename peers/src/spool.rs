//! What the plugin tells the daemon of a container: one file for each attachment.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Attachment, ContainerId, IfName, NetworkName};

use crate::error::{Error, check_layout, invalid};
use crate::node::{short, write_whole};

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
        let (container, ifname) = (self.container.clone(), self.ifname.clone());
        let key = Attachment { network: network.clone(), container, ifname };
        let text = serde_json::to_string(self).expect("it has text keys and no failing parts");
        write_whole(&Self::path(run_dir, &key), &text)
    }

    /// Removes the one of `key`; none there is success.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(run_dir: &Path, key: &Attachment) -> Result<(), Error> {
        let path = Self::path(run_dir, key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { verb: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        check_layout(bytes)?;
        serde_json::from_slice(bytes).map_err(|why| invalid(&why))
    }

    /// All records of `network`. Torn ones, and what is being written, are left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(run_dir: &Path, network: &NetworkName) -> Result<Vec<Self>, Error> {
        let path = Self::directory(run_dir, network);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::File { verb: "list", path, source }),
        };
        let texts = entries.flatten().filter_map(|entry| fs::read(entry.path()).ok());
        Ok(texts.filter_map(|text| Self::parse(&text).ok()).collect())
    }
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
        assert_eq!(SpoolRecord::all(&dir, &network).unwrap(), []);
        record.write(&dir, &network).unwrap();
        let torn = SpoolRecord::directory(&dir, &network).join("c2@eth0");
        fs::write(&torn, "{\"v\":1,").unwrap();
        assert_eq!(SpoolRecord::all(&dir, &network).unwrap(), [record]);
        let key = Attachment { network: network.clone(), container, ifname };
        SpoolRecord::remove(&dir, &key).unwrap();
        SpoolRecord::remove(&dir, &key).unwrap();
        assert_eq!(SpoolRecord::all(&dir, &network).unwrap(), []);
        fs::remove_dir_all(dir).unwrap();
    }
}
