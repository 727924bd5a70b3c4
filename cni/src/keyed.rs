//! Small files, one for each attachment, found by its key: `<directory>/<network>/<container>@<ifname>`.
//!
//! A file is replaced as a whole. A call that is killed while it writes leaves one by another name,
//! which goes with the next removal of the key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use types::{Attachment, ContainerId, NetworkName, stable_hash};

/// Longest part of a file name that is written out; the rest of 255 is for mark and temporary name.
const NAME_MAX_BYTES: usize = 200;

/// End of the name of a file that is being written.
const UNFINISHED: &str = ".new";

/// A directory of such files. What is in them is up to the caller, who puts the key into each: a
/// long name is shortened, so the name of a file does not prove whose it is.
#[derive(Clone, Debug)]
pub struct Keyed {
    dir: PathBuf,
}

impl Keyed {
    /// The files below `dir`, which need not be there.
    #[must_use]
    pub fn below(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes the file of `key` with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, key: &Attachment, text: &[u8]) -> io::Result<()> {
        replace(&self.path(key), &self.temporary(key), text, 0o700)
    }

    /// Removes the file of `key`, and what a killed call left of one; none there is success.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove(&self, key: &Attachment) -> io::Result<()> {
        remove_file(&self.temporary(key)).and(remove_file(&self.path(key)))
    }

    /// What the file of `key` holds; `None` when there is none that can be read.
    #[must_use]
    pub fn read(&self, key: &Attachment) -> Option<Vec<u8>> {
        fs::read(self.path(key)).ok()
    }

    /// What the files of `network` hold, in no order. Unreadable ones are left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn of_network(&self, network: &NetworkName) -> io::Result<Vec<Vec<u8>>> {
        contents(&self.dir.join(short(network.as_str(), NAME_MAX_BYTES)), |_| true)
    }

    /// What all files hold, in no order. Unreadable ones are left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn all(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for network in entries(&self.dir)? {
            found.extend(contents(&network, |name| !name.ends_with(UNFINISHED))?);
        }
        Ok(found)
    }

    /// What the files of `container` hold, on whatever network, in no order.
    ///
    /// # Errors
    /// Of the file system.
    pub fn of_container(&self, container: &ContainerId) -> io::Result<Vec<Vec<u8>>> {
        let start = format!("{}@", short(container.as_str(), NAME_MAX_BYTES));
        let mut found = Vec::new();
        for network in entries(&self.dir)? {
            found.extend(contents(&network, |name| name.starts_with(&start))?);
        }
        Ok(found)
    }

    /// Keys of files of `network` that killed calls began to write. One whose container id is too
    /// long for a file name is left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn unfinished(&self, network: &NetworkName) -> io::Result<Vec<Attachment>> {
        let key = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            let (container, ifname) =
                name.strip_prefix('.')?.strip_suffix(UNFINISHED)?.split_once('@')?;
            Some(Attachment {
                network: network.clone(),
                container: container.parse().ok()?,
                ifname: ifname.parse().ok()?,
            })
        };
        let entries = entries(&self.dir.join(short(network.as_str(), NAME_MAX_BYTES)))?;
        Ok(entries.iter().filter_map(key).collect())
    }

    pub(crate) fn path(&self, key: &Attachment) -> PathBuf {
        self.dir.join(short(key.network.as_str(), NAME_MAX_BYTES)).join(file_name(key))
    }

    /// Named by the key, so that whoever removes the file finds what a killed call left of it.
    pub(crate) fn temporary(&self, key: &Attachment) -> PathBuf {
        self.path(key).with_file_name(format!(".{}{UNFINISHED}", file_name(key)))
    }
}

/// `@` is in no container id, so two keys never share a name.
fn file_name(key: &Attachment) -> String {
    format!("{}@{}", short(key.container.as_str(), NAME_MAX_BYTES), key.ifname)
}

/// `text`, or what stands for it where it has more than `max_bytes`, which are at least 17: too many
/// for a file name.
#[must_use]
pub fn short(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    format!("{}#{:016x}", &text[..max_bytes - 17], stable_hash(text))
}

fn contents(dir: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Vec<u8>>> {
    let wanted =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted);
    let paths = entries(dir)?;
    Ok(paths.iter().filter(|path| wanted(path)).filter_map(|path| fs::read(path).ok()).collect())
}

/// What is in `dir`; nothing where it is not there.
///
/// # Errors
/// Of the file system.
pub fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

/// Removes a file. One that is not there is removed already, and at a path that leads nowhere (a file
/// for a directory, a loop, too long a name) nothing can be.
///
/// # Errors
/// Of the file system, about a file that is there.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if fs::symlink_metadata(path).is_ok() => Err(e),
        _ => Ok(()),
    }
}

/// Writes the file at `path` by way of `temporary` beside it, whole or not at all, with mode 0600.
/// Directories that are missing get `dir_mode`.
///
/// # Errors
/// Of the file system.
pub fn replace(path: &Path, temporary: &Path, text: &[u8], dir_mode: u32) -> io::Result<()> {
    replace_and(path, temporary, text, dir_mode, |_| Ok(()))
}

/// As [`replace`], and it is still there when the machine loses power.
///
/// # Errors
/// Of the file system.
pub fn replace_lasting(
    path: &Path,
    temporary: &Path,
    text: &[u8],
    dir_mode: u32,
) -> io::Result<()> {
    replace_and(path, temporary, text, dir_mode, File::sync_all)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn replace_and(
    path: &Path,
    temporary: &Path,
    text: &[u8],
    dir_mode: u32,
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = match create(temporary) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(dir_mode).create(dir)?;
            create(temporary)?
        }
        other => other?,
    };
    let written = file.write_all(text).and_then(|()| settle(&file));
    written.and_then(|()| fs::rename(temporary, path)).inspect_err(|_| {
        // The error at hand says more than one of tidying up after it.
        let _ = fs::remove_file(temporary);
    })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(network: &str, container: &str) -> Attachment {
        Attachment {
            network: network.parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_at_no_path_is_removed_already_and_what_is_no_file_is_not() {
        for path in ["/proc/version/below", "/nowhere/at/all", &"x".repeat(300), "a\0b", ""] {
            remove_file(Path::new(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        remove_file(&std::env::temp_dir()).unwrap_err();
    }

    #[test]
    fn a_container_is_found_on_all_its_networks_and_no_other_is() {
        let dir = std::env::temp_dir().join(format!("cais-keyed-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let files = Keyed::below(dir.clone());
        let container = "c1".parse().unwrap();
        assert_eq!(files.of_container(&container).unwrap(), [""; 0].map(Vec::from));
        for (network, container, text) in
            [("n", "c1", "one"), ("m", "c1", "two"), ("n", "c11", "other"), ("n", "c", "other")]
        {
            files.write(&key(network, container), text.as_bytes()).unwrap();
        }
        let mut found = files.of_container(&container).unwrap();
        found.sort();
        assert_eq!(found, [b"one", b"two"]);
        fs::remove_dir_all(dir).unwrap();
    }
}
