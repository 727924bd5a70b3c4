//! A daemon of ours as its clients see it: a socket in the run directory on which each message is
//! one packet, with descriptors beside it where sockets are handed over, and a program that the
//! first client starts.
//!
//! This crate does not know what is said on the socket.

mod channel;
mod detached;
mod lock;
pub mod notify;
mod start;

pub use channel::{Channel, MOST_BYTES};
pub use detached::{activated, inherited, start_detached};
pub use lock::lock;
pub use start::{SERVE, START, find, listen_at, quiet, start, unfinished};

use std::path::{Path, PathBuf};
use std::time::Instant;

use cni::{Error, code};

/// A daemon of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// File name of its program, beside the plugins.
    pub program: &'static str,
}

impl Daemon {
    /// The error when the time is over.
    #[must_use]
    pub fn unanswered(self, path: &Path) -> Error {
        let text = format!("{} did not answer on {} in time", self.program, path.display());
        Error::new(code::TRY_AGAIN, text).with_hint(
            "if it never does: `fuser` on that path names the process, which may be killed",
        )
    }

    /// Connects to the socket at `path`; `None` when nobody listens there.
    ///
    /// # Errors
    /// Code 11 when that takes longer than until `until`; code 5 with what the system said.
    pub fn connect(self, path: &Path, until: Instant) -> Result<Option<Channel<'_>>, Error> {
        Channel::connect(self, path, until)
    }

    /// Starts a process of the daemon that listens at `path`, see [`start()`].
    ///
    /// # Errors
    /// As [`start()`].
    pub fn start(self, path: &Path, plugin_path: &[PathBuf], until: Instant) -> Result<(), Error> {
        start(self, path, plugin_path, until)
    }
}

/// An error of the system, with what was tried before it.
fn failed(step: impl std::fmt::Display, error: impl std::fmt::Display) -> Error {
    Error::new(code::IO, format!("{step}: {error}"))
}
