//! What cais remembers of an attachment: one small file under `/run/cais/attachments`, written
//! before the kernel's objects and removed after them. DEL does without; GC, `cais attachments` and
//! rebuilding a network read it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;
use types::{Attachment, NetworkName};

use crate::json::Object;
use crate::keyed::Keyed;

/// Layout number of the file; a reader of a newer one leaves the file alone.
const LAYOUT: u32 = 1;

/// One attachment as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub key: Attachment,
    /// Path of the container's namespace as the runtime gave it.
    pub netns: String,
    /// Identity of that namespace; a path alone may be given to another one.
    pub netns_id: NetnsId,
    /// Name of the link on the host; empty where there is none.
    pub host_ifname: String,
    /// Whether an earlier attachment of the same key was proven dead when this one began: its
    /// addresses are this one's to have again.
    pub succeeds_dead: bool,
    /// The link of the host that the container was given; `None` where none was.
    pub device: Option<Device>,
}

/// A link of the host as it was before a container was given it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its address; empty where it has none.
    pub mac: String,
    /// Its largest packet in bytes; 0 where nobody noted it.
    pub mtu: u32,
    /// Whether it was up.
    pub up: bool,
    /// Its alias; empty where it had none.
    pub alias: String,
}

/// What tells namespaces apart within a boot, and boots from each other. An inode may be given to
/// a later namespace; taking that for the earlier one keeps a dead attachment, never removes a
/// living one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetnsId {
    /// Inode of the namespace.
    pub inode: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl Record {
    /// Whether the attachment is proven dead: made in an earlier boot than `boot`, or its path no
    /// longer leads to its namespace.
    #[must_use]
    pub fn is_dead(&self, boot: &str) -> bool {
        !self.netns_id.lives_at(&self.netns, boot)
    }
}

impl NetnsId {
    /// Whether `path` still leads to this namespace, in the boot `boot`.
    #[must_use]
    pub fn lives_at(&self, path: &str, boot: &str) -> bool {
        let inode = fs::metadata(path).ok().map(|m| m.ino());
        self.boot == boot && inode == Some(self.inode)
    }
}

/// The running boot's id (`/proc/sys/kernel/random/boot_id`, random(4)).
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    /// It does not change while a process lives.
    static ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Ok(id.clone());
    }
    let mut id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    id.truncate(id.trim_end().len());
    Ok(ID.get_or_init(|| id).clone())
}

/// The directory of all records.
#[derive(Clone, Debug)]
pub struct Records {
    files: Keyed,
}

impl Records {
    /// Records below `run_dir`, which is `/run/cais` but in tests and labs.
    #[must_use]
    pub fn under(run_dir: &Path) -> Self {
        Self { files: Keyed::below(run_dir.join("attachments")) }
    }

    /// Writes `record`, whole or not at all.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(&Shape::from(record))
            .expect("a record has text keys and no failing parts");
        self.files.write(&record.key, &text)
    }

    /// Removes the record of `key`, and what a killed call left of one; none there is success.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove(&self, key: &Attachment) -> io::Result<()> {
        self.files.remove(key)
    }

    /// The record of `key`; a torn one counts as none.
    #[must_use]
    pub fn read(&self, key: &Attachment) -> Option<Record> {
        parse(&self.files.read(key)?).filter(|record| record.key == *key)
    }

    /// All records of `network`, in no order. Torn ones are left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn of_network(&self, network: &NetworkName) -> io::Result<Vec<Record>> {
        let texts = self.files.of_network(network)?;
        let records = texts.iter().filter_map(|text| parse(text));
        Ok(records.filter(|record| record.key.network == *network).collect())
    }

    /// Keys of records of `network` that killed calls began to write. One whose container id is
    /// too long for a file name is left out.
    ///
    /// # Errors
    /// Of the file system.
    pub fn unfinished(&self, network: &NetworkName) -> io::Result<Vec<Attachment>> {
        self.files.unfinished(network)
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    layout: u32,
    network: &'a str,
    container: &'a str,
    ifname: &'a str,
    netns: &'a str,
    inode: u64,
    boot: &'a str,
    #[serde(rename = "hostIfname")]
    host_ifname: &'a str,
    #[serde(rename = "succeedsDead")]
    succeeds_dead: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a Device>,
}

impl<'a> From<&'a Record> for Shape<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            layout: LAYOUT,
            network: record.key.network.as_str(),
            container: record.key.container.as_str(),
            ifname: record.key.ifname.as_str(),
            netns: &record.netns,
            inode: record.netns_id.inode,
            boot: &record.netns_id.boot,
            host_ifname: &record.host_ifname,
            succeeds_dead: record.succeeds_dead,
            device: record.device.as_ref(),
        }
    }
}

fn parse(text: &[u8]) -> Option<Record> {
    let object = Object::parse(text).ok()?;
    let number = |key| object.get(key)?.raw().get().parse::<u64>().ok();
    if number("layout")? != u64::from(LAYOUT) {
        return None;
    }
    let text = |key| object.string(key).ok()?;
    Some(Record {
        key: Attachment {
            network: text("network")?.parse().ok()?,
            container: text("container")?.parse().ok()?,
            ifname: text("ifname")?.parse().ok()?,
        },
        netns: text("netns")?,
        netns_id: NetnsId { inode: number("inode")?, boot: text("boot")? },
        host_ifname: text("hostIfname")?,
        succeeds_dead: object.flag("succeedsDead").ok()?,
        device: match object.object("device").ok()? {
            None => None,
            Some(device) => Some(parse_device(&device)?),
        },
    })
}

fn parse_device(object: &Object<'_>) -> Option<Device> {
    let text = |key| object.string(key).ok()?;
    Some(Device {
        name: text("name")?,
        mac: text("mac")?,
        mtu: object.number("mtu").ok()??,
        up: object.flag("up").ok()?,
        alias: text("alias")?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn record(container: &str) -> Record {
        Record {
            key: Attachment {
                network: "net".parse().unwrap(),
                container: container.parse().unwrap(),
                ifname: "eth0".parse().unwrap(),
            },
            netns: "/run/netns/a".to_owned(),
            netns_id: NetnsId { inode: 4_026_531_840, boot: "b".to_owned() },
            host_ifname: "veth01234567".to_owned(),
            succeeds_dead: true,
            device: Some(Device {
                name: "enp1s0".to_owned(),
                mac: "02:00:00:00:00:01".to_owned(),
                mtu: 9000,
                up: true,
                alias: "uplink".to_owned(),
            }),
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("cais-record-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_record_comes_back_and_goes_away() {
        let dir = scratch("back");
        let records = Records::under(&dir);
        for container in ["c1", &"x".repeat(300)] {
            let record = record(container);
            records.write(&record).unwrap();
            assert_eq!(records.read(&record.key), Some(record.clone()));
            assert_eq!(
                records.of_network(&record.key.network).unwrap(),
                std::slice::from_ref(&record)
            );
            records.remove(&record.key).unwrap();
            records.remove(&record.key).unwrap();
            assert_eq!(records.read(&record.key), None);
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_a_killed_call_began_to_write_is_known_and_goes_with_the_record() {
        let dir = scratch("unfinished");
        let records = Records::under(&dir);
        let record = record("c1");
        records.write(&record).unwrap();
        assert_eq!(records.unfinished(&record.key.network).unwrap(), []);
        fs::write(records.files.temporary(&record.key), "{").unwrap();
        let unfinished = records.unfinished(&record.key.network).unwrap();
        assert_eq!(unfinished, std::slice::from_ref(&record.key));
        records.remove(&record.key).unwrap();
        assert_eq!(
            fs::read_dir(records.files.path(&record.key).parent().unwrap()).unwrap().count(),
            0
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn torn_records_count_as_none() {
        let dir = scratch("torn");
        let records = Records::under(&dir);
        let whole = record("c1");
        records.write(&whole).unwrap();
        let path = records.files.path(&whole.key);
        let text = fs::read(&path).unwrap();
        for length in 0..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            assert_eq!(records.read(&whole.key), None, "cut at {length}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
