//! `--trace`: every call of a plugin on standard error.

use std::collections::BTreeMap;

use cni::runtime::Step;
use serde::Serialize;

use crate::output::note;

/// Shows a step in full.
pub(crate) fn show(step: &Step<'_>, json: bool) {
    if json {
        // A line each, so that steps can be read while they come.
        if let Ok(line) = serde_json::to_string(&Line::of(step)) {
            note(&line);
        }
        return;
    }
    let Line { plugin, program, command, environment, stdin, stdout, stderr, status, ms, .. } =
        Line::of(step);
    note(&format!("-- {plugin} {command}: {program}"));
    for (name, value) in environment {
        note(&format!("   {name}={value}"));
    }
    for (name, text) in [("stdin", stdin), ("stdout", stdout), ("stderr", stderr)] {
        for (i, line) in text.trim_end().lines().enumerate() {
            let name = if i == 0 { name } else { "" };
            note(&format!("   {name:6} {line}"));
        }
    }
    note(&format!("   {status}, {ms:.1} ms"));
}

/// Passes on what a plugin said on standard error. What a failed one said is in its error where it
/// said nothing else.
pub(crate) fn pass_on_stderr(step: &Step<'_>) {
    if step.error.is_some() && step.output.stdout.is_empty() {
        return;
    }
    for line in String::from_utf8_lossy(&step.output.stderr).lines() {
        note(&format!("{}: {line}", step.kind));
    }
}

#[derive(Serialize)]
struct Line<'a> {
    plugin: &'a str,
    program: String,
    command: &'a str,
    environment: BTreeMap<&'a str, String>,
    stdin: String,
    stdout: String,
    stderr: String,
    status: String,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Line<'a> {
    fn of(step: &Step<'a>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = |(name, value): &(&'a str, std::ffi::OsString)| {
            (*name, value.to_string_lossy().into_owned())
        };
        let status = match (&*step.output.status, step.error) {
            ("", Some(error)) => error.msg.clone(),
            (status, _) => status.to_owned(),
        };
        Line {
            plugin: step.kind,
            program: step.program.display().to_string(),
            command: step.command,
            environment: step.vars.iter().map(value).collect(),
            stdin: text(step.stdin),
            stdout: text(&step.output.stdout),
            stderr: text(&step.output.stderr),
            status,
            ms: step.output.elapsed.as_secs_f64() * 1000.0,
            error: step.error.map(ToString::to_string),
        }
    }
}
