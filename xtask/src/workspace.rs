//! What the workspace consists of, asked from cargo.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::dist::MUSL;
use crate::run;

/// The root folder of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Where cargo puts what it builds; `CARGO_TARGET_DIR` moves it.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(moved) => root().join(moved),
        None => root().join("target"),
    }
}

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: PathBuf,
    /// Names of its binaries.
    pub(crate) binaries: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as written in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether it lives in this repository.
    pub(crate) ours: bool,
    /// Whether only tests, examples and benches see it.
    pub(crate) dev: bool,
}

impl Package {
    /// Whether it is one of the drop-in plugins.
    pub(crate) fn is_plugin(&self) -> bool {
        self.folder.starts_with("plugins")
    }

    /// The drop-in file name, which is the name of a plugin's folder.
    pub(crate) fn file_name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All members, as `cargo metadata` lists them.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let text = run::output(
        run::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root()),
    )?;
    let metadata: Value = serde_json::from_str(&text).context("read what cargo metadata says")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(package).collect()
}

/// Everything that our programs are built from, as `cargo metadata` has it.
pub(crate) fn metadata() -> Result<Value> {
    let arguments = ["metadata", "--locked", "--format-version", "1", "--filter-platform", MUSL];
    let text = run::output(run::cargo().args(arguments).current_dir(root()))?;
    serde_json::from_str(&text).context("read what cargo metadata says")
}

/// The version of all members.
pub(crate) fn version() -> Result<String> {
    let metadata = metadata()?;
    let own = array(&metadata, "packages").find(|package| package["name"] == "cli");
    let version = own.and_then(|package| package["version"].as_str());
    Ok(version.context("cargo metadata names no version")?.to_owned())
}

fn package(value: &Value) -> Result<Package> {
    let text = |key: &str| value[key].as_str().with_context(|| format!("a package has no {key}"));
    let manifest = Path::new(text("manifest_path")?);
    let folder = manifest.parent().unwrap_or(manifest);
    Ok(Package {
        name: text("name")?.to_owned(),
        folder: folder.strip_prefix(root()).unwrap_or(folder).to_owned(),
        binaries: array(value, "targets").filter(is_binary).filter_map(name).collect(),
        dependencies: array(value, "dependencies").filter_map(dependency).collect(),
    })
}

fn dependency(value: &Value) -> Option<Dependency> {
    Some(Dependency {
        name: name(value)?,
        ours: value["path"].is_string(),
        dev: value["kind"] == "dev",
    })
}

fn is_binary(target: &&Value) -> bool {
    array(target, "kind").any(|kind| kind == "bin")
}

fn name(value: &Value) -> Option<String> {
    value["name"].as_str().map(str::to_owned)
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_package_is_among_the_members() {
        let packages = packages().unwrap();
        let xtask = packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.folder, Path::new("xtask"));
        assert!(xtask.binaries.contains(&"xtask".to_owned()), "{xtask:?}");
        assert!(
            xtask.dependencies.iter().any(|dependency| dependency.name == "anyhow"
                && !dependency.ours
                && !dependency.dev),
            "{xtask:?}"
        );
    }
}
