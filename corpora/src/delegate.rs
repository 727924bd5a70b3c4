//! Files called like a plugin, whose build id is looked at before they are run.

use std::fs::{self, File};

use crate::scratch::with_empty_directory;

pub(crate) fn target(data: &[u8]) {
    with_empty_directory("delegate", |directory| {
        let path = directory.join("host-local");
        fs::write(&path, data).expect("a directory of our own takes files");
        let file = File::open(&path).expect("a file of our own can be read");
        let _ = kernel::suite::build_id_of(&file);
    });
}
