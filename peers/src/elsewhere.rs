//! What the daemon of overlay networks tells the daemon of names: what containers of another host are
//! called, one file for each host and network.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Cidr, NetworkName};

use crate::error::{Error, parse};
use crate::file::{read, remove, short, write_whole};
use crate::ids::HostId;

/// What containers of another host are called on a network. It lives in the run directory, and is
/// what this host knew last when the store cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    v: u32,
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkName,
    /// The host.
    #[serde(with = "crate::text")]
    pub host: HostId,
    /// Whether the host has been heard of lately.
    pub present: bool,
    /// Its blocks of addresses.
    #[serde(with = "crate::text::list")]
    pub blocks: Vec<Cidr>,
    /// Its containers, by what tells them apart.
    pub endpoints: BTreeMap<String, Called>,
}

/// What one container of another host is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Its names; the first is what its addresses are called.
    pub names: Vec<String>,
    /// Its addresses.
    #[serde(with = "crate::text::list")]
    pub ips: Vec<IpAddr>,
}

impl Elsewhere {
    /// A host without containers, heard of lately.
    #[must_use]
    pub fn new(network: NetworkName, host: HostId) -> Self {
        let (blocks, endpoints) = (Vec::new(), BTreeMap::new());
        Self { v: crate::LAYOUT, network, host, present: true, blocks, endpoints }
    }

    /// The directory of all files below `run_dir`, one directory in it for each network.
    #[must_use]
    pub fn directory(run_dir: &Path) -> PathBuf {
        run_dir.join("overlay/names")
    }

    /// The file of one host.
    #[must_use]
    pub fn path(run_dir: &Path, network: &NetworkName, host: &HostId) -> PathBuf {
        Self::directory(run_dir).join(&*short(network.as_str())).join(host.as_str())
    }

    /// Writes it, whole or not at all; removes it where there is no container.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, run_dir: &Path) -> Result<(), Error> {
        let path = Self::path(run_dir, &self.network, &self.host);
        if !self.endpoints.is_empty() {
            return write_whole(&path, &self.encode());
        }
        remove(path)
    }

    /// Reads that of one host; one without containers where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(run_dir: &Path, network: &NetworkName, host: &HostId) -> Result<Self, Error> {
        let Some(bytes) = read(&Self::path(run_dir, network, host))? else {
            return Ok(Self::new(network.clone(), host.clone()));
        };
        let file = Self::parse(&bytes)?;
        match file.network == *network && file.host == *host {
            true => Ok(file),
            false => {
                let about = format!("it is about host {} of {}", file.host, file.network);
                Err(Error::Invalid(about))
            }
        }
    }

    /// All files, and what is wrong with those that cannot be read. What is being written is left out.
    #[must_use]
    pub fn all(run_dir: &Path) -> (Vec<Self>, Vec<String>) {
        let (mut all, mut broken) = (Vec::new(), Vec::new());
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let is_whole = |path: &PathBuf| {
            path.file_name().is_some_and(|n| !n.as_encoded_bytes().starts_with(b"."))
        };
        for network in entries(&Self::directory(run_dir)) {
            let paths = entries(&network.path()).map(|entry| entry.path());
            for path in paths.filter(is_whole) {
                match fs::read(&path).map(|bytes| Self::parse(&bytes)) {
                    Ok(Ok(file)) => all.push(file),
                    Ok(Err(why)) => broken.push(format!("read {}: {why}", path.display())),
                    // It has gone meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => broken.push(format!("read {}: {error}", path.display())),
                }
            }
        }
        (all, broken)
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("it has text keys and no failing parts")
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parse(bytes)
    }

    /// The same in parts of about `most` bytes, one at least; no container is in two of them.
    #[must_use]
    pub fn parts(self, most: usize) -> Vec<Self> {
        let Self { endpoints, .. } = self;
        let bare = Self { endpoints: BTreeMap::new(), ..self };
        let mut parts = vec![bare.clone()];
        let mut bytes = 0;
        for (id, called) in endpoints {
            // Quotes and commas besides, and the longest address.
            let names: usize = called.names.iter().map(|name| name.len() + 3).sum();
            let size = id.len() + names + called.ips.len() * 48 + 32;
            if bytes + size > most && bytes > 0 {
                parts.push(bare.clone());
                bytes = 0;
            }
            bytes += size;
            parts.last_mut().expect("there is one").endpoints.insert(id, called);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(count: usize) -> Elsewhere {
        let mut host = Elsewhere::new("blue".parse().unwrap(), "7f3c".parse().unwrap());
        host.blocks = vec!["10.77.4.0/24".parse().unwrap()];
        for number in 0..count {
            let names = vec![format!("web{number}"), "www".to_owned()];
            let ips = vec!["10.77.4.5".parse().unwrap(), "fd77::5".parse().unwrap()];
            host.endpoints.insert(format!("c{number}@eth0"), Called { names, ips });
        }
        host
    }

    #[test]
    fn what_is_written_is_read_as_the_same_until_nobody_is_there() {
        let dir = std::env::temp_dir().join(format!("cais-elsewhere-{}", std::process::id()));
        let whole = host(2);
        let read = || Elsewhere::read(&dir, &whole.network, &whole.host);
        assert_eq!(Elsewhere::all(&dir), (vec![], vec![]));
        whole.write(&dir).unwrap();
        assert_eq!(read().unwrap(), whole);
        let path = Elsewhere::path(&dir, &whole.network, &whole.host);
        fs::write(path.with_file_name(".x.1.new"), "{").unwrap();
        fs::write(path.with_file_name("torn"), "{").unwrap();
        let (all, broken) = Elsewhere::all(&dir);
        assert_eq!(all, std::slice::from_ref(&whole));
        assert!(broken.len() == 1 && broken[0].contains("/torn: "), "{broken:?}");
        host(0).write(&dir).unwrap();
        host(0).write(&dir).unwrap();
        let nobody = Elsewhere::new(whole.network.clone(), whole.host.clone());
        assert_eq!(read().unwrap(), nobody);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn parts_are_no_longer_than_wished_for_and_make_the_whole() {
        let whole = host(1000);
        let parts = whole.clone().parts(4096);
        assert!(parts.len() > 10 && parts.iter().all(|part| part.encode().len() < 4300));
        let mut again = host(0);
        parts.into_iter().for_each(|part| again.endpoints.extend(part.endpoints));
        assert_eq!(again, whole);
        assert_eq!(host(0).parts(4096), [host(0)]);
    }
}
