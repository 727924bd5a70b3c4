//! ADD: what is there is written down, then changed; each change pushes its inverse.

use std::io;

use attach::error::{no_netns, refused};
use attach::host::identity;
use attach::steps::{self, step};
use cni::{Call, Error, code, state};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::{Key, SysctlError};
use kernel::undo::Undo;

use crate::attributes::Attributes;
use crate::backup::{self, Backup};
use crate::config::Config;
use crate::record::{Record, Saved, Store};
use crate::sysctl::{Sysctl, is_same_value};

/// Changes all that is asked for, or nothing. The calling thread is in the container's namespace
/// afterwards, unless there is nothing to change.
pub(crate) fn add(call: &Call, config: &Config) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    if config.is_empty() {
        return Ok(());
    }
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let socket = Socket::open(netns.path().display().to_string()).map_err(|e| refused(&e))?;
    let present = Present::read(&socket, call, config)?;
    let adding = Adding { call, config, socket, present, store: Store::under(&state::run_dir()) };
    steps::run(|undo| adding.steps(&netns, undo))
}

/// What is there before anything is changed.
struct Present {
    /// The interface and those of its attributes that will be changed; `None` where none will be.
    link: Option<(Link, Attributes)>,
    /// The switches, in the order of the configuration, and what they are.
    switches: Vec<(Key, Option<String>)>,
}

impl Present {
    fn read(socket: &Socket, call: &Call, config: &Config) -> Result<Self, Error> {
        let ifname = &call.attachment.ifname;
        let mut link = None;
        if !config.attributes.is_empty() {
            let found = link::get(socket, ifname).map_err(|e| {
                refused(&e).with_hint("an earlier plugin of the list has to make the interface")
            })?;
            let has = Attributes::of(&found, &config.attributes);
            if config.attributes.mac.is_some() && has.mac.is_none() {
                let text = format!(
                    "key \"mac\": {ifname} in {} is no Ethernet link and has no such address",
                    socket.place()
                );
                return Err(Error::new(code::UNSUPPORTED_FIELD, text));
            }
            link = Some((found, has));
        }
        let switch = |sysctl: &Sysctl| {
            let key = sysctl.key(ifname).ok_or_else(|| missing(sysctl, socket.place()))?;
            // Some are only written to, others cannot be read before they were.
            let before = key.read().ok();
            Ok((key, before))
        };
        let switches = config.sysctls.iter().map(switch).collect::<Result<_, _>>()?;
        Ok(Self { link, switches })
    }
}

struct Adding<'a> {
    call: &'a Call,
    config: &'a Config,
    socket: Socket,
    present: Present,
    store: Store,
}

impl Adding<'_> {
    fn steps<'s>(&'s self, netns: &Netns, undo: &mut Undo<'s>) -> Result<(), Error> {
        step("record");
        let earlier = self.store.read(&self.call.attachment);
        let mut record = self.record(netns, earlier.clone())?;
        self.keep(&mut record, earlier, undo)?;
        step("sysctl");
        for (sysctl, (key, before)) in self.config.sysctls.iter().zip(&self.present.switches) {
            write(key, &sysctl.value).map_err(|e| self.not_set(sysctl, &e))?;
            if let Some(before) = before {
                let undone = format!("set sysctl {key} to {before}");
                undo.push(undone, move || Ok(write(key, before)?));
            }
        }
        step("attributes");
        self.change_attributes(undo)?;
        step("reading back");
        if self.read_back(&mut record) {
            self.store.write(&record).map_err(|e| self.not_recorded(&e))?;
        }
        step("done");
        Ok(())
    }

    /// What is to be restored. An attachment that has been changed before, by an ADD without a DEL
    /// or by another `tuning` of the same list, keeps its first values.
    fn record(&self, netns: &Netns, earlier: Option<Record>) -> Result<Record, Error> {
        let netns_id = identity(netns).map_err(|e| self.not_recorded(&e))?;
        let key = &self.call.attachment;
        let earlier = earlier.filter(|earlier| earlier.netns_id == netns_id);
        let mut record = earlier.unwrap_or_else(|| Record {
            key: key.clone(),
            netns: String::new(),
            netns_id,
            backup: None,
            sysctls: Vec::new(),
        });
        record.netns = self.call.sandbox();
        for (sysctl, (key, before)) in self.config.sysctls.iter().zip(&self.present.switches) {
            record.save(Saved {
                path: key.as_path().to_owned(),
                before: before.clone(),
                after: sysctl.value.clone(),
            });
        }
        Ok(record)
    }

    /// Writes record and backup file, in this order, so that GC knows whose file it is.
    fn keep<'s>(
        &'s self,
        record: &mut Record,
        earlier: Option<Record>,
        undo: &mut Undo<'s>,
    ) -> Result<(), Error> {
        let Some((_, has)) = &self.present.link else {
            return self.write_record(record, earlier, undo);
        };
        let mut first = *has;
        if let Some(path) = &record.backup {
            first = Backup::at(path.clone()).read().or(first);
        }
        let backup = Backup::of(&record.key, &self.config.data_dir);
        record.backup = Some(backup.path().to_owned());
        self.write_record(record, earlier, undo)?;
        let bytes = backup.bytes();
        backup.write(&backup::text(&first)).map_err(|e| self.not_backed_up(&backup, &e))?;
        undo.push(format!("remove {}", backup.path().display()), move || {
            match bytes {
                Some(bytes) => backup.write(&bytes)?,
                None => backup.remove()?,
            }
            Ok(())
        });
        Ok(())
    }

    fn write_record<'s>(
        &'s self,
        record: &Record,
        earlier: Option<Record>,
        undo: &mut Undo<'s>,
    ) -> Result<(), Error> {
        self.store.write(record).map_err(|e| self.not_recorded(&e))?;
        let key = &self.call.attachment;
        undo.push(format!("remove record of {key}"), move || {
            match earlier {
                Some(earlier) => self.store.write(&earlier)?,
                None => self.store.remove(key)?,
            }
            Ok(())
        });
        Ok(())
    }

    fn change_attributes<'s>(&'s self, undo: &mut Undo<'s>) -> Result<(), Error> {
        let Some((link, has)) = &self.present.link else { return Ok(()) };
        let changes = self.config.attributes.changes(&link.dev);
        for (change, inverse) in changes.into_iter().zip(has.changes(&link.dev)) {
            self.socket.run(&change.request()).map_err(|e| refused(&e))?;
            let inverse = inverse.request();
            undo.push(inverse.action().to_string(), move || Ok(self.socket.run(&inverse)?));
        }
        Ok(())
    }

    /// The kernel may make something else of a value than what was written; CHECK and DEL have to
    /// know. Whether anything of `record` changed.
    fn read_back(&self, record: &mut Record) -> bool {
        let mut changed = false;
        for saved in record.sysctls.iter_mut().filter(|saved| saved.before.is_some()) {
            let reads = Key::net(&saved.path).and_then(|key| key.read().ok());
            if let Some(reads) = reads.filter(|reads| !is_same_value(reads, &saved.after)) {
                saved.after = reads;
                changed = true;
            }
        }
        changed
    }

    fn not_recorded(&self, error: &io::Error) -> Error {
        let (key, dir) = (&self.call.attachment, state::run_dir());
        Error::new(code::IO, format!("record {key} in {}: {error}", dir.display()))
    }

    fn not_backed_up(&self, backup: &Backup, error: &io::Error) -> Error {
        let text = format!(
            "key \"dataDir\": write what {} had to {}: {error}",
            self.call.attachment,
            backup.path().display()
        );
        let hint = match error.kind() {
            io::ErrorKind::InvalidFilename => {
                "the container id, or dataDir, is too long for a file"
            }
            _ => "dataDir has to be a directory that can be made and written to",
        };
        Error::new(code::IO, text).with_hint(hint)
    }

    fn not_set(&self, sysctl: &Sysctl, error: &SysctlError) -> Error {
        let text = format!(
            "key \"sysctl\": {} for {} in {}: {error}",
            sysctl.name,
            self.call.attachment.ifname,
            self.socket.place()
        );
        let kind = match error {
            SysctlError::Read { source, .. } | SysctlError::Write { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        match kind {
            io::ErrorKind::InvalidInput => Error::new(code::INVALID_CONFIG, text)
                .with_hint("the kernel does not take this value for this sysctl"),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Error::new(code::IO, text).with_hint(
                    "the sysctl or /proc/sys is read-only here; a runtime in a container needs \
                     /proc/sys/net writable",
                )
            }
            _ => Error::new(code::IO, text),
        }
    }
}

/// An empty value is a line of nothing: a write of no bytes would not reach the kernel.
pub(crate) fn write(key: &Key, value: &str) -> Result<(), SysctlError> {
    key.write(if value.is_empty() { "\n" } else { value })
}

fn missing(sysctl: &Sysctl, place: &str) -> Error {
    let text = format!("key \"sysctl\": {} in {place}: there is no such sysctl", sysctl.name);
    Error::new(code::INVALID_CONFIG, text).with_hint(
        "`sysctl -a` in that namespace lists those that it has; some come with a kernel module, \
         some are the host's alone",
    )
}
