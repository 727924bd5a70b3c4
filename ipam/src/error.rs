use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lease::Owner;

/// Why a store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process held the lock until the deadline.
    #[error("lock {}: still held by another process after {} s", .path.display(), .waited.as_secs())]
    Timeout {
        /// The file that is locked.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// A file operation failed.
    #[error("{action} {}", .path.display())]
    Io {
        /// What was tried, a verb: `open`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A later version wrote the table in a layout that this one does not know.
    #[error(
        "lease table {} has layout {found} of a newer cais, this one knows layouts up to {known}",
        .path.display()
    )]
    NewerLayout {
        /// The table.
        path: PathBuf,
        /// Its layout number.
        found: u32,
        /// The highest number that this version knows.
        known: u32,
    },
    /// The table stays inconsistent although it has been rebuilt from its slots: other programs
    /// write to it, or the disk does not keep what is written.
    #[error("lease table {}: inconsistent again right after its repair", .path.display())]
    Damaged {
        /// The table.
        path: PathBuf,
    },
    /// The table has as many slots as it can have.
    #[error("lease table {}: all of its 16777216 slots are in use", .path.display())]
    TableFull {
        /// The table.
        path: PathBuf,
    },
    /// The directory keeps changing although we hold its lock.
    #[error("lease directory {}: changed several times by programs that ignore its lock", .path.display())]
    Unsettled {
        /// The directory.
        path: PathBuf,
    },
    /// The names of container and interface are longer than a lease can hold.
    #[error("container id of {bytes} bytes: a lease holds at most {most}")]
    OwnerTooLong {
        /// Bytes of container id and interface name.
        bytes: usize,
        /// The limit.
        most: usize,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether calling again may succeed without anybody doing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unsettled { .. })
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Timeout { path, .. } => {
                format!("see who holds it with `fuser -v {}`", path.display())
            }
            Self::NewerLayout { .. } => {
                "install the newer cais again; DEL and GC work with this one, ADD does not".into()
            }
            Self::Damaged { path } => {
                format!("stop what writes to {} and check the disk", path.display())
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space on that file system".into()
                }
                io::ErrorKind::ReadOnlyFilesystem => "remount that file system writable".into(),
                io::ErrorKind::PermissionDenied => {
                    "run as the user that owns the lease store, usually root".into()
                }
                _ => return None,
            },
            Self::TableFull { .. } | Self::Unsettled { .. } | Self::OwnerTooLong { .. } => {
                return None;
            }
        })
    }
}

/// Why no addresses were allocated. Nothing is left taken.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The attachment has an address of this set already, and is not proven dead.
    #[error(
        "allocate for range set {set}: {address} is held by {owner} already, \
         duplicate allocation is not allowed"
    )]
    Duplicate {
        /// Number of the set.
        set: usize,
        /// The address.
        address: IpAddr,
        /// As the lease names it.
        owner: Owner,
    },
    /// Every address of the set is held.
    #[error(
        "allocate for range set {set}: no IP addresses available in range set: {ranges} ({account})"
    )]
    Exhausted {
        /// Number of the set.
        set: usize,
        /// Its ranges as text.
        ranges: String,
        /// Who holds how many.
        account: Account,
    },
    /// The gateway was requested.
    #[error("allocate for range set {set}: requested address {address} is the gateway")]
    RequestedGateway {
        /// Number of the set.
        set: usize,
        /// The address.
        address: IpAddr,
    },
    /// The requested address is held.
    #[error(
        "allocate for range set {set}: requested address {address} is not available in {ranges}, \
         it is held by {holder}"
    )]
    RequestedTaken {
        /// Number of the set.
        set: usize,
        /// The address.
        address: IpAddr,
        /// The set's ranges as text.
        ranges: String,
        /// Who has it.
        holder: Owner,
    },
    /// Some of the requested addresses are in no set, or several are in one.
    #[error("failed to allocate all requested IPs: {} left over", list(.0))]
    RequestedLeftOver(Vec<IpAddr>),
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who holds the addresses of a set that is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Addresses held.
    pub held: u64,
    /// Containers that hold them.
    pub containers: u64,
    /// Of the addresses, those of containers that nothing on this host knows of any more.
    pub doubtful: u64,
    /// Addresses that are free and wait for the end of their quarantine.
    pub quarantined: u64,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} held by {} containers", self.held, self.containers)?;
        if self.doubtful > 0 {
            write!(f, ", {} of them look stale", self.doubtful)?;
        }
        if self.quarantined > 0 {
            write!(f, ", {} in quarantine", self.quarantined)?;
        }
        Ok(())
    }
}

impl AllocateError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Duplicate { .. } => {
                "a previous ADD of this attachment was not undone; run DEL for it first".into()
            }
            Self::Exhausted { account: Account { doubtful: 1.., .. }, .. } => {
                "run GC for this network to release the leases of containers that are gone".into()
            }
            Self::Exhausted { .. } => "use a larger range, or stop containers".into(),
            Self::RequestedGateway { .. } => "request another address".into(),
            Self::RequestedTaken { .. } => {
                "request another address, or run DEL for the attachment that holds it".into()
            }
            Self::RequestedLeftOver(_) => {
                "request at most one address of each range set of the network".into()
            }
            Self::Store(error) => return error.hint(),
        })
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
