//! What is wrong with a configuration, and where.

mod document;
mod keys;
mod versions;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cni::exec::find;
use cni::runtime::{NetworkList, PluginConfig, directory, known_keys};
use cni::schema::nearest;
use cni::{Error, code};
use serde::Serialize;

use document::{Node, Position, nodes, position_of};
use keys::{Known, OF_LIST, Verdict};

/// One thing to know about a configuration.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The network does not work.
    Error,
    /// It works, and probably not as meant.
    Warning,
    /// Nothing is wrong.
    Note,
}

/// Everything found in one network.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// The version to write: the newest that all plugins speak.
    pub(crate) version: Option<String>,
}

/// Looks at the network in `file`.
pub(crate) fn validate(file: &Path, path: &[PathBuf]) -> Result<Report, Error> {
    let text = read(file)?;
    let mut report = Report::default();
    let page = Page::new(file, &text);
    if let Err(fault) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        // A text that ends too soon ends there.
        let position = (fault.line().max(1), fault.column().max(1));
        // The place stands before it already.
        let text = fault.to_string();
        let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
        report.add(&page, position, Severity::Error, (message.to_owned(), None));
        return Ok(report);
    }
    duplicates(&page, &mut report);
    let list = match directory::load(file) {
        Ok(list) => list,
        Err(error) => {
            report.add_error(&page, "", &error);
            return Ok(report);
        }
    };
    extension(&page, &mut report);
    let is_list = position_of(&page.nodes, "plugins").is_some();
    if is_list {
        keys_of_list(&page, &mut report);
    }
    for (i, plugin) in list.plugins().iter().enumerate() {
        if let Some(drop_in) = &plugin.drop_in {
            let text = read(drop_in)?;
            let page = Page::new(drop_in, &text);
            duplicates(&page, &mut report);
            inspect(&list, plugin, (&page, ""), path, &mut report);
        } else {
            let base = if is_list { format!("plugins[{i}]") } else { String::new() };
            inspect(&list, plugin, (&page, &base), path, &mut report);
        }
    }
    versions::inspect(&list, &page, path, &mut report);
    Ok(report)
}

/// A file with the places of its keys.
struct Page<'a> {
    file: &'a Path,
    nodes: Vec<Node>,
}

impl<'a> Page<'a> {
    fn new(file: &'a Path, text: &str) -> Self {
        Self { file, nodes: nodes(text) }
    }

    /// Where `path` stands, or the nearest of what leads to it.
    fn position(&self, path: &str) -> Position {
        let mut path = path;
        loop {
            if let Some(position) = position_of(&self.nodes, path) {
                return position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return (1, 1),
            }
        }
    }
}

impl Report {
    /// Whether the network does not work.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    fn add(
        &mut self,
        page: &Page<'_>,
        (line, column): Position,
        severity: Severity,
        (message, hint): (String, Option<String>),
    ) {
        let file = page.file.display().to_string();
        self.findings.push(Finding { file, line, column, severity, message, hint });
    }

    /// An error whose text names the key that it is about; keys are those below `base`.
    fn add_error(&mut self, page: &Page<'_>, base: &str, error: &Error) {
        let key = error.msg.split_once("key \"").and_then(|(_, rest)| rest.split_once('"'));
        let position = page.position(&join(base, key.map_or("", |(key, _)| key)));
        let file = format!("{}: ", page.file.display());
        let message = error.msg.strip_prefix(&file).unwrap_or(&error.msg).to_owned();
        let hint = error.hint().map(str::to_owned);
        self.add(page, position, Severity::Error, (message, hint));
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(file)
        .map_err(|e| Error::new(code::IO, format!("read {}: {e}", file.display())))?;
    String::from_utf8(bytes).map_err(|e| {
        let text =
            format!("{}: not UTF-8 after byte {}", file.display(), e.utf8_error().valid_up_to());
        Error::new(code::DECODE, text)
    })
}

/// Keys that are written twice in one object: in whatever case, but for a list's own keys, which
/// are taken to the letter.
fn duplicates(page: &Page<'_>, report: &mut Report) {
    let is_list = position_of(&page.nodes, "plugins").is_some();
    let same = |a: &Node, b: &Node| {
        let exact = is_list && a.path == a.key;
        a.path == b.path || (!exact && a.path.eq_ignore_ascii_case(&b.path))
    };
    let keys: Vec<&Node> = page.nodes.iter().filter(|node| !node.key.is_empty()).collect();
    for (i, node) in keys.iter().enumerate() {
        if let Some(later) = keys[i + 1..].iter().find(|later| same(node, later)) {
            let (line, _) = later.position;
            let message =
                format!("key `{}` is written again in line {line}; the last one counts", node.path);
            report.add(page, node.position, Severity::Warning, (message, None));
        }
    }
}

/// Runtimes tell lists from single configurations by the file's name.
fn extension(page: &Page<'_>, report: &mut Report) {
    let is_list = position_of(&page.nodes, "plugins").is_some();
    let right = if is_list { "conflist" } else { "conf" };
    let (severity, message) = match page.file.extension().and_then(OsStr::to_str) {
        Some("conflist") if is_list => return,
        Some("conf" | "json") if !is_list => return,
        Some("conf" | "json") => (Severity::Error, "runtimes take this file for a single plugin"),
        Some("conflist") => (Severity::Error, "runtimes take this file for a list of plugins"),
        _ => (Severity::Warning, "runtimes do not read files of this name"),
    };
    let hint = format!("rename it so that it ends in .{right}");
    report.add(page, (1, 1), severity, (message.to_owned(), Some(hint)));
}

fn keys_of_list(page: &Page<'_>, report: &mut Report) {
    let top = page.nodes.iter().filter(|n| n.path == n.key);
    for node in top.filter(|node| !OF_LIST.contains(&node.key.as_str())) {
        let message = match nearest(&node.key, &OF_LIST) {
            None => continue, // Others keep their own notes in lists.
            Some(meant) => format!("unknown key `{}`: did you mean `{meant}`?", node.key),
        };
        let hint = "keys of the list itself are taken to the letter, upper and lower case too";
        report.add(page, node.position, Severity::Warning, (message, Some(hint.to_owned())));
    }
}

/// One plugin: is it there, does it know its keys, does it take its configuration.
fn inspect(
    list: &NetworkList,
    plugin: &PluginConfig,
    (page, base): (&Page<'_>, &str),
    path: &[PathBuf],
    report: &mut Report,
) {
    let ipam = plugin.ipam_kind();
    for (kind, key) in [(Some(plugin.kind.as_str()), "type"), (ipam.as_deref(), "ipam.type")] {
        let Some(kind) = kind else { continue };
        let at = page.position(&join(base, key));
        match find(kind, path) {
            Err(error) => {
                let hint = error.hint().map(str::to_owned);
                report.add(page, at, Severity::Error, (error.msg, hint));
            }
            Ok(file) if known_keys(&file).is_some() => {
                if let Err(error) =
                    list.derive(plugin).and_then(|c| cni::runtime::validate(&file, &c))
                {
                    report.add_error(page, base, &error.in_step(kind));
                }
            }
            // It cannot be asked without being called.
            Ok(_) => {}
        }
    }
    let Some(known) = Known::of(&plugin.kind, ipam.as_deref(), path) else { return };
    for node in page.nodes.iter().filter(|node| !node.key.is_empty()) {
        let Some(below) = strip(&node.path, base) else { continue };
        let Verdict::Unknown { nearest } = known.judge(below) else { continue };
        if below.to_ascii_lowercase().starts_with("cni.dev/") {
            continue;
        }
        let hint = nearest.map(|meant| format!("did you mean `{meant}`?"));
        let message = format!("{}: unknown key `{below}`; it is ignored", plugin.kind);
        report.add(page, node.position, Severity::Warning, (message, hint));
    }
}

fn join(base: &str, key: &str) -> String {
    match (base, key) {
        ("", key) => key.to_owned(),
        (base, "") => base.to_owned(),
        (base, key) => format!("{base}.{key}"),
    }
}

fn strip<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    if base.is_empty() { Some(path) } else { path.strip_prefix(base)?.strip_prefix('.') }
}
