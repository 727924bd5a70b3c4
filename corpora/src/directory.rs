//! A directory of leases as the Go plugin keeps it, or as somebody left it: file names and contents
//! are anything. An input is a list of files, each its name, a zero byte, and its content up to the
//! next byte 255.

use std::fs;

use ipam::Store;

use crate::leases::exercise;
use crate::scratch::with_empty_directory;

pub(crate) fn target(data: &[u8]) {
    with_empty_directory("directory", |scratch| {
        let directory = scratch.join("net");
        fs::create_dir(&directory).expect("a directory of our own takes others");
        for file in data.split(|&byte| byte == 0xff).take(50) {
            let mut parts = file.splitn(2, |&byte| byte == 0);
            let name = parts.next().and_then(|name| std::str::from_utf8(name).ok());
            let name = name.filter(|name| !name.is_empty() && !name.contains('/'));
            if let (Some(name), Some(content)) = (name, parts.next()) {
                // Names that no file can have are left out.
                let _ = fs::write(directory.join(name), content);
            }
        }
        exercise(&Store::host_local(directory, scratch.join("index")));
    });
}
