//! A lease table with anything in it: after a crash, by a bad disk, by another program.
//!
//! Checksums keep most bytes from ever being believed, so an input is either a whole file (first
//! byte 0) or a list of changes to a table with three leases: each is two bytes of offset, one of
//! length, and what to write there. The last change may lack its end, and cuts the file there.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use ipam::{Request, Store};

use crate::leases::{exercise, host, owner, sets};
use crate::scratch::with_empty_directory;

pub(crate) fn target(data: &[u8]) {
    let bytes = match data.split_first() {
        Some((0, whole)) => whole.to_vec(),
        _ => changed(good_table().to_vec(), data),
    };
    with_empty_directory("table", |directory| {
        let file = directory.join("leases");
        fs::write(&file, bytes).expect("a directory of our own takes files");
        exercise(&Store::table(file));
    });
}

fn changed(mut table: Vec<u8>, mut changes: &[u8]) -> Vec<u8> {
    while let Some((head, rest)) = changes.split_first_chunk::<3>() {
        let at = usize::from(u16::from_le_bytes([head[0], head[1]])) * 4 % table.len().max(1);
        let length = usize::from(head[2]);
        let Some((new, rest)) = rest.split_at_checked(length) else {
            table.truncate(at);
            break;
        };
        let end = (at + length).min(table.len());
        table[at..end].copy_from_slice(&new[..end - at]);
        changes = rest;
    }
    table
}

/// A table as a few calls leave it.
fn good_table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut bytes = Vec::new();
        with_empty_directory("good", |directory| bytes = written(&directory.join("leases")));
        bytes
    })
}

fn written(file: &Path) -> Vec<u8> {
    let (store, host, sets) = (Store::table(file.to_owned()), host(), sets());
    for container in ["c1", "c2", "c3"] {
        let owner = owner(container);
        let taken = store.allocate(&Request::new(&sets, &owner), &host);
        assert!(taken.is_ok() || container == "c3", "{container}: {taken:?}");
    }
    fs::read(file).expect("the table was made one above")
}
