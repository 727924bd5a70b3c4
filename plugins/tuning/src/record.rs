//! What cais itself remembers of an attachment: whose backup file is whose, and the sysctls before
//! they were changed. One file an attachment under `/run/cais/tuning`, written before anything is
//! changed.

use std::io;
use std::path::{Path, PathBuf};

use cni::json::Object;
use cni::keyed::Keyed;
use cni::record::NetnsId;
use serde::Serialize;
use types::{Attachment, ContainerId, NetworkName};

/// Layout number of the file; a newer one is left alone.
const LAYOUT: u32 = 1;

/// One attachment before it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Attachment,
    /// Path of the container's namespace as the runtime gave it.
    pub(crate) netns: String,
    /// Identity of that namespace.
    pub(crate) netns_id: NetnsId,
    /// The backup file, where an attribute of the interface was changed.
    pub(crate) backup: Option<PathBuf>,
    /// Oldest change first.
    pub(crate) sysctls: Vec<Saved>,
}

/// One sysctl that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Below `net/`.
    pub(crate) path: String,
    /// What it was; `None` when it cannot be read, like those that only trigger something.
    pub(crate) before: Option<String>,
    /// What it was made: as asked for, or as it read afterwards.
    pub(crate) after: String,
}

impl Record {
    /// Whether that namespace is still where it was, in the boot `boot`.
    pub(crate) fn lives(&self, boot: &str) -> bool {
        self.netns_id.lives_at(&self.netns, boot)
    }

    /// Remembers a change; the first value of a sysctl that is changed twice is the one to restore.
    pub(crate) fn save(&mut self, change: Saved) {
        match self.sysctls.iter_mut().find(|saved| saved.path == change.path) {
            Some(saved) => saved.after = change.after,
            None => self.sysctls.push(change),
        }
    }
}

/// The records below `/run/cais`.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    files: Keyed,
}

impl Store {
    pub(crate) fn under(run_dir: &Path) -> Self {
        Self { files: Keyed::below(run_dir.join("tuning")) }
    }

    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(&Shape::from(record))
            .expect("a record has text keys and no failing parts");
        self.files.write(&record.key, &text)
    }

    pub(crate) fn remove(&self, key: &Attachment) -> io::Result<()> {
        self.files.remove(key)
    }

    /// A torn one counts as none.
    pub(crate) fn read(&self, key: &Attachment) -> Option<Record> {
        parse(&self.files.read(key)?).filter(|record| record.key == *key)
    }

    pub(crate) fn of_network(&self, network: &NetworkName) -> io::Result<Vec<Record>> {
        let texts = self.files.of_network(network)?;
        let records = texts.iter().filter_map(|text| parse(text));
        Ok(records.filter(|record| record.key.network == *network).collect())
    }

    /// On whatever network.
    pub(crate) fn of_container(&self, container: &ContainerId) -> io::Result<Vec<Record>> {
        let texts = self.files.of_container(container)?;
        let records = texts.iter().filter_map(|text| parse(text));
        Ok(records.filter(|record| record.key.container == *container).collect())
    }

    /// Keys of records that killed calls began to write; those calls had changed nothing yet.
    pub(crate) fn unfinished(&self, network: &NetworkName) -> io::Result<Vec<Attachment>> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<&'a str>,
    sysctls: Vec<SavedShape<'a>>,
}

#[derive(Serialize)]
struct SavedShape<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a str>,
    after: &'a str,
}

impl<'a> From<&'a Record> for Shape<'a> {
    fn from(record: &'a Record) -> Self {
        let saved = |saved: &'a Saved| SavedShape {
            path: &saved.path,
            before: saved.before.as_deref(),
            after: &saved.after,
        };
        Self {
            layout: LAYOUT,
            network: record.key.network.as_str(),
            container: record.key.container.as_str(),
            ifname: record.key.ifname.as_str(),
            netns: &record.netns,
            inode: record.netns_id.inode,
            boot: &record.netns_id.boot,
            // It was made of JSON text.
            backup: record.backup.as_ref().and_then(|path| path.to_str()),
            sysctls: record.sysctls.iter().map(saved).collect(),
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
    let sysctls = object.list("sysctls").ok()?;
    Some(Record {
        key: Attachment {
            network: text("network")?.parse().ok()?,
            container: text("container")?.parse().ok()?,
            ifname: text("ifname")?.parse().ok()?,
        },
        netns: text("netns")?,
        netns_id: NetnsId { inode: number("inode")?, boot: text("boot")? },
        backup: text("backup").map(PathBuf::from),
        sysctls: sysctls
            .iter()
            .map(|value| {
                let saved = value.object().ok()?;
                Some(Saved {
                    path: saved.string("path").ok()??,
                    before: saved.string("before").ok()?,
                    after: saved.string("after").ok()??,
                })
            })
            .collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(path: &str, before: Option<&str>, after: &str) -> Saved {
        Saved { path: path.into(), before: before.map(str::to_owned), after: after.into() }
    }

    #[test]
    fn a_record_comes_back_and_a_torn_one_counts_as_none() {
        let record = Record {
            key: Attachment {
                network: "net".parse().unwrap(),
                container: "c1".parse().unwrap(),
                ifname: "eth0".parse().unwrap(),
            },
            netns: "/run/netns/a".to_owned(),
            netns_id: NetnsId { inode: 4_026_531_840, boot: "b".to_owned() },
            backup: Some("/run/cni/tuning/c1_eth0.json".into()),
            sysctls: vec![saved("a/b", Some("4\t5"), "6 \"7\""), saved("c", None, "")],
        };
        let text = serde_json::to_vec(&Shape::from(&record)).unwrap();
        assert_eq!(parse(&text), Some(record));
        for length in 0..text.len() {
            assert_eq!(parse(&text[..length]), None, "cut at {length}");
        }
        let newer = String::from_utf8(text).unwrap().replace("\"layout\":1", "\"layout\":2");
        assert_eq!(parse(newer.as_bytes()), None);
    }

    #[test]
    fn the_first_value_of_a_sysctl_that_is_changed_twice_is_kept() {
        let mut record = Record {
            key: Attachment {
                network: "net".parse().unwrap(),
                container: "c1".parse().unwrap(),
                ifname: "eth0".parse().unwrap(),
            },
            netns: String::new(),
            netns_id: NetnsId::default(),
            backup: None,
            sysctls: Vec::new(),
        };
        record.save(saved("a", Some("0"), "1"));
        record.save(saved("b", Some("0"), "1"));
        record.save(saved("a", Some("1"), "2"));
        assert_eq!(record.sysctls, [saved("a", Some("0"), "2"), saved("b", Some("0"), "1")]);
    }
}
