//! Rules of the reference in the tables of iptables' legacy variant, which nf_tables does not see.
//!
//! A host on which nobody used that variant pays for one look into a file. Elsewhere programs are
//! run, the only ones beside delegates: `iptables-legacy-save` to read, and one
//! `iptables-legacy-restore --noflush` for each family to change all at once. Everything is about
//! the calling thread's network namespace.

mod admitting;
pub(crate) mod fuzzing;
mod layout;
mod program;
mod removal;
mod saved;
mod script;
mod writing;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use types::Family;

use program::Tool;
use saved::Saved;
use script::Script;

pub use admitting::{admit, admit_no_more};
pub use removal::{Trace, is_present, remove, sweep};
pub use writing::{Marking, accept, masquerade, pass, publish};

/// How long all programs that one call runs for one family may take together.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a change is tried that was refused, since others change these tables as well.
const ROUNDS: usize = 3;
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Why rules in legacy tables could be neither read nor changed.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The list of tables in use is unreadable.
    #[error("read {path}: {source}")]
    Names {
        /// The list.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A table is in use, and the program to speak to it is not installed.
    #[error("run {name}: found neither in PATH nor in /usr/sbin and /sbin")]
    Missing {
        /// The program.
        name: String,
    },
    /// A program did not start, or its end could not be awaited.
    #[error("run {}: {source}", program.display())]
    Start {
        /// Its file.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program took too long.
    #[error("{} did not end within {seconds} s and was killed", program.display())]
    TooSlow {
        /// Its file.
        program: PathBuf,
        /// How long all for one family may take together.
        seconds: u64,
    },
    /// A program failed, and changed nothing.
    #[error("{} failed: {text} ({status})", program.display())]
    Failed {
        /// Its file.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        text: String,
    },
    /// A name from a configuration that no rule can have.
    #[error("write iptables rules: `{name}` is no name of a chain or link")]
    Name {
        /// The name.
        name: String,
    },
}

impl LegacyError {
    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some(
                "the kernel holds tables of iptables' legacy variant; install it, or restart \
                 without these tables",
            ),
            Self::TooSlow { .. } => {
                Some("something else may hold the lock of iptables, /run/xtables.lock; try again")
            }
            Self::Name { .. } => Some("use letters, digits and any of `-_.:+*@`, not `-` first"),
            Self::Names { .. } | Self::Start { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Whether `table` of the legacy variant is in use: `nat`, `filter`, and so on. Costs reading one
/// file and runs nothing. A table that somebody only looked at counts as well.
///
/// The kernel shows that list to root of the machine alone. In a user namespace of somebody else
/// the answer is no: to find out by running a program would make the tables that are looked for.
///
/// # Errors
/// [`LegacyError::Names`] where the list is there and cannot be read.
pub fn is_in_use(family: Family, table: &str) -> Result<bool, LegacyError> {
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    match std::fs::read_to_string(path) {
        Ok(names) => Ok(names.lines().any(|name| name == table)),
        // The module is not loaded, or the kernel has none; or we are root of a user namespace.
        Err(error) if is_nothing(error.kind()) => Ok(false),
        Err(source) => Err(LegacyError::Names { path, source }),
    }
}

/// Whether the command `iptables` is the legacy variant on this host, and so what the reference's
/// plugins use. Runs nothing: the name of the file to which it leads says so.
#[must_use]
pub fn is_usual() -> bool {
    let file = program::look_up("iptables").and_then(|file| file.canonicalize().ok());
    let name = file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    // Versions before 1.8 had no other variant.
    name.is_some_and(|name| name.contains("legacy") || name == "xtables-multi")
}

/// Brings the tables `nat` and `filter` into use, so that they can be written.
///
/// # Errors
/// When the program for it is missing, or fails.
pub fn begin() -> Result<(), LegacyError> {
    let until = Instant::now() + LIMIT;
    for family in FAMILIES {
        for table in ["nat", "filter"] {
            if !is_in_use(family, table)? {
                // Whoever asks for a table gets it.
                print(family, table, until)?;
            }
        }
    }
    Ok(())
}

fn is_nothing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

/// Carries out what `plan` makes of each of `tables` that is in use, in one change per family.
fn change(
    family: Family,
    tables: &[&'static str],
    plan: impl Fn(&saved::Table<'_>, &mut Script),
) -> Result<(), LegacyError> {
    let until = Instant::now() + LIMIT;
    let used = in_use(family, tables)?;
    let mut refused = Ok(());
    for _ in 0..ROUNDS {
        let mut script = Script::default();
        for table in &used {
            let printed = print(family, table, until)?;
            let table = Saved::parse(&printed).table(table);
            script.table(table.name, |script| plan(&table, script));
        }
        if script.is_empty() {
            return Ok(());
        }
        let input = (&["--noflush", "--wait"][..], script.text());
        match program::run(Tool::Restore, family, input, until) {
            // The table may have changed since it was printed.
            Err(error @ LegacyError::Failed { .. }) => refused = Err(error),
            other => return other.map(drop),
        }
    }
    refused
}

fn in_use(family: Family, tables: &[&'static str]) -> Result<Vec<&'static str>, LegacyError> {
    let mut used = Vec::new();
    for &table in tables {
        if is_in_use(family, table)? {
            used.push(table);
        }
    }
    Ok(used)
}

/// All rules of a table in use.
fn print(family: Family, table: &str, until: Instant) -> Result<String, LegacyError> {
    program::run(Tool::Save, family, (&["-t", table], ""), until)
}
