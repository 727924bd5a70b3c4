use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cni::{Error, code};
use kernel::mount;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};

use crate::args::Exec;
use crate::fault::{Done, Fault, NO_COMMAND, NOT_RUNNABLE};
use crate::namespace;
use crate::output::note;
use crate::session::Session;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// How `cais run` says what to show as [`RESOLV_CONF`].
pub(crate) const SHOW_AS_RESOLV_CONF: &str = "CAIS_EXEC_RESOLV_CONF";
/// The same for [`HOSTS`].
pub(crate) const SHOW_AS_HOSTS: &str = "CAIS_EXEC_HOSTS";
/// How `cais run` asks that the command ends when it ends itself: its process id.
pub(crate) const DIE_WITH: &str = "CAIS_EXEC_DIE_WITH";

/// `cais exec`: this process becomes the command, so that its exit status, its terminal and its
/// signals are the command's own.
pub(crate) fn run(session: &Session, args: &Exec) -> Done {
    if let Some(parent) = std::env::var_os(DIE_WITH) {
        die_with(&parent).map_err(Fault::ours)?;
    }
    let place = namespace::find(session, &args.netns).map_err(Fault::ours)?;
    let netns = place.open().map_err(Fault::ours)?;
    let failed = |e: &dyn std::error::Error| {
        let error = Error::from_chain(code::IO, e);
        Fault::ours(error.with_hint("this needs root of the namespace: run it inside its lab"))
    };
    netns.enter_for_good().map_err(|e| failed(&e))?;
    mount::enter_private().map_err(|e| failed(&e))?;
    // Only people look there, and some systems forbid it.
    let _ = mount::sysfs(Path::new("/sys"));
    for (variable, path) in [(SHOW_AS_RESOLV_CONF, RESOLV_CONF), (SHOW_AS_HOSTS, HOSTS)] {
        if let Ok(text) = std::env::var(variable) {
            cover(Path::new(path), &text);
        }
    }
    become_command(&args.command)
}

/// Replaces this process by the command, or a shell where there is none.
pub(crate) fn become_command(command: &[OsString]) -> Done {
    // What we held back for ourselves is the command's to get.
    let _ = SigSet::all().thread_unblock();
    let shell = || std::env::var_os("SHELL").filter(|s| !s.is_empty());
    let (program, args) = match command.split_first() {
        Some((program, args)) => (program.clone(), args),
        None => (shell().unwrap_or_else(|| "/bin/sh".into()), [].as_slice()),
    };
    let mut becomes = Command::new(&program);
    becomes.args(args).env_remove(SHOW_AS_RESOLV_CONF).env_remove(SHOW_AS_HOSTS);
    becomes.env_remove(DIE_WITH);
    let error = becomes.exec();
    let exit = if error.kind() == io::ErrorKind::NotFound { NO_COMMAND } else { NOT_RUNNABLE };
    let text = format!("run {}: {error}", program.to_string_lossy());
    Err(Fault { error: Error::new(code::IO, text), exit })
}

/// Ends this process, and the command that it becomes, when `parent` ends.
fn die_with(parent: &OsStr) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Error::new(code::IO, format!("ask for the end of the parent: {e}")))?;
    // It may have ended before we asked.
    if nix::unistd::getppid().to_string().as_str() == parent {
        return Ok(());
    }
    Err(Error::new(code::TRY_AGAIN, "the process that wanted this is gone"))
}

/// Puts `text` over the file at `path` in our own mount namespace. A system where that cannot be
/// done still runs the command.
fn cover(path: &Path, text: &str) {
    let covered = fs::canonicalize(path).and_then(|target| {
        let file = write_temporary(path, text)?;
        let bound = mount::bind(&file, &target).map_err(io::Error::other);
        // The mount holds what it shows.
        fs::remove_file(&file).and(bound)
    });
    if let Err(e) = covered {
        note(&format!("cais: {} does not show what the networks say: {e}", path.display()));
    }
}

fn write_temporary(path: &Path, text: &str) -> io::Result<PathBuf> {
    let directory = cni::state::run_dir();
    fs::create_dir_all(&directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = directory.join(format!("{name}.{}", std::process::id()));
    // A process of our number may have died here.
    let _ = fs::remove_file(&file);
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file)?;
    new.write_all(text.as_bytes())?;
    Ok(file)
}
