use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chain::Container;
use crate::error::Error;
use crate::exec::{Failure, Output, Run, Stderr};

/// One call of a plugin, over or about to be tried: what `cais --trace` shows.
#[derive(Debug)]
pub struct Step<'a> {
    /// The plugin's `type`.
    pub kind: &'a str,
    /// Its file.
    pub program: &'a Path,
    /// The verb.
    pub command: &'a str,
    /// The variables set on top of our own environment.
    pub vars: &'a [(&'a str, OsString)],
    /// What it read.
    pub stdin: &'a [u8],
    /// What it left behind, and the error if it failed.
    pub output: &'a Output,
    /// Why it failed.
    pub error: Option<&'a Error>,
}

/// Called after each step.
pub(super) type Observer = Box<dyn Fn(&Step<'_>) + Send + Sync>;

/// A call to be made.
pub(super) struct Call<'a> {
    pub(super) kind: &'a str,
    pub(super) program: &'a Path,
    pub(super) command: &'a str,
    pub(super) vars: Vec<(&'a str, OsString)>,
    pub(super) stdin: &'a [u8],
    pub(super) timeout: Duration,
}

impl Call<'_> {
    /// Makes the call and shows it; gives what the plugin printed.
    pub(super) fn run(&self, observer: &Observer) -> Result<Output, Error> {
        let run = Run {
            program: self.program,
            vars: &self.vars,
            stdin: self.stdin,
            stderr: Stderr::Capture,
            deadline: self.timeout,
        };
        let ended = run.run().map_err(|failure| *failure);
        let (output, error) = match &ended {
            Ok(output) => (output, None),
            Err(Failure { error, output }) => (output, Some(error)),
        };
        observer(&Step {
            kind: self.kind,
            program: self.program,
            command: self.command,
            vars: &self.vars,
            stdin: self.stdin,
            output,
            error,
        });
        ended.map_err(|failure| failure.error)
    }
}

/// The variables of a call. All are set, as every runtime does, those without meaning to empty.
pub(super) fn vars(
    command: &str,
    container: Option<&Container>,
    path: &[PathBuf],
) -> Vec<(&'static str, OsString)> {
    let text = |f: &dyn Fn(&Container) -> OsString| container.map(f).unwrap_or_default();
    let netns =
        |c: &Container| c.netns.as_ref().map(|n| n.clone().into_os_string()).unwrap_or_default();
    vec![
        ("CNI_COMMAND", command.into()),
        ("CNI_CONTAINERID", text(&|c| c.id.as_str().into())),
        ("CNI_NETNS", text(&netns)),
        ("CNI_IFNAME", text(&|c| c.ifname.as_str().into())),
        ("CNI_ARGS", text(&|c| joined_args(&c.args).into())),
        ("CNI_PATH", joined(path)),
    ]
}

fn joined_args(args: &[(String, String)]) -> String {
    let pairs: Vec<String> = args.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(";")
}

fn joined(path: &[PathBuf]) -> OsString {
    let mut text = OsString::new();
    for (i, directory) in path.iter().enumerate() {
        if i > 0 {
            text.push(":");
        }
        text.push(directory);
    }
    text
}
