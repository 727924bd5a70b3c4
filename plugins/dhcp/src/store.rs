//! What is remembered of each lease: one small file, written before anybody is told of the lease. The
//! daemon begins with these files; it may be killed at any time.

use std::io;
use std::path::Path;

use cni::keyed::Keyed;
use cni::record::NetnsId;
use serde::{Deserialize, Serialize};
use types::{Attachment, NetworkName};

use crate::config::Spec;
use crate::lease::Lease;

/// Layout number of the file; one of a newer layout is left alone.
const LAYOUT: u32 = 1;

/// An attachment that has, or had, a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Whose it is.
    pub(crate) key: Attachment,
    /// All else.
    pub(crate) what: What,
}

/// What is remembered beside the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct What {
    /// Path of the container's namespace as the runtime gave it.
    pub(crate) netns: String,
    /// Inode of that namespace.
    pub(crate) inode: u64,
    /// The boot in which it lives.
    pub(crate) boot: String,
    /// Ethernet address of the link.
    pub(crate) mac: [u8; 6],
    /// MTU of the link before the server was asked, in bytes: it is never raised beyond.
    pub(crate) mtu: u32,
    /// Metric of all routes.
    pub(crate) priority: u32,
    /// What the server is told and asked.
    pub(crate) spec: Spec,
    /// The lease; `None` after one has ended, while another is looked for.
    pub(crate) lease: Option<Lease>,
}

#[derive(Serialize, Deserialize)]
struct Shape {
    layout: u32,
    network: String,
    container: String,
    ifname: String,
    what: What,
}

impl What {
    /// The namespace as records know it.
    #[must_use]
    pub(crate) fn netns_id(&self) -> NetnsId {
        NetnsId { inode: self.inode, boot: self.boot.clone() }
    }
}

/// The directory of all leases.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    files: Keyed,
}

impl Store {
    /// Leases below `lib_dir`, which is `/var/lib/cni/cais` but in tests and labs.
    #[must_use]
    pub(crate) fn under(lib_dir: &Path) -> Self {
        Self { files: Keyed::below(lib_dir.join("dhcp")) }
    }

    /// Writes `entry`, whole or not at all.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn write(&self, entry: &Entry) -> io::Result<()> {
        self.files.write(&entry.key, &text(entry))
    }

    /// Removes what is remembered of `key`; nothing there is success.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn remove(&self, key: &Attachment) -> io::Result<()> {
        self.files.remove(key)
    }

    /// What is remembered of `key`; a torn file counts as none.
    #[must_use]
    pub(crate) fn read(&self, key: &Attachment) -> Option<Entry> {
        parse(&self.files.read(key)?).filter(|entry| entry.key == *key)
    }

    /// All entries, in no order.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn all(&self) -> io::Result<Vec<Entry>> {
        Ok(self.files.all()?.iter().filter_map(|text| parse(text)).collect())
    }

    /// Entries of `network`, in no order.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn of_network(&self, network: &NetworkName) -> io::Result<Vec<Entry>> {
        let entries = self.files.of_network(network)?;
        let entries = entries.iter().filter_map(|text| parse(text));
        Ok(entries.filter(|entry| entry.key.network == *network).collect())
    }

    /// Keys of `network` that a killed daemon began to write.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn unfinished(&self, network: &NetworkName) -> io::Result<Vec<Attachment>> {
        self.files.unfinished(network)
    }
}

/// What the file of `entry` holds.
pub(crate) fn text(entry: &Entry) -> Vec<u8> {
    let Attachment { network, container, ifname } = &entry.key;
    let shape = Shape {
        layout: LAYOUT,
        network: network.to_string(),
        container: container.to_string(),
        ifname: ifname.to_string(),
        what: entry.what.clone(),
    };
    serde_json::to_vec(&shape).expect("it has text keys and no failing parts")
}

/// The entry in a file; `None` where it is torn or of another layout.
pub(crate) fn parse(text: &[u8]) -> Option<Entry> {
    let shape: Shape = serde_json::from_slice(text).ok()?;
    if shape.layout != LAYOUT {
        return None;
    }
    Some(Entry {
        key: Attachment {
            network: shape.network.parse().ok()?,
            container: shape.container.parse().ok()?,
            ifname: shape.ifname.parse().ok()?,
        },
        what: shape.what,
    })
}
