//! Masters that are made with their first user and go with the last: a VLAN that is named as
//! `eth0.50`, which is VLAN 50 of `eth0`.
//!
//! Who uses one is known by a small file for each attachment below `/run/cais/masters`, since the
//! kernel does not tell what stands on a link from within other namespaces. A VLAN that somebody else
//! made is used like any other master, and stays.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use attach::error::refused;
use cni::keyed::{Keyed, entries};
use cni::{Error, code};
use kernel::link::{self, Deleter, Link, Vlan};
use kernel::netlink::Socket;
use kernel::undo::Undo;
use types::{Attachment, IfName, VlanId};

/// What marks a master as made by us in its alias.
const ALIAS: &str = "cais:master";

/// Begins each file: the number of its layout.
const LAYOUT: &str = "1 ";

/// Longer than making or deleting a link takes.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// Held while a master is made and stood upon, and while one is left: nobody else does either.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

/// Who uses which master that was made.
#[derive(Debug)]
pub(crate) struct Users {
    dir: PathBuf,
    files: Keyed,
}

/// The link and the VLAN on it that `name` stands for.
pub(crate) fn vlan(name: &IfName) -> Option<(IfName, VlanId)> {
    let (parent, id) = name.as_str().rsplit_once('.')?;
    let id: u32 = id.parse().ok()?;
    Some((parent.parse().ok()?, VlanId::try_from(id).ok()?))
}

impl Users {
    /// Those known below `run_dir`.
    pub(crate) fn under(run_dir: &Path) -> Self {
        let dir = run_dir.join("masters");
        Self { files: Keyed::below(dir.clone()), dir }
    }

    /// Makes the master `name` for `key` where it is missing, or joins those who use one that was
    /// made. `None` where it is no name of a VLAN, or somebody else's.
    ///
    /// # Errors
    /// What was tried and why it failed.
    pub(crate) fn join<'a>(
        self,
        host: &'a Socket,
        key: &'a Attachment,
        name: &IfName,
        undo: &mut Undo<'a>,
    ) -> Result<Option<Held>, Error> {
        let Some((parent, id)) = vlan(name) else { return Ok(None) };
        let there = || link::find(host, name).map_err(|e| refused(&e));
        if there()?.is_some_and(|link| !is_made(&link)) {
            return Ok(None);
        }
        let held = self.lock()?;
        let Some(parent) = link::find(host, &parent).map_err(|e| refused(&e))? else {
            return Ok(None);
        };
        self.note(key, name, host, undo)?;
        // Looked for again, now that nobody makes or deletes one.
        if there()?.is_none() {
            make(host, name, &parent, id)?;
        }
        Ok(Some(held))
    }

    /// Notes that `key` uses `name`. An attachment that is there already keeps what was noted of it
    /// when this ADD fails.
    fn note<'a>(
        self,
        key: &'a Attachment,
        name: &IfName,
        host: &'a Socket,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        let text = format!("{LAYOUT}{name}").into_bytes();
        let earlier = self.files.read(key);
        if earlier.as_ref() == Some(&text) {
            return Ok(());
        }
        let failed = |e| Error::new(code::IO, format!("note that {key} uses {name}: {e}"));
        self.files.write(key, &text).map_err(failed)?;
        undo.push(format!("leave {name}"), move || {
            self.leave(host, key)?;
            match earlier {
                Some(earlier) => Ok(self.files.write(key, &earlier)?),
                None => Ok(()),
            }
        });
        Ok(())
    }

    /// Whether `key` uses a master that was made.
    pub(crate) fn has(&self, key: &Attachment) -> bool {
        self.files.read(key).is_some()
    }

    /// Forgets that `key` uses a master, and deletes that when it was the last.
    ///
    /// # Errors
    /// What was tried and why it failed.
    pub(crate) fn leave(&self, host: &Socket, key: &Attachment) -> Result<(), Error> {
        let Some(name) = self.files.read(key).as_deref().and_then(master_in) else {
            return self.forget(key);
        };
        let _held = self.lock()?;
        let unreadable = |e| Error::new(code::IO, format!("look who uses {name}: {e}"));
        if self.count(&name).map_err(unreadable)? <= 1 {
            let link = link::find(host, &name).map_err(|e| refused(&e))?;
            if let Some(link) = link.filter(is_made) {
                // Not by a child, which must not be forked while a lock is held.
                Deleter::waiting().delete(host, &link, &[]).map_err(|e| refused(&e))?;
            }
        }
        // Last, so that a call that is killed before leaves somebody to do it again.
        self.forget(key)
    }

    /// Removes what is noted of `key`, also what a killed call left of it.
    ///
    /// # Errors
    /// With the file system's words.
    pub(crate) fn forget(&self, key: &Attachment) -> Result<(), Error> {
        let failed = |e| Error::new(code::IO, format!("forget which master {key} uses: {e}"));
        self.files.remove(key).map_err(failed)
    }

    /// How many use `name`.
    fn count(&self, name: &IfName) -> io::Result<usize> {
        let mut count = 0;
        for network in entries(&self.dir)? {
            let files = entries(&network)?;
            // Those that are being written, or were when their call was killed, count no more.
            let whole = files.iter().filter(|file| !is_hidden(file));
            let masters = whole.filter_map(|file| master_in(&fs::read(file).ok()?));
            count += masters.filter(|master| master == name).count();
        }
        Ok(count)
    }

    /// Locks the directory, which leaves no file behind.
    fn lock(&self) -> Result<Held, Error> {
        let step = || format!("lock {}", self.dir.display());
        let failed = |e: io::Error| Error::new(code::IO, format!("{}: {e}", step()));
        let dir = match File::open(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
                made.and_then(|()| File::open(&self.dir)).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        match deadline::lock(&dir, LOCK_DEADLINE) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                Err(Error::new(code::TRY_AGAIN, format!("{}: others hold it", step()))
                    .with_hint("calls that make or delete a master take turns: call again"))
            }
            Err(e) => Err(failed(e)),
            Ok(()) => Ok(Held { _lock: dir }),
        }
    }
}

/// Makes a VLAN and says whose it is by one system call, so that none without an alias is left when
/// the process is killed.
fn make(host: &Socket, name: &IfName, parent: &Link, id: VlanId) -> Result<(), Error> {
    let create = Vlan::new(name.clone(), &parent.dev, id).up().create();
    let named = link::set(name).alias(ALIAS).request();
    let mut done = host.batch(&[create, named]).into_iter();
    let made = done.next().transpose().map(drop);
    made.map_err(|error| {
        let told = refused(&error)
            .in_step(format!("make the master of key \"master\" over {}", parent.dev));
        match parent.is_up() {
            false => told.with_hint(format!("ip link set {} up", parent.dev)),
            true => told,
        }
    })?;
    done.next().transpose().map(drop).map_err(|error| {
        // Nobody would ever delete it.
        let _ = Deleter::waiting().delete(host, name, &[]);
        refused(&error)
    })
}

fn is_hidden(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_made(link: &Link) -> bool {
    link.is_kind("vlan") && link.alias.as_deref() == Some(ALIAS)
}

/// The name in a file; `None` for a torn one, and for one of a newer layout.
fn master_in(text: &[u8]) -> Option<IfName> {
    str::from_utf8(text).ok()?.strip_prefix(LAYOUT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    #[test]
    fn a_vlan_is_named_by_its_parent_and_its_id() {
        let named =
            |text: &str| vlan(&name(text)).map(|(parent, id)| (parent.to_string(), id.get()));
        assert_eq!(named("eth0.50"), Some(("eth0".into(), 50)));
        assert_eq!(named("eth0.1.4094"), Some(("eth0.1".into(), 4094)));
        for other in ["eth0", "eth0.", "eth0.0", "eth0.4095", "eth0.x", ".5", "eth0.-1"] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn users_of_a_master_are_counted_over_all_networks() {
        let dir = std::env::temp_dir().join(format!("cais-masters-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let users = Users::under(&dir);
        let key = |network: &str, container: &str| Attachment {
            network: network.parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: name("eth0"),
        };
        assert_eq!(users.count(&name("eth0.50")).unwrap(), 0);
        for (network, container, master) in
            [("a", "1", "eth0.50"), ("a", "2", "eth0.51"), ("b", "1", "eth0.50")]
        {
            let text = format!("{LAYOUT}{master}");
            users.files.write(&key(network, container), text.as_bytes()).unwrap();
        }
        assert_eq!(users.count(&name("eth0.50")).unwrap(), 2);
        assert!(users.has(&key("b", "1")));
        users.forget(&key("b", "1")).unwrap();
        assert_eq!(users.count(&name("eth0.50")).unwrap(), 1);
        // Not renamed yet, torn, and of a layout that we do not know.
        fs::write(dir.join("masters/a/.3@eth0.new"), format!("{LAYOUT}eth0.50")).unwrap();
        users.files.write(&key("c", "1"), b"").unwrap();
        users.files.write(&key("c", "2"), b"2 eth0.50").unwrap();
        assert_eq!(users.count(&name("eth0.50")).unwrap(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
