//! The table of keys on each plugin's page follows from the plugin itself: `cargo xtask tidy`
//! compares, `cargo xtask tidy --write` writes.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run;
use crate::workspace::{self, Package};

/// What to do with a table that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drift {
    /// Complain.
    Tell,
    /// Write the page.
    Mend,
}

/// Lines that every plugin's page has around its table.
const BEGIN: &str = "<!-- keys: written by `cargo xtask tidy --write`";
const END: &str = "<!-- end of keys -->";

/// Keys that all plugins take have one place of their own: the help text.
const COMMON: &[&str] =
    &["cniVersion", "name", "type", "args", "capabilities", "runtimeConfig", "prevResult"];

/// Lines of a table without rows: the plugin has no keys of its own.
const HEAD_LINES: usize = 2;

pub(super) fn check(packages: &[Package], drift: Drift) -> Result<Vec<String>> {
    let plugins: Vec<&Package> = packages.iter().filter(|package| package.is_plugin()).collect();
    let names = plugins.iter().flat_map(|plugin| ["--package", &plugin.name]);
    run::run(run::cargo().args(["build", "--quiet"]).args(names).current_dir(workspace::root()))?;
    let mut complaints = Vec::new();
    for plugin in plugins {
        let name = plugin.file_name();
        let path = workspace::root().join(format!("docs/plugins/{name}.md"));
        let page =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let table = table(&schema(&name)?);
        if table.lines().count() == HEAD_LINES {
            continue;
        }
        let Some(fresh) = with_table(&page, &table) else {
            complaints.push(format!("{} has no place for its keys: {BEGIN}", path.display()));
            continue;
        };
        if fresh == page {
            continue;
        }
        match drift {
            Drift::Mend => {
                std::fs::write(&path, fresh)
                    .with_context(|| format!("write {}", path.display()))?;
            }
            Drift::Tell => complaints.push(format!(
                "docs/plugins/{name}.md has other keys than {name}: run cargo xtask tidy --write"
            )),
        }
    }
    Ok(complaints)
}

fn schema(plugin: &str) -> Result<Value> {
    let file = workspace::target().join("debug").join(plugin);
    let output = Command::new(&file)
        .arg("--print-schema")
        .env_remove("CNI_COMMAND")
        .output()
        .with_context(|| format!("start {}", file.display()))?;
    if !output.status.success() {
        bail!("{} --print-schema ended with {}", file.display(), output.status);
    }
    serde_json::from_slice(&output.stdout).context("read a plugin's schema")
}

fn table(schema: &Value) -> String {
    let mut table = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in schema["keys"].as_array().into_iter().flatten() {
        let text = |name: &str| key[name].as_str().unwrap_or_default().replace('|', "\\|");
        if COMMON.contains(&text("path").as_str()) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            text("path"),
            kind(&key["kind"]),
            text("default"),
            text("doc")
        );
    }
    table
}

/// The kind as the plugin's help text says it.
fn kind(kind: &Value) -> String {
    match kind {
        Value::String(word) if word == "flag" => "true or false".to_owned(),
        Value::String(word) if word == "listormap" => "list, or object of lists".to_owned(),
        Value::String(word) => word.clone(),
        _ => {
            let list = |name: &str| kind[name].as_array();
            let texts = |texts: &[Value]| {
                texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            };
            match (list("integer"), list("oneof"), list("flagor")) {
                (Some(range), ..) => format!("integer {} to {}", range[0], range[1]),
                (_, Some(known), _) => texts(known),
                (.., Some(known)) => format!("true, false, {}", texts(known)),
                _ => kind.to_string(),
            }
        }
    }
}

/// `page` with `table` between its two marks.
fn with_table(page: &str, table: &str) -> Option<String> {
    let begin = page.find(BEGIN)?;
    let after_mark = begin + page[begin..].find('\n')? + 1;
    let end = after_mark + page[after_mark..].find(END)?;
    Some(format!("{}{table}{}", &page[..after_mark], &page[end..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_stands_between_its_marks_and_leaves_the_rest() {
        let page = format!("a\n{BEGIN}, x -->\nold\n{END}\nb\n");
        let fresh = with_table(&page, "new\n").unwrap();
        assert_eq!(fresh, page.replace("old", "new"));
        assert_eq!(with_table(&fresh, "new\n").unwrap(), fresh);
        assert_eq!(with_table("no marks", "new\n"), None);
    }

    #[test]
    fn keys_of_all_plugins_are_left_out_and_kinds_are_words() {
        let schema = json!({ "keys": [
            { "path": "name", "kind": "text", "default": "", "doc": "" },
            { "path": "mtu", "kind": { "integer": [0, 9] }, "default": "0", "doc": "a|b" },
            { "path": "m", "kind": { "oneof": ["x", "y"] }, "default": "x", "doc": "d" },
            { "path": "f", "kind": "flag", "default": "false", "doc": "e" },
        ]});
        let rows: Vec<String> = table(&schema).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(
            rows,
            [
                "| `mtu` | integer 0 to 9 | 0 | a\\|b |",
                "| `m` | x, y | x | d |",
                "| `f` | true or false | false | e |",
            ]
        );
    }
}
