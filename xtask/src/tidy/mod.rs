//! House rules that no compiler checks: `cargo xtask tidy`.
//!
//! Each rule is a pure function from what it looks at to a list of complaints, so that each can be
//! tested with a bad example. A complaint names the place and what to do.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

mod arrows;
mod docs;
mod files;
mod keys;
mod source;

/// A text file of the repository.
struct File {
    /// Relative to the root.
    path: PathBuf,
    text: String,
}

/// Runs every rule over the whole repository and fails when any complains. `--write` writes what
/// follows from code first.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    let drift = match arguments {
        [] => keys::Drift::Tell,
        [only] if only == "--write" => keys::Drift::Mend,
        _ => bail!("tidy takes nothing but --write"),
    };
    let packages = workspace::packages()?;
    let drifted = keys::check(&packages, drift)?;
    let files = read_files()?;
    let mut complaints = arrows::check(&packages);
    for file in files.iter().filter(|file| has_extension(&file.path, "rs")) {
        complaints.extend(files::check(file));
        complaints.extend(source::check(file));
    }
    complaints.extend(docs::check(&packages, &files));
    complaints.extend(drifted);
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} house rules are broken", complaints.len());
    }
    println!("tidy: {} packages and {} files keep the house rules", packages.len(), files.len());
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Every Rust, Markdown and TOML file, without what is built and what is hidden.
fn read_files() -> Result<Vec<File>> {
    let root = workspace::root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') && !path.is_symlink() {
                    folders.push(path);
                }
            } else if ["rs", "md", "toml"].iter().any(|wanted| has_extension(&path, wanted)) {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("read {}", path.display()))?;
                files.push(File { path: path.strip_prefix(&root)?.to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
