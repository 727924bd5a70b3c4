use std::path::PathBuf;
use std::process::ExitCode;

use cni::runtime::directory;
use cni::{Error, code};

use crate::args::OfNetwork;
use crate::fault::Done;
use crate::network::{Called, called};
use crate::output;
use crate::session::Session;
use crate::validation::{Finding, Severity, validate};

/// `cais validate`.
pub(crate) fn run(session: &Session, args: &OfNetwork) -> Done {
    let file = file(&args.network)?;
    let report = validate(&file, &directory::plugin_dirs())?;
    let valid = !report.has_errors();
    if session.json {
        output::json(&serde_json::json!({
            "file": file.display().to_string(),
            "valid": valid,
            "cniVersion": report.version,
            "findings": report.findings,
        }))?;
    } else {
        let mut text: String = report.findings.iter().map(line).collect();
        let verdict = if valid { "valid" } else { "not valid" };
        text.push_str(&format!("{}: {verdict}\n", file.display()));
        output::print(&text)?;
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the form that editors jump by.
fn line(finding: &Finding) -> String {
    let Finding { file, line, column, severity, message, hint } = finding;
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let hint = hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("{file}:{line}:{column}: {severity}: {message}\n{hint}")
}

/// The file of a network. One that a name leads to is the file that runtimes take, or the broken
/// one that they stop at.
fn file(text: &str) -> Result<PathBuf, Error> {
    let name = match called(text)? {
        Called::File(file) => return Ok(file.to_owned()),
        Called::Name(name) => name,
    };
    let dirs = directory::config_dirs();
    for (file, loaded) in directory::all(&dirs)? {
        if loaded.map_or(true, |list| *list.name() == name) {
            return Ok(file);
        }
    }
    let error = directory::find(&dirs, &name).err();
    Err(error.unwrap_or_else(|| Error::new(code::INTERNAL, "the directory changed meanwhile")))
}
