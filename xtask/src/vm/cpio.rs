//! Writing an initramfs: the "newc" archive format, see cpio(5) and the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.
//!
//! Written here rather than by cpio(1), so that owners and times never depend on who packs.

use std::collections::BTreeSet;
use std::path::Path;

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// An archive that grows entry by entry; folders come by themselves.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds a file that everyone may read and run.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        self.add(path, FILE | 0o755, content);
    }

    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &str) {
        self.folders_above(&format!("{path}/x"));
    }

    /// Adds a symbolic link to `target`.
    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, SYMLINK | 0o777, target.as_bytes());
    }

    /// Closes the archive and returns its bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8]) {
        let path = path.trim_start_matches('/');
        self.folders_above(path);
        self.entry(path, mode, content);
    }

    /// The kernel unpacks in order, so a folder precedes what it holds.
    fn folders_above(&mut self, path: &str) {
        let path = Path::new(path.trim_start_matches('/'));
        let above: Vec<_> = path.ancestors().skip(1).map(|p| p.to_string_lossy()).collect();
        for folder in above.iter().rev().filter(|folder| !folder.is_empty()) {
            if self.folders.insert(folder.to_string()) {
                self.entry(folder, DIRECTORY | 0o755, &[]);
            }
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size =
            u32::try_from(content.len()).expect("a guest's file is far below four gigabytes");
        let name_size = u32::try_from(name.len() + 1).expect("a path is short");
        // ino, mode, uid, gid, nlink, mtime, size, dev (2), rdev (2), length of the name, check.
        let header = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in header {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_laid_out_as_the_format_says() {
        let mut archive = Archive::default();
        archive.file("/init", b"hello");
        let bytes = archive.finish();
        let header = "070701\
            00000001\
            000081ed\
            00000000\
            00000000\
            00000001\
            00000000\
            00000005\
            00000000\
            00000000\
            00000000\
            00000000\
            00000005\
            00000000";
        let expected = format!("{header}init\0\0hello\0\0\0");
        assert_eq!(String::from_utf8_lossy(&bytes[..expected.len()]), expected);
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn folders_come_once_and_before_what_they_hold() {
        let mut archive = Archive::default();
        archive.file("/opt/cni/bin/bridge", b"");
        archive.file("/opt/cni/bin/host-local", b"");
        archive.folder("/opt/empty");
        let text = String::from_utf8_lossy(&archive.finish()).into_owned();
        let at = |name: &str| text.find(&format!("{name}\0")).expect(name);
        assert!(at("opt") < at("opt/cni") && at("opt/cni/bin") < at("opt/cni/bin/bridge"));
        assert_eq!(text.matches("opt/cni\0").count(), 1);
        assert_eq!(text.matches("opt/empty\0").count(), 1);
    }
}
