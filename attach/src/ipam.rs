//! The IPAM plugin that a configuration names: executed as the specification says, or called in
//! this process when the file found in `CNI_PATH` was built together with us. Both ways behave the
//! same and give the same bytes; the second spares a process.

use std::path::{Path, PathBuf};

use cni::exec::{DELEGATE_DEADLINE, Run, Stderr, delegate_vars, find};
use cni::{AddResult, Call, Config, Error, NetworkCall, Plugin, ResultShape, code};
use kernel::suite;
use kernel::undo::Undo;

use crate::host::Host;

/// Where the addresses of attachments come from.
pub trait Addresses: Sync {
    /// Takes addresses for the attachment. When it fails it holds none.
    ///
    /// # Errors
    /// Why there are none.
    fn add(&self, call: &Call) -> Result<AddResult, Error>;

    /// Gives the attachment's addresses back.
    ///
    /// # Errors
    /// What went wrong.
    fn del(&self, call: &Call) -> Result<(), Error>;

    /// Whether all is done in this process: then nobody has to see the link before it goes.
    fn is_in_process(&self) -> bool;
}

impl Addresses for Ipam<'_> {
    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        self.add(call)
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        self.del(call)
    }

    fn is_in_process(&self) -> bool {
        self.is_in_process()
    }
}

/// Takes addresses for the attachment of `call`, to be given back when a later step fails.
///
/// # Errors
/// As [`Addresses::add`].
pub fn lease<'a>(
    addresses: &'a dyn Addresses,
    call: &'a Call,
    host: &'a Host,
    undo: &mut Undo<'a>,
) -> Result<AddResult, Error> {
    let answer = addresses.add(call)?;
    undo.push("release addresses", move || {
        // By then the thread may be in the container, and plugins are run on the host.
        Ok(host.netns.run(|| addresses.del(call))??)
    });
    Ok(answer)
}

/// DEL of a plugin that delegates: `remove` is given what the configuration names. What is wrong with
/// that is told when all is removed. Nothing else of the configuration matters.
///
/// # Errors
/// Those of `remove`, and codes 6 and 7 about the key.
pub fn del(
    call: &Call,
    in_process: &[&dyn Plugin],
    remove: impl FnOnce(Option<&dyn Addresses>) -> Result<(), Error>,
) -> Result<(), Error> {
    let ipam = Ipam::named_by(&call.config, &call.path, in_process);
    remove(ipam.as_ref().ok().and_then(Option::as_ref).map(|ipam| ipam as &dyn Addresses))?;
    ipam.map(drop)
}

/// GC of a plugin that delegates. IPAM comes first: without a list it knows the dead by their records,
/// which `sweep` removes.
///
/// # Errors
/// What went wrong, joined.
pub fn gc(
    call: &NetworkCall,
    in_process: &[&dyn Plugin],
    sweep: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let ipam = Ipam::named_by(&call.config, &call.path, in_process)?;
    let released = ipam.map_or(Ok(()), |ipam| ipam.gc(call));
    Error::all([sweep(), released])
}

/// Claims that an IPAM plugin gave an address at all.
///
/// # Errors
/// Code 7.
pub fn must_have_addresses(answer: &AddResult) -> Result<(), Error> {
    if answer.ips.is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "IPAM plugin returned missing IP config")
            .with_hint("give \"ipam\" a range or an address"));
    }
    Ok(())
}

/// The IPAM plugin of one call.
pub struct Ipam<'a> {
    kind: String,
    path: &'a [PathBuf],
    in_process: &'a [&'a dyn Plugin],
}

/// How a delegate is reached.
enum Reached<'a> {
    Here(&'a dyn Plugin),
    File(PathBuf),
}

impl<'a> Ipam<'a> {
    /// The plugin `kind`, looked for in `path`. `in_process` are those that this program holds.
    #[must_use]
    pub fn new(
        kind: impl Into<String>,
        path: &'a [PathBuf],
        in_process: &'a [&'a dyn Plugin],
    ) -> Self {
        Self { kind: kind.into(), path, in_process }
    }

    /// The one that `network` names, if it names any.
    ///
    /// # Errors
    /// Codes 6 and 7.
    fn named_by(
        network: &Config,
        path: &'a [PathBuf],
        in_process: &'a [&'a dyn Plugin],
    ) -> Result<Option<Self>, Error> {
        Ok(network.ipam_type()?.map(|kind| Self::new(kind, path, in_process)))
    }

    /// Whether the plugin is called in this process.
    #[must_use]
    pub fn is_in_process(&self) -> bool {
        matches!(self.reach_for_removal(), Ok(Reached::Here(_)))
    }

    /// Takes addresses for the attachment. When it fails it holds none.
    ///
    /// # Errors
    /// The plugin's own, or why it cannot be run.
    pub fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let version = call.config.version();
        let text = match self.reach()? {
            // Through the printed form, so that an old version drops the same either way.
            Reached::Here(plugin) => {
                let printed = plugin.add(call).and_then(|result| {
                    let text = result.encode(version, ResultShape::OfVersion);
                    text.inspect_err(|_| self.release(call))
                });
                printed.map_err(|e| self.told_by(e))?
            }
            Reached::File(file) => self.run(&file, "ADD", &call.config).inspect_err(|error| {
                // The specification wants DEL after a failed ADD; but an address that an earlier
                // attachment of this key holds is not this call's to give away.
                if !error.msg.contains("duplicate allocation") {
                    self.release(call);
                }
            })?,
        };
        AddResult::parse(&text, version)
            .inspect_err(|_| self.release(call))
            .map_err(|e| self.told_by(e))
    }

    /// Gives the attachment's addresses back. Without the plugin's file the one in this program
    /// serves, so that no address stays behind because a file is missing.
    ///
    /// # Errors
    /// The plugin's own, or why it cannot be run.
    pub fn del(&self, call: &Call) -> Result<(), Error> {
        match self.reach_for_removal()? {
            Reached::Here(plugin) => plugin.del(call).map_err(|e| self.told_by(e)),
            Reached::File(file) => self.run(&file, "DEL", &call.config).map(drop),
        }
    }

    /// Asks whether the attachment's addresses are still held.
    ///
    /// # Errors
    /// The plugin's own, or why it cannot be run.
    pub fn check(&self, call: &Call) -> Result<(), Error> {
        match self.reach()? {
            Reached::Here(plugin) => plugin.check(call).map_err(|e| self.told_by(e)),
            Reached::File(file) => self.run(&file, "CHECK", &call.config).map(drop),
        }
    }

    /// Gives back the addresses of all attachments that are no longer valid.
    ///
    /// # Errors
    /// The plugin's own, or why it cannot be run.
    pub fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        match self.reach_for_removal()? {
            Reached::Here(plugin) => plugin.gc(call).map_err(|e| self.told_by(e)),
            Reached::File(file) => self.run(&file, "GC", &call.config).map(drop),
        }
    }

    /// Asks whether the plugin can serve.
    ///
    /// # Errors
    /// The plugin's own, or why it cannot be run.
    pub fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        match self.reach()? {
            Reached::Here(plugin) => plugin.status(call).map_err(|e| self.told_by(e)),
            Reached::File(file) => self.run(&file, "STATUS", &call.config).map(drop),
        }
    }

    /// Part of a failed ADD, whose own error is the one to tell.
    fn release(&self, call: &Call) {
        if let Err(error) = self.del(call) {
            eprintln!("release addresses of {} after a failed ADD: {error}", call.attachment);
        }
    }

    fn reach(&self) -> Result<Reached<'a>, Error> {
        let file = find(&self.kind, self.path)
            .map_err(|e| e.in_step("look for the IPAM plugin of key \"ipam.type\""))?;
        match self.held() {
            // A file that cannot be read is left to being executed, which says why.
            Some(plugin) if matches!(suite::build_id_of_path(&file), Ok(Some(id)) if id == suite::build_id()) => {
                Ok(Reached::Here(plugin))
            }
            _ => Ok(Reached::File(file)),
        }
    }

    fn reach_for_removal(&self) -> Result<Reached<'a>, Error> {
        self.reach().or_else(|error| self.held().map(Reached::Here).ok_or(error))
    }

    fn held(&self) -> Option<&'a dyn Plugin> {
        self.in_process.iter().copied().find(|plugin| plugin.name() == self.kind)
    }

    /// Callers see nothing but text and code: say whose they are.
    fn told_by(&self, error: Error) -> Error {
        error.in_step(format!("IPAM plugin {}", self.kind))
    }

    fn run(&self, file: &Path, verb: &str, config: &Config) -> Result<Vec<u8>, Error> {
        let run = Run {
            program: file,
            vars: &delegate_vars(verb),
            stdin: config.text(),
            stderr: Stderr::Inherit,
            deadline: DELEGATE_DEADLINE,
        };
        match run.run() {
            Ok(output) => Ok(output.stdout),
            Err(failure) => Err(self.told_by(match failure.error {
                // It ended without an error object, so it is the node's operator who can act.
                error if error.code == 0 => Error { code: code::IO, ..error },
                error => error,
            })),
        }
    }
}
