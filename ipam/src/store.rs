use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deadline::lock;

use crate::directory::{Content, Directory, locked_out};
use crate::error::{AllocateError, StoreError};
use crate::lease::{Host, Lease, Owner};
use crate::ledger::{Change, Entry, Ledger};
use crate::pool::{self, Grant, Request};
use crate::table::{Durability, Foreign, Opened, Record, Table, moment};

/// Mode of a table: what containers run here is nobody else's business.
const TABLE_MODE: u32 = 0o600;
/// How long a call waits for its turn.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a table may be replaced while we wait for its lock, and how often a directory may
/// contradict its index.
const ATTEMPTS: usize = 4;

/// The leases of one network.
///
/// A store opens its files for each call and holds their lock (flock(2)) until the call returns,
/// so any number of processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    place: Place,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Table(PathBuf),
    HostLocal { directory: PathBuf, index: PathBuf },
}

/// What a call finds when it opens a store.
enum Book<'a> {
    /// A table that we know, with or without a directory.
    Ledger(Ledger<'a>),
    /// A table of a later version.
    Foreign(Foreign),
    /// A directory whose index cannot be used, and why.
    Bare(Directory, StoreError),
    /// Nothing was ever kept here.
    Nothing,
}

impl Store {
    /// Leases kept in the table `file` alone.
    #[must_use]
    pub fn table(file: PathBuf) -> Self {
        Self { place: Place::Table(file), deadline: DEADLINE }
    }

    /// Leases kept in `directory` as the reference plugin host-local keeps them, with which it is
    /// shared, and found by means of the table `index`, which must lie elsewhere and serve no
    /// other directory. The index may be deleted at any time.
    #[must_use]
    pub fn host_local(directory: PathBuf, index: PathBuf) -> Self {
        Self { place: Place::HostLocal { directory, index }, deadline: DEADLINE }
    }

    /// The same store, whose calls wait at most `deadline` for their turn; by default 10 s.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Takes one address of each set that `request` names.
    ///
    /// A requested address is taken when it is free or its holder is proven dead. An attachment
    /// that holds an address of a set gets it again when it is proven dead itself, else an error.
    /// When a set is full, leases of attachments that are proven dead are ended first.
    ///
    /// # Errors
    /// [`AllocateError`]; then nothing that this call took is left taken.
    pub fn allocate(
        &self,
        request: &Request<'_>,
        host: &Host,
    ) -> Result<Vec<Grant>, AllocateError> {
        let mut ledger = match self.open(host, request.durability, true)? {
            Book::Ledger(ledger) => ledger,
            Book::Foreign(table) => return Err(table.refusal().into()),
            Book::Bare(_, why) => return Err(why.into()),
            Book::Nothing => unreachable!("a store that may be made is there"),
        };
        let outcome = pool::allocate(&mut ledger, request, pool::now_of(host));
        if let Err(error) = ledger.finish() {
            if let Ok(grants) = &outcome {
                let taken: Vec<IpAddr> = grants.iter().map(|grant| grant.address.ip()).collect();
                pool::give_back(&mut ledger, &taken)?;
            }
            return Err(error.into());
        }
        outcome
    }

    /// Gives back all that `owner` holds, and says what it was; holding nothing is fine. Only when
    /// nothing bears the name of its interface, records that know just the container are taken.
    ///
    /// # Errors
    /// [`StoreError`]. An index that cannot be used is none where the directory can.
    pub fn release(
        &self,
        owner: &Owner,
        durability: Durability,
        host: &Host,
    ) -> Result<Vec<Lease>, StoreError> {
        self.end(&Ending::Of(owner), durability, host)
    }

    /// Ends every lease that `keep` does not want, and says which. Files that hold no lease, left
    /// by killed writers, are removed as well.
    ///
    /// # Errors
    /// [`StoreError`]. An index that cannot be used is none where the directory can.
    pub fn gc(
        &self,
        keep: &dyn Fn(&Lease) -> bool,
        durability: Durability,
        host: &Host,
    ) -> Result<Vec<Lease>, StoreError> {
        self.end(&Ending::Unless(keep), durability, host)
    }

    /// What `owner` holds, by its full name or, failing that, by its container alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn leases_of(&self, owner: &Owner, host: &Host) -> Result<Vec<Lease>, StoreError> {
        match self.open(host, Durability::Lazy, false)? {
            Book::Ledger(mut ledger) => {
                let entries = of_owner_or_legacy(&mut ledger, owner);
                ledger.finish()?;
                Ok(entries?.iter().map(|entry| ledger.lease(&entry.record)).collect())
            }
            book => Ok(Ending::Of(owner).select(all_without_index(&book, host)?)),
        }
    }

    /// Everything that is held, in order of addresses. The directory of a host-local store is
    /// listed in any case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn leases(&self, host: &Host) -> Result<Vec<Lease>, StoreError> {
        let mut leases: Vec<Lease> = match self.open(host, Durability::Lazy, false)? {
            Book::Ledger(mut ledger) => {
                let listed = ledger.relist_once();
                let entries = listed.and_then(|_| ledger.all());
                ledger.finish()?;
                entries?.iter().map(|entry| ledger.lease(&entry.record)).collect()
            }
            book => all_without_index(&book, host)?,
        };
        leases.sort_unstable_by_key(|lease| lease.address);
        Ok(leases)
    }

    /// How many addresses are held.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held(&self, host: &Host) -> Result<usize, StoreError> {
        match self.open(host, Durability::Lazy, false)? {
            Book::Ledger(mut ledger) => {
                let held = ledger.held();
                ledger.finish()?;
                Ok(held)
            }
            book => Ok(all_without_index(&book, host)?.len()),
        }
    }

    fn end(
        &self,
        which: &Ending<'_>,
        durability: Durability,
        host: &Host,
    ) -> Result<Vec<Lease>, StoreError> {
        match self.open(host, durability, false)? {
            Book::Ledger(mut ledger) => {
                let outcome = end_in_ledger(&mut ledger, which);
                match outcome.and_then(|ended| ledger.finish().map(|()| ended)) {
                    Err(error @ StoreError::Io { .. }) => match ledger.into_directory() {
                        // The directory is the truth; its index can be made again.
                        Some(directory) => end_in_directory(&directory, which, host),
                        None => Err(error),
                    },
                    outcome => outcome,
                }
            }
            Book::Foreign(table) => end_in_foreign(&table, which, host),
            Book::Bare(directory, _) => end_in_directory(&directory, which, host),
            Book::Nothing => Ok(Vec::new()),
        }
    }

    fn open<'h>(
        &self,
        host: &'h Host,
        durability: Durability,
        create: bool,
    ) -> Result<Book<'h>, StoreError> {
        match &self.place {
            Place::Table(path) => {
                let Some(file) = open_table(path, self.deadline, create)? else {
                    return Ok(Book::Nothing);
                };
                Ok(match Table::open(file, path, host)? {
                    Opened::Known(table) => {
                        Book::Ledger(Ledger::open(table, None, host, durability)?)
                    }
                    Opened::Newer(table) => Book::Foreign(table),
                })
            }
            Place::HostLocal { directory, index } => {
                let Some(directory) = Directory::open(directory, self.deadline, create)? else {
                    return Ok(Book::Nothing);
                };
                let table = open_table(index, self.deadline, true)
                    .and_then(|file| Table::open(file.expect("it may be made"), index, host));
                match table {
                    Ok(Opened::Known(table)) => {
                        Ok(Book::Ledger(Ledger::open(table, Some(directory), host, durability)?))
                    }
                    Ok(Opened::Newer(table)) => Ok(Book::Bare(directory, table.refusal())),
                    Err(why @ StoreError::Io { .. }) => Ok(Book::Bare(directory, why)),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Which leases end.
enum Ending<'a> {
    Of(&'a Owner),
    Unless(&'a dyn Fn(&Lease) -> bool),
}

impl Ending<'_> {
    /// Those of `leases` that end.
    fn select(&self, leases: Vec<Lease>) -> Vec<Lease> {
        match self {
            Self::Unless(keep) => leases.into_iter().filter(|lease| !keep(lease)).collect(),
            Self::Of(owner) => {
                let of = |owner: &Owner| -> Vec<Lease> {
                    leases.iter().filter(|lease| lease.owner == *owner).cloned().collect()
                };
                let by_name = of(owner);
                if by_name.is_empty() { of(&owner.legacy()) } else { by_name }
            }
        }
    }
}

fn end_in_ledger(ledger: &mut Ledger<'_>, which: &Ending<'_>) -> Result<Vec<Lease>, StoreError> {
    let mut ended = Vec::new();
    for _ in 0..ATTEMPTS {
        let entries = match which {
            Ending::Of(owner) => of_owner_or_legacy(ledger, owner)?,
            Ending::Unless(keep) => {
                ledger.relist_once()?;
                let mut entries = ledger.all()?;
                entries.retain(|entry| !keep(&ledger.lease(&entry.record)));
                entries
            }
        };
        match end_entries(ledger, &entries, &mut ended)? {
            Change::Made => return Ok(ended),
            Change::Contradicted => ledger.relist()?,
        }
    }
    Err(ledger.unsettled())
}

fn of_owner_or_legacy(ledger: &mut Ledger<'_>, owner: &Owner) -> Result<Vec<Entry>, StoreError> {
    let entries = ledger.of_owner(owner)?;
    if entries.is_empty() { ledger.of_owner(&owner.legacy()) } else { Ok(entries) }
}

fn end_entries(
    ledger: &mut Ledger<'_>,
    entries: &[Entry],
    ended: &mut Vec<Lease>,
) -> Result<Change, StoreError> {
    for entry in entries {
        match ledger.free(entry)? {
            Change::Made => ended.push(ledger.lease(&entry.record)),
            Change::Contradicted => return Ok(Change::Contradicted),
        }
    }
    Ok(Change::Made)
}

fn end_in_foreign(
    table: &Foreign,
    which: &Ending<'_>,
    host: &Host,
) -> Result<Vec<Lease>, StoreError> {
    let ended = which.select(all_in_foreign(table, host)?);
    for (slot, record) in table.leases()? {
        if ended.iter().any(|lease| lease.address == record.address) {
            table.release(slot, &record, pool::now_of(host))?;
        }
    }
    Ok(ended)
}

fn end_in_directory(
    directory: &Directory,
    which: &Ending<'_>,
    host: &Host,
) -> Result<Vec<Lease>, StoreError> {
    let ended = which.select(all_in_directory(directory, host)?);
    ended.iter().try_for_each(|lease| directory.remove(lease.address))?;
    Ok(ended)
}

fn all_without_index(book: &Book<'_>, host: &Host) -> Result<Vec<Lease>, StoreError> {
    match book {
        Book::Bare(directory, _) => all_in_directory(directory, host),
        Book::Foreign(table) => all_in_foreign(table, host),
        Book::Ledger(_) | Book::Nothing => Ok(Vec::new()),
    }
}

fn all_in_foreign(table: &Foreign, host: &Host) -> Result<Vec<Lease>, StoreError> {
    let lease = |(_, record): (u32, Record)| {
        let since = moment(record.since);
        let age = host.age(record.boot, since);
        Lease { address: record.address, owner: record.owner, since, age }
    };
    Ok(table.leases()?.into_iter().map(lease).collect())
}

/// The leases of a directory from its files alone, which bear no mark of ours.
fn all_in_directory(directory: &Directory, host: &Host) -> Result<Vec<Lease>, StoreError> {
    let mut leases = Vec::new();
    for listed in directory.list()? {
        if let Content::Lease(owner) = directory.read(listed.address)? {
            let since = moment(listed.mark().mtime);
            let age = host.age(None, since);
            leases.push(Lease { address: listed.address, owner, since, age });
        }
    }
    Ok(leases)
}

/// Opens and locks the table at `path`, which is made when it is missing and `create` says so.
fn open_table(path: &Path, deadline: Duration, create: bool) -> Result<Option<File>, StoreError> {
    for _ in 0..ATTEMPTS {
        let opened =
            OpenOptions::new().read(true).write(true).create(create).mode(TABLE_MODE).open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path);
                fs::create_dir_all(folder)
                    .map_err(|source| StoreError::io("create directory", folder, source))?;
                continue;
            }
            Err(source) => return Err(StoreError::io("open", path, source)),
        };
        lock(&file, deadline).map_err(|why| locked_out(why, path, deadline))?;
        let links =
            file.metadata().map_err(|source| StoreError::io("look at", path, source))?.nlink();
        // Without a name it was deleted while we waited; what we would write is lost.
        if links > 0 {
            return Ok(Some(file));
        }
    }
    Err(StoreError::Unsettled { path: path.to_owned() })
}
