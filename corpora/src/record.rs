//! What is kept of an attachment: our record, and libcni's cached result.

use std::fs;

use cni::record::{NetnsId, Record, Records};
use cni::runtime::Cache;
use types::Attachment;

use crate::scratch::with_empty_directory;

pub(crate) fn target(data: &[u8]) {
    with_empty_directory("record", |directory| {
        let (records, key) = (Records::under(directory), key());
        records.write(&record(&key)).expect("a directory of our own takes files");
        replace_every_file(directory, data);
        if let Some(read) = records.read(&key) {
            assert_eq!(read.key, key, "the record of another");
            records.write(&read).expect("what was read can be written");
            assert_eq!(records.read(&key), Some(read), "written and read again");
        }
        let listed = records.of_network(&key.network).expect("a directory of ours can be listed");
        assert!(listed.iter().all(|record| record.key.network == key.network), "{listed:?}");
        records.remove(&key).expect("what is there can be removed");

        let cache = Cache::in_directory(directory);
        let file = cache.file(&key);
        fs::create_dir_all(file.parent().expect("results have a directory")).expect("as above");
        fs::write(file, data).expect("as above");
        let _ = (cache.read(&key), cache.attachments());
    });
}

fn key() -> Attachment {
    Attachment {
        network: "net".parse().expect("the name of a network"),
        container: "c1".parse().expect("a container id"),
        ifname: "eth0".parse().expect("the name of an interface"),
    }
}

fn record(key: &Attachment) -> Record {
    Record {
        key: key.clone(),
        netns: "/run/netns/c1".to_owned(),
        netns_id: NetnsId { inode: 1, boot: "b".to_owned() },
        host_ifname: "veth0".to_owned(),
        succeeds_dead: false,
        device: None,
    }
}

fn replace_every_file(directory: &std::path::Path, data: &[u8]) {
    for entry in fs::read_dir(directory).expect("a directory of ours can be listed").flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => replace_every_file(&entry.path(), data),
            _ => fs::write(entry.path(), data).expect("a file of ours can be written"),
        }
    }
}
