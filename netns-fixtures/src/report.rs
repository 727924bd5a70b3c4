//! What a failing case prints, and where the state of its namespaces is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::{env, process};

use crate::enter::MARK;
use crate::namespace::text;
use crate::{Lab, Namespace};

/// What is saved of each namespace.
const STATE: &[&str] = &[
    "ip -d addr show",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "ip rule show",
    "ip -6 rule show",
    "ip neigh show",
    "bridge -d link show",
    "bridge fdb show",
    "nft list ruleset",
];

impl Lab {
    /// Everything that one needs to act upon a failure without running it again.
    pub(crate) fn report(&self) -> String {
        let calls = self.calls.lock().expect("no code panics while it holds this lock");
        let mut report = String::new();
        if let Some((last, earlier)) = calls.split_last() {
            report.push_str(&format!("  last command  {last}\n"));
            for call in earlier.iter().rev() {
                let line = call.lines().next().unwrap_or_default();
                report.push_str(&format!("  before that   {line}\n"));
            }
        }
        drop(calls);
        let namespaces = self.namespaces();
        let names: Vec<_> = namespaces.iter().map(Namespace::name).collect();
        let case = env::var(MARK).unwrap_or_default();
        let kept = match save(&case, &namespaces) {
            Ok(directory) => format!("saved in {}", directory.display()),
            Err(why) => why,
        };
        report.push_str(&format!(
            "  namespaces    {}: links, addresses, routes, neighbours, nft ruleset {kept}\n",
            names.join(", ")
        ));
        let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "tests".to_owned());
        report.push_str(&format!("  again         cargo test -p {package} -- --exact {case}"));
        report
    }
}

/// Writes one file per namespace below `target/lab/`.
fn save(case: &str, namespaces: &[Namespace]) -> Result<PathBuf, String> {
    let directory = target_directory().join("lab").join(format!(
        "{}-{}",
        process::id(),
        case.replace("::", ".")
    ));
    fs::create_dir_all(&directory)
        .map_err(|error| format!("not saved: create {}: {error}", directory.display()))?;
    for namespace in namespaces {
        let mut state = String::new();
        for command in STATE {
            let done = namespace.try_run(command);
            state.push_str(&format!("# {command}\n{}{}\n", text(&done.stdout), text(&done.stderr)));
        }
        let path = directory.join(format!("{}.txt", namespace.name()));
        fs::write(&path, state)
            .map_err(|error| format!("not saved: write {}: {error}", path.display()))?;
    }
    Ok(directory)
}

/// Cargo's target directory, known by where it put this binary; `/tmp` where there is none, as in a
/// guest that has the binary alone.
pub(crate) fn target_directory() -> PathBuf {
    let binary = env::current_exe().unwrap_or_default();
    match binary.ancestors().nth(3) {
        Some(target) if binary.parent().is_some_and(|deps| deps.ends_with("deps")) => {
            target.to_owned()
        }
        _ => Path::new("/tmp").to_owned(),
    }
}
