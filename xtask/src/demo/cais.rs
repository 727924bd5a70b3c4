//! Calling `cais`, as a person would.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// A call of `cais` that is still to be made.
pub(super) fn command(words: &[&str]) -> Command {
    let program: PathBuf = workspace::target().join("debug/cais");
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    command
}

/// Calls `cais --json`; what it answers, null for nothing, and how long it took.
pub(super) fn call(words: &[&str]) -> Result<(Value, Duration)> {
    let started = Instant::now();
    let out = command(&[&["--json"], words].concat()).output().context("start cais")?;
    let took = started.elapsed();
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        let errors = String::from_utf8_lossy(&out.stderr);
        bail!("cais {}: {}{}", words.join(" "), text.trim(), errors.trim());
    }
    let answer = match text.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).with_context(|| format!("read `{text}`"))?,
    };
    Ok((answer, took))
}

/// This program again, inside the namespace of `container`, or right here for `None`.
pub(super) fn ourselves_in(container: Option<&str>, words: &[&str]) -> Result<Command> {
    let own = std::env::current_exe()?;
    let mut command = match container {
        None => Command::new(own),
        Some(container) => {
            let mut command = command(&["exec", container, "--"]);
            command.arg(own);
            command
        }
    };
    command.arg("demo").args(words).stdin(Stdio::null());
    Ok(command)
}

/// A process that ends when this value does.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
