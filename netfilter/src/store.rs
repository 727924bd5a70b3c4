//! The directory of claims: `netfilter/<network>/<claimant>@<container>@<ifname>` below the run
//! directory. It is also the lock under which the tables are changed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::keyed::{entries, replace, short};
use types::{Attachment, NetworkName};

use crate::claim::{Claim, Claimant};
use crate::error::Error;
use crate::file;

/// How long another call may hold the lock; it needs it for a few milliseconds at most.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// Longest part of a file name that is written out.
const NAME_MAX_BYTES: usize = 180;

/// All claims of this host.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// The right to change claims and tables, until it is dropped.
#[derive(Debug)]
pub struct Locked {
    store: Store,
    _dir: File,
}

impl Store {
    /// Claims below `run_dir`, which is `/run/cais` but in tests and labs.
    #[must_use]
    pub fn under(run_dir: &Path) -> Self {
        Self { dir: run_dir.join("netfilter") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Waits for the right to change things.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn lock(&self) -> Result<Locked, Error> {
        let failed = |source| Error::Lock { path: self.dir.clone(), source };
        let dir = match File::open(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
                made.and_then(|()| File::open(&self.dir)).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        deadline::lock(&dir, LOCK_DEADLINE).map_err(failed)?;
        Ok(Locked { store: self.clone(), _dir: dir })
    }

    /// The claim of one plugin for `key`; a torn one counts as none.
    #[must_use]
    pub fn read(&self, key: &Attachment, claimant: Claimant) -> Option<Claim> {
        let text = fs::read_to_string(self.file(key, claimant)).ok()?;
        file::parse(&text).filter(|claim| claim.key == *key && claim.claimant == claimant)
    }

    /// Whether there is a claim of one plugin for `key`, or one that a killed call began to write.
    #[must_use]
    pub fn has(&self, key: &Attachment, claimant: Claimant) -> bool {
        let path = self.file(key, claimant);
        path.exists() || unfinished(&path).exists()
    }

    /// All claims of `network`, in no order.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn of_network(&self, network: &NetworkName) -> Result<Vec<Claim>, Error> {
        let mut claims = self.in_directory(&self.network_dir(network))?;
        claims.retain(|claim| claim.key.network == *network);
        Ok(claims)
    }

    /// All claims, in no order.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn all(&self) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        for network in self.networks()? {
            claims.extend(self.in_directory(&network)?);
        }
        Ok(claims)
    }

    /// One claim of each plugin for each network but `network`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn some_of_each_other(&self, network: &NetworkName) -> Result<Vec<Claim>, Error> {
        let own = self.network_dir(network);
        let mut claims = Vec::new();
        for dir in self.networks()?.into_iter().filter(|dir| *dir != own) {
            let mut missing = Claimant::ALL.to_vec();
            for path in entries(&dir).map_err(|e| self.failed("list", &dir, e))? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let kind = name.split('@').next().unwrap_or_default();
                let Some(place) = missing.iter().position(|one| one.name() == kind) else {
                    continue; // known, and its file need not be read
                };
                let text = fs::read_to_string(&path).unwrap_or_default();
                if let Some(claim) = file::parse(&text) {
                    missing.remove(place);
                    claims.push(claim);
                }
                if missing.is_empty() {
                    break;
                }
            }
        }
        Ok(claims)
    }

    fn in_directory(&self, dir: &Path) -> Result<Vec<Claim>, Error> {
        let names = entries(dir).map_err(|e| self.failed("list", dir, e))?;
        Ok(names
            .into_iter()
            .filter(|path| !is_unfinished(path))
            .filter_map(|path| file::parse(&fs::read_to_string(path).ok()?))
            .collect())
    }

    fn networks(&self) -> Result<Vec<PathBuf>, Error> {
        entries(&self.dir).map_err(|e| self.failed("list", &self.dir, e))
    }

    fn network_dir(&self, network: &NetworkName) -> PathBuf {
        self.dir.join(short(network.as_str(), NAME_MAX_BYTES))
    }

    fn file(&self, key: &Attachment, claimant: Claimant) -> PathBuf {
        let (container, ifname) = (short(key.container.as_str(), NAME_MAX_BYTES), &key.ifname);
        // `@` is in no container id and in no claimant's name, so two keys never share a name.
        self.network_dir(&key.network).join(format!("{}@{container}@{ifname}", claimant.name()))
    }

    fn failed(&self, verb: &'static str, path: &Path, source: io::Error) -> Error {
        Error::File { verb, path: path.to_owned(), source }
    }
}

impl Locked {
    /// The claims.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes `claim`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, claim: &Claim) -> Result<(), Error> {
        let path = self.store.file(&claim.key, claim.claimant);
        replace(&path, &unfinished(&path), file::text(claim).as_bytes(), 0o700)
            .map_err(|e| self.store.failed("write", &path, e))
    }

    /// Removes the claim of one plugin for `key`, and what a killed call left of one. None there is
    /// success.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, key: &Attachment, claimant: Claimant) -> Result<(), Error> {
        let path = self.store.file(key, claimant);
        for path in [&unfinished(&path), &path] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(self.store.failed("remove", path, e));
                }
                _ => {}
            }
        }
        // The directory goes with the last.
        let _ = fs::remove_dir(self.store.network_dir(&key.network));
        Ok(())
    }

    /// Whether the claim of one plugin for `key`, if it is there, is the only one of its network.
    #[must_use]
    pub fn is_last_of(&self, key: &Attachment, claimant: Claimant) -> bool {
        let own = self.store.file(key, claimant);
        let others = |path: PathBuf| path != own && !is_unfinished(&path);
        !first(&self.store.network_dir(&key.network), others)
    }

    /// As [`Locked::is_last_of`] for the whole host.
    #[must_use]
    pub fn is_last(&self, key: &Attachment, claimant: Claimant) -> bool {
        let network = self.store.network_dir(&key.network);
        self.is_last_of(key, claimant)
            && !first(&self.store.dir, |dir| {
                dir != network && first(&dir, |path| !is_unfinished(&path))
            })
    }

    /// As [`Locked::is_last_of`] among the claims of the same plugin.
    #[must_use]
    pub fn is_last_of_kind(&self, key: &Attachment, claimant: Claimant) -> bool {
        let own = self.store.file(key, claimant);
        let kind = format!("{}@", claimant.name());
        !first(&self.store.network_dir(&key.network), |path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&kind)) && path != own && !is_unfinished(&path)
        })
    }

    /// As [`Locked::is_last_of_kind`] for the whole host.
    #[must_use]
    pub fn is_last_of_kind_on_host(&self, key: &Attachment, claimant: Claimant) -> bool {
        let network = self.store.network_dir(&key.network);
        let kind = format!("{}@", claimant.name());
        let is_of_kind = |path: PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&kind)) && !is_unfinished(&path)
        };
        self.is_last_of_kind(key, claimant)
            && !first(&self.store.dir, |dir| dir != network && first(&dir, is_of_kind))
    }

    /// Whether no other claim may want something of the reference's chains: interface plugins and
    /// names never do.
    #[must_use]
    pub fn is_last_with_chains(&self, key: &Attachment, claimant: Claimant) -> bool {
        let own = self.store.file(key, claimant);
        !self.has_chains(|path| path != own)
    }

    /// Whether no claim at all is one that may want something of the reference's chains.
    #[must_use]
    pub fn has_none_with_chains(&self) -> bool {
        !self.has_chains(|_| true)
    }

    fn has_chains(&self, counts: impl Fn(&Path) -> bool) -> bool {
        // They never do.
        let without = [Claimant::Interface, Claimant::Names].map(|c| format!("{}@", c.name()));
        first(&self.store.dir, |dir| {
            first(&dir, |path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| !without.iter().any(|kind| name.starts_with(kind)))
                    && !is_unfinished(&path)
                    && counts(&path)
            })
        })
    }

    /// Removes what killed calls of `network` began to write.
    pub fn remove_unfinished(&self, network: &NetworkName) {
        for path in entries(&self.store.network_dir(network)).unwrap_or_default() {
            if is_unfinished(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// End of the name of a claim that is being written; no interface is called so.
const UNFINISHED: &str = "@.new";

/// Only the holder of the lock writes.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

fn is_unfinished(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(UNFINISHED))
}

/// Whether something in `dir` is such.
fn first(dir: &Path, is_such: impl Fn(PathBuf) -> bool) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| is_such(entry.path())))
    })
}
