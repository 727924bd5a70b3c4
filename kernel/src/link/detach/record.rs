//! The file that names the last deleter, so that a host that does not reap is noticed.
//!
//! One line of text, always written as a whole by one system call and never longer than a page,
//! so that readers need no lock:
//!
//! - `unproven FORKER CHILD`: the first child on this host (0 until it has begun);
//! - `reaped FORKER CHILD`: an earlier child was reaped, this is the latest.
//!
//! No verdict is written down: as long as a zombie stays, its entry in `/proc` is the verdict, and
//! a reaper that only looks now and then makes deletes detached again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{Pid, linkat};

use crate::sys::DELETER_NAME;

/// The record at a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a>(&'a Path);

/// How to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By a child.
    Detach,
    /// Here.
    Wait,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Unproven { forker: i32, child: i32 },
    Reaped { forker: i32, child: i32 },
    Unreadable,
}

/// What became of a deleter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Child {
    Gone,
    Alive,
    Zombie { parent: i32 },
}

/// Several times an RCU grace period, and as long as a deleter may linger.
const REAPED_BY_NOW: Duration = Duration::from_millis(400);

/// Lines are padded to this, so that a shorter one covers the rest of a longer.
const LINE_BYTES: usize = 96;

/// Only root deletes by it.
const FILE_MODE: u32 = 0o600;

impl<'a> Record<'a> {
    pub(super) fn at(path: &'a Path) -> Self {
        Self(path)
    }

    pub(super) fn path(self) -> &'a Path {
        self.0
    }

    /// How to delete now. For the first time on a host this claims the record.
    pub(super) fn verdict(self) -> Verdict {
        let line = match self.read() {
            Ok(line) => line,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.claim(),
            // Where nothing can be noted, nothing can be noticed.
            Err(_) => return Verdict::Wait,
        };
        let me = std::process::id() as i32;
        match line {
            Line::Unproven { forker, child: 0 } if forker == me => Verdict::Detach,
            Line::Unproven { forker, child: 0 } if exists(forker) => Verdict::Wait,
            Line::Unproven { child: 0, .. } => self.claim_again(&line),
            // Whether anybody reaps here is not known until this one has gone.
            Line::Unproven { child, .. } => match state(child) {
                Child::Gone => Verdict::Detach,
                Child::Alive | Child::Zombie { .. } => Verdict::Wait,
            },
            Line::Reaped { forker, child } => match state(child) {
                // Its parent is still busy, and will reap it or leave it to one that does.
                Child::Zombie { parent } if parent != forker && self.is_old() => Verdict::Wait,
                _ => Verdict::Detach,
            },
            Line::Unreadable => self.claim_again(&line),
        }
    }

    /// Notes `child`, which has begun its work. That we may fork it at all says that the one
    /// before was reaped, or that there was none.
    pub(super) fn name(self, child: Pid) {
        let me = std::process::id();
        let proven = match self.read() {
            Ok(Line::Unproven { child: 0, .. }) => false,
            Ok(Line::Unproven { .. } | Line::Reaped { .. }) => true,
            // Removed meanwhile: start anew.
            Ok(Line::Unreadable) | Err(_) => false,
        };
        let word = if proven { "reaped" } else { "unproven" };
        // Without a note the next call finds the old one, which is harmless.
        let _ = self.write(&format!("{word} {me} {child}"));
    }

    /// `child` has gone, but that says nothing about who adopts orphans here: ask anew.
    pub(super) fn reaped_by_its_parent(self, child: Pid) {
        if matches!(self.read(), Ok(Line::Unproven { child: named, .. }) if named == child.as_raw())
        {
            let _ = fs::remove_file(self.0);
        }
    }

    /// In words, that the last child was left a zombie, if so.
    pub(super) fn not_reaped(self) -> Option<String> {
        let Ok(Line::Unproven { forker, child } | Line::Reaped { forker, child }) = self.read()
        else {
            return None;
        };
        let Child::Zombie { parent } = state(child) else { return None };
        if parent == forker || !self.is_old() {
            return None;
        }
        let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
        let name = name.trim_end();
        Some(format!(
            "process {parent} ({name}) does not reap its children: {DELETER_NAME} {child} is a zombie"
        ))
    }

    /// Whether the child was named so long ago that it must have ended, and a reaper that reacts
    /// to the end of its children must have seen it.
    fn is_old(self) -> bool {
        let modified = fs::metadata(self.0).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| time.elapsed().unwrap_or_default() > REAPED_BY_NOW)
    }

    /// Takes the right to fork the first child; one process gets it.
    fn claim(self) -> Verdict {
        if let Some(directory) = self.0.parent() {
            let _ = DirBuilder::new().recursive(true).mode(0o755).create(directory);
        }
        let line = padded(&format!("unproven {} 0", std::process::id()));
        if self.create(&line).is_ok() { Verdict::Detach } else { Verdict::Wait }
    }

    /// Makes the file, which must not be there. It gets its name when it is whole, so that nobody
    /// ever sees it without its line, and nothing is left of it when we are killed.
    fn create(self, line: &[u8]) -> io::Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        let nameless = libc::O_TMPFILE;
        let mut file = OpenOptions::new()
            .write(true)
            .custom_flags(nameless)
            .mode(FILE_MODE)
            .open(directory)?;
        file.write_all(line)?;
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(AT_FDCWD, source.as_str(), AT_FDCWD, self.0, AtFlags::AT_SYMLINK_FOLLOW)?;
        Ok(())
    }

    /// Takes away a record of which nothing can come any more, `dead`, and claims.
    fn claim_again(self, dead: &Line) -> Verdict {
        let aside = self.aside();
        if fs::rename(self.0, &aside).is_err() {
            return Verdict::Wait; // somebody else was faster
        }
        if Record(&aside).read().is_ok_and(|taken| taken == *dead) {
            let _ = fs::remove_file(&aside);
            return self.claim();
        }
        // Somebody else was faster and has claimed already: give the claim back.
        let _ = fs::hard_link(&aside, self.0);
        let _ = fs::remove_file(&aside);
        Verdict::Wait
    }

    /// A name beside the record that only this process uses.
    fn aside(self) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        name.into()
    }

    fn read(self) -> io::Result<Line> {
        let mut bytes = [0; LINE_BYTES];
        let length = File::open(self.0)?.read_at(&mut bytes, 0)?;
        Ok(Line::parse(&bytes[..length]))
    }

    fn write(self, line: &str) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(self.0)?;
        file.write_all_at(&padded(line), 0)
    }
}

impl Line {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split_ascii_whitespace();
        let word = words.next();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (Some(forker), Some(child)) = (number(), number()) else { return Self::Unreadable };
        match word {
            Some("unproven") => Self::Unproven { forker, child },
            Some("reaped") => Self::Reaped { forker, child },
            _ => Self::Unreadable,
        }
    }
}

fn padded(line: &str) -> [u8; LINE_BYTES] {
    let mut bytes = [b' '; LINE_BYTES];
    let length = line.len().min(LINE_BYTES - 1);
    bytes[..length].copy_from_slice(&line.as_bytes()[..length]);
    bytes[LINE_BYTES - 1] = b'\n';
    bytes
}

fn exists(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Reads `/proc/PID/stat` (proc(5)): `PID (NAME) STATE PARENT …`. A process with another name is
/// a later bearer of the number.
fn state(pid: i32) -> Child {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Child::Gone };
    let Some((name, rest)) = text.split_once(" (").and_then(|(_, text)| text.rsplit_once(") "))
    else {
        return Child::Gone;
    };
    let mut rest = rest.split(' ');
    match (rest.next(), rest.next().and_then(|parent| parent.parse().ok())) {
        _ if name != DELETER_NAME => Child::Gone,
        (Some("Z"), Some(parent)) => Child::Zombie { parent },
        // On its way out, and out of anybody's sight.
        (Some("X"), _) => Child::Gone,
        _ => Child::Alive,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_survive_a_round_trip_and_shorter_ones_cover_longer_ones() {
        let path = std::env::temp_dir().join(format!("cais-record-{}", std::process::id()));
        let record = Record::at(&path);
        record.write("unproven 1234567 2345678").unwrap();
        assert_eq!(record.read().unwrap(), Line::Unproven { forker: 1_234_567, child: 2_345_678 });
        record.write("reaped 12 34").unwrap();
        assert_eq!(record.read().unwrap(), Line::Reaped { forker: 12, child: 34 });
        assert_eq!(record.not_reaped(), None);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_first_call_on_a_host_claims_and_only_one_gets_it() {
        let path = std::env::temp_dir().join(format!("cais-claim-{}/deleter", std::process::id()));
        assert_eq!(Record::at(&path).claim(), Verdict::Detach);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o755, 0o600));
        assert_eq!(Record::at(&path).claim(), Verdict::Wait);
        // Another process holds the claim, has not forked yet, and lives: PID 1.
        Record::at(&path).write("unproven 1 0").unwrap();
        assert_eq!(Record::at(&path).verdict(), Verdict::Wait);
        // It died: no process has the highest number.
        Record::at(&path).write("unproven 2147483647 0").unwrap();
        assert_eq!(Record::at(&path).verdict(), Verdict::Detach);
        let ours = Line::Unproven { forker: std::process::id() as i32, child: 0 };
        assert_eq!(Record::at(&path).read().unwrap(), ours);
        // One who saw the dead claim, too, but comes later, leaves the new one alone.
        let dead = Line::Unproven { forker: i32::MAX, child: 0 };
        assert_eq!(Record::at(&path).claim_again(&dead), Verdict::Wait);
        assert_eq!(Record::at(&path).read().unwrap(), ours);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_torn_or_foreign_line_is_unreadable_and_harmless() {
        for text in ["", "\0\0", "reaped", "reaped 1", "reaped x y", "hello 1 2", "\u{fffd}"] {
            assert_eq!(Line::parse(text.as_bytes()), Line::Unreadable, "{text:?}");
        }
    }
}
