//! A lease directory of host-local: the files that other programs read and write as well.
//!
//! | file | mode | content |
//! |---|---|---|
//! | `<ip>` | 0600 | container id, CR LF, interface; before 0.8 the id alone |
//! | `last_reserved_ip.<set>` | 0600 | the address handed out last |
//! | `lock` | 0750 | empty; flock(2) |
//!
//! Every program reads every file here, so nothing else is ever put into it.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirEntryExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::linkat;

use deadline::lock;

use crate::error::StoreError;
use crate::lease::Owner;
use crate::table::{FileMark, MAX_OWNER_BYTES, Seen, nanoseconds};

const LEASE_MODE: u32 = 0o600;
const LOCK_MODE: u32 = 0o750;
/// Between the id and the interface of a lease file.
const SEPARATOR: &str = "\r\n";
/// How often we follow a directory that is replaced while we wait for its lock.
const REPLACEMENTS: usize = 8;

/// Kernels before 6.13 stamp files with the time of the last clock tick, at worst 10 ms ago, so
/// two changes may bear the same time unless they are two ticks apart. In nanoseconds, doubled.
const TWO_TICKS: i64 = 40_000_000;
/// How far into the past we set the time of a directory: further than any tick and than the
/// coarsest file system's clock, so that no change that comes later can bear the same time.
const MARK_AGE: Duration = Duration::from_secs(10);

/// A directory whose lock we hold.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Closing it gives the lock back.
    _lock: File,
}

/// What a lease file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Missing,
    Lease(Owner),
    /// Nothing that names an owner: its writer was killed, or a power loss took the bytes.
    Torn,
}

/// An address as the directory lists it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) address: IpAddr,
    entry: DirEntry,
}

impl Directory {
    /// Locks the directory at `path`, which is made when it is missing and `create` says so;
    /// otherwise a missing one is `None`.
    pub(crate) fn open(
        path: &Path,
        deadline: Duration,
        create: bool,
    ) -> Result<Option<Self>, StoreError> {
        let lock_path = path.join("lock");
        for _ in 0..REPLACEMENTS {
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_CREAT.bits())
                .mode(LOCK_MODE)
                .open(&lock_path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !create => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(path)
                        .map_err(|source| StoreError::io("create directory", path, source))?;
                    continue;
                }
                Err(source) => return Err(StoreError::io("open", &lock_path, source)),
            };
            lock(&file, deadline).map_err(|why| locked_out(why, &lock_path, deadline))?;
            let links = file
                .metadata()
                .map_err(|source| StoreError::io("look at", &lock_path, source))?
                .nlink();
            // With no name left, the directory was removed while we waited and may be there anew.
            if links > 0 {
                return Ok(Some(Self { path: path.to_owned(), _lock: file }));
            }
        }
        Err(StoreError::Unsettled { path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's own inode and modification time.
    pub(crate) fn mark(&self) -> Result<FileMark, StoreError> {
        fs::metadata(&self.path)
            .map(|metadata| file_mark(&metadata))
            .map_err(|source| StoreError::io("look at", &self.path, source))
    }

    /// Gives the directory a modification time that no change by anybody else can bear, now that
    /// its index is exact. Where that is refused the time is left, and proves something only when
    /// it is old enough.
    pub(crate) fn settle(&self, previous: Option<Seen>) -> Result<Seen, StoreError> {
        let now = nanoseconds(SystemTime::now());
        let mut wanted = SystemTime::now() - MARK_AGE;
        if previous.is_some_and(|seen| seen.directory.mtime == nanoseconds(wanted)) {
            wanted -= Duration::from_nanos(1);
        }
        let since_1970 = wanted.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A refusal (the directory belongs to somebody else) shows in the time that is read back.
        let _ = utimensat(
            AT_FDCWD,
            &self.path,
            &TimeSpec::UTIME_OMIT,
            &TimeSpec::from_duration(since_1970),
            UtimensatFlags::FollowSymlink,
        );
        let directory = self.mark()?;
        let is_proof = now.saturating_sub(directory.mtime) >= TWO_TICKS;
        Ok(Seen { directory, exact_at: now, is_proof })
    }

    /// Every address that has a file, in no order.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let failed = |source| StoreError::io("list", &self.path, source);
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(address) = address_of_name(&entry) {
                listed.push(Listed { address, entry });
            }
        }
        Ok(listed)
    }

    /// What the file of `address` says.
    pub(crate) fn read(&self, address: IpAddr) -> Result<Content, StoreError> {
        let path = self.file(address);
        let failed = |source| StoreError::io("read", &path, source);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                // One byte more than a lease can have, so that a longer file is not cut to one.
                file.take(MAX_OWNER_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
                Ok(content(&bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Missing),
            Err(source) => Err(failed(source)),
        }
    }

    /// Makes the file of `address`, complete or not at all. `None` when there is one already.
    ///
    /// A file without a name is written first and named when it is whole. It is made in `nursery`,
    /// which on ext4 is six times as fast as making it in a directory with 60 000 files, or in the
    /// directory itself when the two are on different file systems. File systems without nameless
    /// files get it as the Go plugin makes it; if we are killed in between, it is empty, and
    /// whoever lists the directory next finds it torn.
    pub(crate) fn create(
        &self,
        address: IpAddr,
        owner: &Owner,
        nursery: &Path,
        to_disk: bool,
    ) -> Result<Option<FileMark>, StoreError> {
        let path = self.file(address);
        let failed = |source| StoreError::io("create", &path, source);
        for folder in [nursery, &self.path] {
            match named_when_whole(folder, &path, owner, to_disk) {
                Ok(mark) => return Ok(Some(mark)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    return Err(failed(error));
                }
                // Another file system, or one without nameless files, or no /proc.
                Err(_) => {}
            }
        }
        let file =
            match OpenOptions::new().write(true).create_new(true).mode(LEASE_MODE).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                Err(source) => return Err(failed(source)),
            };
        match fill(&file, owner, to_disk) {
            Ok(mark) => Ok(Some(mark)),
            Err(source) => {
                self.remove(address)?;
                Err(failed(source))
            }
        }
    }

    /// Removes the file of `address`; a missing one is fine.
    pub(crate) fn remove(&self, address: IpAddr) -> Result<(), StoreError> {
        let path = self.file(address);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// The address that set number `set` handed out last; `None` when that is not known. It is a
    /// hint, so a file that cannot be read is as good as none.
    pub(crate) fn cursor(&self, set: usize) -> Option<IpAddr> {
        let text = fs::read_to_string(self.cursor_file(set)).ok()?;
        types::parse_ip(text.trim())
    }

    /// Remembers that set number `set` handed out `last`.
    ///
    /// The file is written in place: a file cut to nothing first makes ext4 allocate and flush its
    /// new block when it is closed, which takes longer than all the rest of a call. A writer that
    /// is killed before it cuts off the tail leaves another address, which is as good a hint.
    pub(crate) fn set_cursor(&self, set: usize, last: IpAddr) -> Result<(), StoreError> {
        let path = self.cursor_file(set);
        let text = last.to_string();
        let write = || {
            let mut options = OpenOptions::new();
            let file =
                options.write(true).create(true).truncate(false).mode(LEASE_MODE).open(&path)?;
            (&file).write_all(text.as_bytes())?;
            if file.metadata()?.len() > text.len() as u64 {
                file.set_len(text.len() as u64)?;
            }
            Ok(())
        };
        write().map_err(|source| StoreError::io("write", &path, source))
    }

    /// Waits until the disk has the names of all files.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::io("write to disk", &self.path, source))
    }

    fn file(&self, address: IpAddr) -> PathBuf {
        self.path.join(address.to_string())
    }

    fn cursor_file(&self, set: usize) -> PathBuf {
        self.path.join(format!("last_reserved_ip.{set}"))
    }
}

impl Listed {
    /// Whether the file is still the one of which `mark` and its owner's name were noted when the
    /// index was exact at `exact_at`. Programs that keep to the lock never write into a file.
    pub(crate) fn is_unchanged(&self, mark: FileMark, owner: &Owner, exact_at: i64) -> bool {
        if self.entry.ino() != mark.inode || mark.mtime > exact_at.saturating_sub(TWO_TICKS) {
            return false;
        }
        self.entry.metadata().is_ok_and(|metadata| {
            file_mark(&metadata) == mark && metadata.len() == text(owner).len() as u64
        })
    }

    /// What to note of the file.
    pub(crate) fn mark(&self) -> FileMark {
        // Gone already or unreadable: a mark that no file has, so it is looked at again.
        self.entry.metadata().map(|metadata| file_mark(&metadata)).unwrap_or_default()
    }
}

/// Makes a nameless file in `folder`, fills it and names it `path`.
fn named_when_whole(
    folder: &Path,
    path: &Path,
    owner: &Owner,
    to_disk: bool,
) -> io::Result<FileMark> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .mode(LEASE_MODE)
        .open(folder)?;
    let mark = fill(&file, owner, to_disk)?;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(mark)
}

fn fill(mut file: &File, owner: &Owner, to_disk: bool) -> io::Result<FileMark> {
    file.write_all(text(owner).as_bytes())?;
    if to_disk {
        file.sync_all()?;
    }
    file.metadata().map(|metadata| file_mark(&metadata))
}

fn file_mark(metadata: &fs::Metadata) -> FileMark {
    let mtime =
        metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    FileMark { inode: metadata.ino(), mtime }
}

/// What a lease file of `owner` holds.
fn text(owner: &Owner) -> String {
    match &owner.ifname {
        Some(ifname) => format!("{}{SEPARATOR}{ifname}", owner.container),
        None => owner.container.clone(),
    }
}

/// The address whose file `entry` is; only the one spelling that the Go plugin uses is a name.
fn address_of_name(entry: &DirEntry) -> Option<IpAddr> {
    let name = entry.file_name();
    let name = name.to_str()?;
    let address: IpAddr = name.parse().ok()?;
    (types::canonical(address) == address && address.to_string() == name).then_some(address)
}

/// What `bytes` of a lease file mean. Space around them is ignored, as the Go plugin does. A line
/// feed alone as separator, which it does not take, is an edited file: its owner is clear.
fn content(bytes: &[u8]) -> Content {
    let Ok(text) = str::from_utf8(bytes) else { return Content::Torn };
    let text = text.trim();
    let (container, ifname) = match text.split_once('\n') {
        Some((container, ifname)) => (container.trim_end_matches('\r'), Some(ifname)),
        None => (text, None),
    };
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_control);
    let is_lease = is_name(container)
        && ifname.is_none_or(is_name)
        && container.len() + ifname.map_or(0, str::len) <= MAX_OWNER_BYTES;
    if !is_lease {
        return Content::Torn;
    }
    Content::Lease(Owner { container: container.to_owned(), ifname: ifname.map(ToOwned::to_owned) })
}

/// What a lock that was not got means for the store at `path`.
pub(crate) fn locked_out(why: io::Error, path: &Path, waited: Duration) -> StoreError {
    match why.kind() {
        io::ErrorKind::TimedOut => StoreError::Timeout { path: path.to_owned(), waited },
        _ => StoreError::io("lock", path, why),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    fn owner(container: &str, ifname: Option<&str>) -> Owner {
        Owner { container: container.into(), ifname: ifname.map(Into::into) }
    }

    fn open(path: &Path) -> Directory {
        Directory::open(path, Duration::ZERO, true).unwrap().unwrap()
    }

    #[test]
    fn files_are_the_reference_plugins_to_the_byte() {
        let scratch = Scratch::new();
        let path = scratch.path().join("networks/n");
        let directory = open(&path);
        let holder = owner("c1", Some("eth0"));
        for address in ["10.1.2.3", "fd00:22::2", "::1:2"] {
            let address = address.parse().unwrap();
            assert!(directory.create(address, &holder, scratch.path(), true).unwrap().is_some());
            assert!(directory.create(address, &holder, &path, false).unwrap().is_none(), "twice");
            assert_eq!(directory.read(address).unwrap(), Content::Lease(holder.clone()));
        }
        directory.set_cursor(0, "10.1.222.33".parse().unwrap()).unwrap();
        directory.set_cursor(0, "10.1.2.3".parse().unwrap()).unwrap();
        let mut found: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                let name = entry.file_name().into_string().unwrap();
                (name, mode & 0o700, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        let lease = "c1\r\neth0";
        let expected = [
            ("10.1.2.3", 0o600, lease),
            ("::1:2", 0o600, lease),
            ("fd00:22::2", 0o600, lease),
            ("last_reserved_ip.0", 0o600, "10.1.2.3"),
            ("lock", 0o700, ""),
        ];
        assert_eq!(found, expected.map(|(n, m, c)| (n.to_owned(), m, c.to_owned())));
        assert_eq!(directory.list().unwrap().len(), 3);
    }

    #[test]
    fn what_a_file_means_is_read_leniently_and_never_guessed() {
        let cases: &[(&[u8], Content)] = &[
            (b"c1\r\neth0", Content::Lease(owner("c1", Some("eth0")))),
            (b" c1\r\neth0\n", Content::Lease(owner("c1", Some("eth0")))),
            (b"c1\neth0", Content::Lease(owner("c1", Some("eth0")))),
            (b"c1", Content::Lease(owner("c1", None))),
            (b"c1\r\n", Content::Lease(owner("c1", None))),
            (b"", Content::Torn),
            (b"\r\n", Content::Torn),
            (b"\0\0\0\0\0\0\0\0", Content::Torn),
            (b"c1\r\neth0\r\nmore", Content::Torn),
            (b"c\xff", Content::Torn),
        ];
        for (bytes, meaning) in cases {
            assert_eq!(content(bytes), *meaning, "{bytes:?}");
        }
        assert_eq!(content(&vec![b'x'; MAX_OWNER_BYTES + 1]), Content::Torn);
    }

    #[test]
    fn only_the_spelling_that_the_reference_uses_is_an_address() {
        let scratch = Scratch::new();
        let directory = open(scratch.path());
        for name in ["10.0.0.01", "FD00::1", "::ffff:10.0.0.1", "fd00:0::1", "x", "10.0.0.0.1"] {
            fs::write(scratch.path().join(name), "c").unwrap();
        }
        assert!(directory.list().unwrap().is_empty());
    }

    #[test]
    fn a_settled_directory_shows_every_later_change() {
        let scratch = Scratch::new();
        let directory = open(scratch.path());
        let mut seen = None;
        for change in 0..20 {
            let now = directory.settle(seen).unwrap();
            assert!(now.is_proof);
            assert_ne!(Some(now.directory), seen.map(|seen| seen.directory));
            fs::write(scratch.path().join(change.to_string()), "").unwrap();
            assert_ne!(directory.mark().unwrap(), now.directory);
            seen = Some(now);
        }
    }

    #[test]
    fn a_directory_that_is_missing_is_made_only_when_wanted() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a/b");
        assert!(Directory::open(&path, Duration::ZERO, false).unwrap().is_none());
        assert!(!path.exists());
        open(&path);
        assert!(Directory::open(&path, Duration::ZERO, false).unwrap().is_some());
    }
}
