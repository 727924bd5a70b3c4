//! The list of what our programs are made of, in SPDX 2.3 as JSON.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::workspace;

/// Everything that Cargo.lock has, with version, licence and source.
pub(crate) fn spdx(version: &str) -> Result<String> {
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let entries: Vec<Value> = packages
        .iter()
        .map(|package| {
            let (name, version) = (text(package, "name"), text(package, "version"));
            let licence = package["license"].as_str().unwrap_or("NOASSERTION").replace('/', " OR ");
            json!({
                "SPDXID": id(&name, &version),
                "name": name,
                "versionInfo": version,
                "downloadLocation": "NOASSERTION",
                "licenseDeclared": licence,
                "licenseConcluded": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "filesAnalyzed": false,
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": format!("pkg:cargo/{name}@{version}"),
                }],
            })
        })
        .collect();
    let described: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": entry["SPDXID"],
            })
        })
        .collect();
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("cais-{version}"),
        "documentNamespace": format!("https://cais.invalid/spdx/cais-{version}"),
        "creationInfo": { "created": created()?, "creators": ["Tool: cargo xtask package"] },
        "packages": entries,
        "relationships": described,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn id(name: &str, version: &str) -> String {
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '.';
    format!("SPDXRef-{name}-{version}").replace(is_other, "-")
}

/// When the commit was made that is packaged: the same source gives the same list.
fn created() -> Result<String> {
    let mut git = std::process::Command::new("git");
    git.args(["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    git.env("TZ", "UTC").current_dir(workspace::root());
    Ok(crate::run::output(&mut git)?.trim().to_owned())
}
