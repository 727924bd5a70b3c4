//! Documents that must keep pace with the tree.

use std::path::{Component, Path, PathBuf};

use super::{File, has_extension};
use crate::workspace::{self, Package};

/// Where each third-party dependency has its row: crate, why, licence.
const DEPENDENCIES: &str = "docs/adr/dependencies.md";

pub(super) fn check(packages: &[Package], files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages.iter().filter(|package| package.is_plugin()) {
        complaints.extend(plugin_page(&package.file_name(), files));
    }
    complaints.extend(dependency_rows(packages, files));
    for file in files.iter().filter(|file| has_extension(&file.path, "md")) {
        complaints.extend(broken_examples(file));
        let exists = |path: &Path| workspace::root().join(path).exists();
        complaints.extend(broken_links(file, exists));
    }
    complaints
}

/// A plugin has a page with an example that can be copied, and is named in the README.
fn plugin_page(plugin: &str, files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let page = format!("docs/plugins/{plugin}.md");
    match text_of(files, &page) {
        None => complaints.push(format!("plugin `{plugin}` has no page: write {page}")),
        Some(text) => {
            let named = format!("\"type\":\"{plugin}\"");
            if !json_blocks(text).any(|(_, json)| without_spaces(json).contains(&named)) {
                complaints.push(format!(
                    "{page} has no example: add a ```json block with \"type\": \"{plugin}\""
                ));
            }
        }
    }
    if !text_of(files, "README.md").is_some_and(|readme| readme.contains(&format!("`{plugin}`"))) {
        complaints.push(format!("README.md does not name the plugin `{plugin}`"));
    }
    complaints
}

/// Each third-party crate that a manifest of ours names has its row.
fn dependency_rows(packages: &[Package], files: &[File]) -> Vec<String> {
    let table = text_of(files, DEPENDENCIES).unwrap_or_default();
    let mut missing: Vec<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| !dependency.ours)
        .map(|dependency| &*dependency.name)
        .filter(|name| !has_row(table, name))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let complaint = |name| format!("dependency `{name}` has no row in {DEPENDENCIES}");
    missing.into_iter().map(complaint).collect()
}

fn has_row(table: &str, name: &str) -> bool {
    let first_cell = |line: &str| {
        line.trim()
            .strip_prefix('|')
            .map(|row| row.split('|').next().unwrap_or_default().to_owned())
    };
    table
        .lines()
        .filter_map(first_cell)
        .any(|cell| cell.split([',', ' ']).any(|crate_name| crate_name.trim_matches('`') == name))
}

/// What a reader copies from a page must at least be JSON.
fn broken_examples(file: &File) -> Vec<String> {
    json_blocks(&file.text)
        .filter_map(|(line, json)| {
            let error = serde_json::from_str::<serde_json::Value>(json).err()?;
            Some(format!("{}:{line}: the example is not JSON: {error}", file.path.display()))
        })
        .collect()
}

/// Blocks that are marked as `json`, with the line they start at.
fn json_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("```json\n").map(|(at, fence)| {
        let body = &text[at + fence.len()..];
        let body = &body[..body.find("```").unwrap_or(body.len())];
        (text[..at].lines().count() + 1, body)
    })
}

/// Links to files of this repository that are not there.
fn broken_links(file: &File, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let targets = file.text.match_indices("](").filter_map(|(at, open)| {
        let rest = &file.text[at + open.len()..];
        rest.find([')', ' ', '\n']).map(|end| &rest[..end])
    });
    targets
        .filter(|target| !target.contains("://") && !target.starts_with(['#', '<']))
        .filter_map(|target| {
            let path = target.split('#').next().unwrap_or_default();
            let missing = !path.is_empty() && !exists(&flattened(&folder.join(path)));
            missing.then(|| format!("{}: link to {path} leads nowhere", file.path.display()))
        })
        .collect()
}

/// The path without `.` and `..`.
fn flattened(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                flat.pop();
            }
            other => flat.push(other),
        }
    }
    flat
}

fn text_of<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path.as_os_str() == path).map(|file| &*file.text)
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_plugin_needs_a_page_an_example_and_a_mention() {
        let page = "# ptp\n```json\n{ \"type\": \"ptp\" }\n```\n";
        let files = [file("docs/plugins/ptp.md", page), file("README.md", "| `ptp` | wire |")];
        assert!(plugin_page("ptp", &files).is_empty());
        assert_eq!(plugin_page("vlan", &files).len(), 2, "neither page nor mention");
        let files = [file("docs/plugins/ptp.md", "# ptp\n"), file("README.md", "`ptp`")];
        assert!(plugin_page("ptp", &files)[0].contains("has no example"));
    }

    #[test]
    fn a_dependency_needs_its_row() {
        let table =
            "| crate | why |\n|---|---|\n| `serde`, `serde_json` | JSON |\n| nix | calls |\n";
        for name in ["serde", "serde_json", "nix"] {
            assert!(has_row(table, name), "{name}");
        }
        for name in ["JSON", "serde_", "libc"] {
            assert!(!has_row(table, name), "{name}");
        }
    }

    #[test]
    fn an_example_that_is_not_json_is_found_with_its_line() {
        let bad = file("a.md", "text\n```json\n{ \"a\": 1, }\n```\n");
        let complaint = broken_examples(&bad).remove(0);
        assert!(complaint.starts_with("a.md:2: the example is not JSON"), "{complaint}");
        assert!(broken_examples(&file("a.md", "```json\n{}\n```\n```sh\nls\n```\n")).is_empty());
    }

    #[test]
    fn links_are_followed_from_the_folder_of_the_page() {
        let page = file("docs/a.md", "[b](../b.md#part) [c](c.md) [web](https://x.org) [up](#top)");
        let complaints = broken_links(&page, |path| path == Path::new("b.md"));
        assert_eq!(complaints, ["docs/a.md: link to c.md leads nowhere"]);
    }
}
