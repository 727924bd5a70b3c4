//! The control socket: made here, or passed by systemd.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cni::{Error, code};

use super::flags::Flags;
use crate::control::{Client, PATIENCE};
use crate::{lib_dir, prefixed};

/// What tells clients that the daemon is there, and other daemons.
pub(super) struct Listening {
    pub(super) socket: UnixListener,
    /// What goes with the daemon.
    files: Vec<PathBuf>,
    /// Held as long as the process lives, however it ends.
    _lock: File,
}

/// How long an earlier daemon may take to end.
const TAKEOVER: Duration = Duration::from_secs(2);

impl Listening {
    /// Listens where `flags` say, unless systemd does already. A socket that a killed daemon left is
    /// replaced.
    ///
    /// # Errors
    /// Code 11 when another daemon keeps the leases of this host; code 5 with what the system said.
    pub(super) fn begin(flags: &Flags) -> Result<Self, Error> {
        let failed = |step: String, error: &dyn std::fmt::Display| {
            Error::new(code::IO, format!("{step}: {error}"))
        };
        let passed = control::activated();
        let leases = lib_dir(&flags.host_prefix).join("dhcp");
        let lock = control::lock(&leases, Instant::now() + TAKEOVER, "keep leases")
            .map_err(|error| error.with_hint("is another `dhcp daemon` running?"))?;
        let mut files = Vec::new();
        let socket = match passed {
            Some(passed) => passed.map_err(|error| {
                failed("take the socket of systemd".to_owned(), &error).with_hint(
                    "the unit needs ListenSequentialPacket=, not ListenStream= as the reference's",
                )
            })?,
            None => {
                let path = prefixed(&flags.host_prefix, &flags.socket);
                // What else may listen there: the reference's daemon.
                if Client::connect(&path, PATIENCE)?.is_some() {
                    let text = format!("listen on {}: somebody does already", path.display());
                    return Err(Error::new(code::TRY_AGAIN, text));
                }
                let step = || format!("listen on {}", path.display());
                if let Some(dir) = path.parent() {
                    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
                    made.map_err(|error| failed(step(), &error))?;
                }
                let socket = control::listen_at(&path).map_err(|error| failed(step(), &error))?;
                files.push(path);
                UnixListener::from(socket)
            }
        };
        if let Some(pidfile) = &flags.pidfile {
            write_pid(pidfile)
                .map_err(|error| failed(format!("write {}", pidfile.display()), &error))?;
            files.push(pidfile.clone());
        }
        Ok(Self { socket, files, _lock: lock })
    }

    /// Takes away what would say that the daemon is there.
    pub(super) fn end(self) {
        for file in &self.files {
            // One that is gone already is as good.
            let _ = fs::remove_file(file);
        }
    }
}

fn write_pid(path: &std::path::Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, std::process::id().to_string())
}
