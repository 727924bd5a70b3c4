use std::path::Path;
use std::process::ExitCode;

use cni::runtime::{directory, probe};
use serde::Serialize;

use crate::args::Version;
use crate::fault::Done;
use crate::session::Session;
use crate::{network, output};

/// What one plugin says of itself.
#[derive(Serialize)]
struct Answer {
    plugin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    versions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `cais version`.
pub(crate) fn run(session: &Session, args: &Version) -> Done {
    let Some(network) = &args.network else { return own(session) };
    let list = network::load(network)?;
    let path = directory::plugin_dirs();
    let answers: Vec<Answer> = list.kinds().iter().map(|kind| ask(kind, &path)).collect();
    if session.json {
        let version = list.version_text();
        output::json(&serde_json::json!({
            "network": list.name().as_str(), "cniVersion": version, "plugins": answers,
        }))?;
    } else {
        let row = |a: &Answer| {
            let spoken = a.error.clone().unwrap_or_else(|| a.versions.join(" "));
            let release = a.release.clone().unwrap_or_else(|| "-".to_owned());
            vec![a.plugin.clone(), release, spoken, a.program.clone().unwrap_or_default()]
        };
        let rows: Vec<_> = answers.iter().map(row).collect();
        output::print(&output::table(&["PLUGIN", "RELEASE", "SPEAKS", "FILE"], &rows))?;
    }
    let failed = answers.iter().any(|a| a.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn own(session: &Session) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let spoken: Vec<&str> = cni::Version::ALL.iter().map(|v| v.as_str()).collect();
    if session.json {
        output::json(&serde_json::json!({ "cais": version, "versions": spoken }))?;
    } else {
        output::print(&format!("cais {version}\nCNI {}\n", spoken.join(" ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(kind: &str, path: &[std::path::PathBuf]) -> Answer {
    let mut answer = Answer {
        plugin: kind.to_owned(),
        program: None,
        release: None,
        versions: Vec::new(),
        error: None,
    };
    let asked = cni::exec::find(kind, path).and_then(|file| {
        answer.program = Some(file.display().to_string());
        probe(Path::new(&file))
    });
    match asked {
        Ok(probe) => {
            answer.versions = probe.versions;
            let prefix = format!("CNI {kind} plugin ");
            answer.release = probe.banner.map(|b| b.strip_prefix(&prefix).unwrap_or(&b).to_owned());
        }
        Err(error) => answer.error = Some(error.msg),
    }
    answer
}
