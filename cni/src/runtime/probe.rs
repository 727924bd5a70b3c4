//! Asking a plugin's file what it is, without a network.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, code};
use crate::exec::{Run, Stderr};
use crate::json::Object;

/// A question that needs no network is answered within this time, or not at all.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a plugin's file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The versions that it speaks, as it wrote them.
    pub versions: Vec<String>,
    /// The banner that it prints when run by hand, such as `CNI bridge plugin v1.1.1`.
    pub banner: Option<String>,
}

/// A key that a plugin says it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Where it stands: `ipam.ranges[][].subnet`.
    pub path: String,
    /// What it means.
    pub doc: String,
}

/// Asks the plugin in `file` for the versions that it speaks (VERSION), and for its name.
///
/// # Errors
/// The plugin's own, or code 6 when it gives no answer of the specification.
pub fn probe(file: &Path) -> Result<Probe, Error> {
    let stdin = br#"{"cniVersion":"1.1.0"}"#;
    let answer = ask(file, ("VERSION", &[]), stdin);
    let versions = match answer {
        Ok(output) => supported(&output.0)?,
        // The words of plugins from before VERSION.
        Err(e) if e.msg == "unknown CNI_COMMAND: VERSION" => vec!["0.1.0".to_owned()],
        Err(e) => return Err(e.in_step(format!("ask {} for its versions", file.display()))),
    };
    let banner = ask(file, ("", &[]), b"").ok().and_then(|(_, stderr)| {
        let text = String::from_utf8_lossy(&stderr).into_owned();
        text.lines().next().filter(|line| line.starts_with("CNI ")).map(str::to_owned)
    });
    Ok(Probe { versions, banner })
}

/// The keys that the plugin in `file` says it reads; `None` when it does not say.
#[must_use]
pub fn known_keys(file: &Path) -> Option<Vec<KnownKey>> {
    let (stdout, _) = ask(file, ("", &["--print-schema"]), b"").ok()?;
    let schema = Object::parse(&stdout).ok()?;
    schema.string("plugin").ok()??;
    let key = |value: &crate::json::Value<'_>| {
        let key = value.object()?;
        let text = |name| Ok(key.string(name)?.unwrap_or_default());
        Ok::<_, Error>(KnownKey { path: text("path")?, doc: text("doc")? })
    };
    let keys: Vec<_> = schema.list("keys").ok()?.iter().map(key).collect::<Result<_, _>>().ok()?;
    (!keys.is_empty()).then_some(keys)
}

/// Has the plugin in `file` check `config` as its ADD would. For plugins with
/// [`known_keys`] only: others take the call for one by hand and say nothing.
///
/// # Errors
/// The plugin's own.
pub fn validate(file: &Path, config: &[u8]) -> Result<(), Error> {
    ask(file, ("", &["--validate"]), config).map(drop)
}

/// Runs `file` in an environment that means nothing; gives both its streams.
fn ask(
    file: &Path,
    (command, args): (&str, &[&str]),
    stdin: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let dummy = || OsString::from("dummy");
    let vars = [
        ("CNI_COMMAND", OsString::from(command)),
        ("CNI_CONTAINERID", OsString::new()),
        ("CNI_NETNS", dummy()),
        ("CNI_IFNAME", dummy()),
        ("CNI_ARGS", OsString::new()),
        ("CNI_PATH", dummy()),
    ];
    let run =
        Run { program: file, vars: &vars, stdin, stderr: Stderr::Capture, deadline: DEADLINE };
    let output = run.run_with(args).map_err(|failure| failure.error)?;
    Ok((output.stdout, output.stderr))
}

/// The list of versions in a plugin's answer to VERSION.
fn supported(stdout: &[u8]) -> Result<Vec<String>, Error> {
    let answer = Object::parse(stdout)?;
    let own = answer.string("cniVersion")?.unwrap_or_default();
    let versions = answer.strings("supportedVersions")?;
    if own.is_empty() {
        return Err(Error::new(code::DECODE, "its answer to VERSION lacks cniVersion"));
    }
    if !versions.is_empty() {
        return Ok(versions);
    }
    // 0.2.0 let plugins leave the list out.
    if own == "0.2.0" {
        return Ok(vec!["0.1.0".to_owned(), own]);
    }
    Err(Error::new(code::DECODE, "its answer to VERSION lacks supportedVersions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_version_needs_both_keys_except_in_0_2_0() {
        let both = br#"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}"#;
        assert_eq!(supported(both).unwrap(), ["0.4.0", "1.0.0"]);
        assert_eq!(supported(br#"{"cniVersion":"0.2.0"}"#).unwrap(), ["0.1.0", "0.2.0"]);
        for text in [r#"{"cniVersion":"0.4.0"}"#, r#"{"supportedVersions":["1.0.0"]}"#, "", "[]"] {
            assert!(supported(text.as_bytes()).is_err(), "{text}");
        }
    }
}
