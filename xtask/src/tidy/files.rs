//! Names and lengths of source files.

use super::File;

/// A file of this many lines is more than one concern.
const LINES: usize = 600;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

pub(super) fn check(file: &File) -> Vec<String> {
    let path = file.path.display();
    let mut complaints = Vec::new();
    let lines = file.text.lines().count();
    let excused = LONGER.iter().any(|(longer, _)| file.path.as_os_str() == *longer);
    if lines > LINES && !excused {
        complaints.push(format!(
            "{path} has {lines} lines: split it by concern, or give a reason in \
             xtask/src/tidy/files.rs (the limit is {LINES})"
        ));
    }
    let parts = file.path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    for part in parts {
        let name = part.strip_suffix(".rs").unwrap_or(&part);
        if EMPTY_NAMES.contains(&name) {
            complaints.push(format!("{path}: `{name}` says nothing, name it for what it does"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_file(path: &str, lines: usize) -> Vec<String> {
        check(&File { path: path.into(), text: "//\n".repeat(lines) })
    }

    #[test]
    fn six_hundred_lines_are_fine_and_one_more_is_not() {
        assert!(check_file("ipam/src/store.rs", 600).is_empty());
        assert!(check_file("ipam/src/store.rs", 601)[0].contains("has 601 lines"));
    }

    #[test]
    fn empty_names_are_refused_for_files_and_folders() {
        for path in ["cni/src/utils.rs", "cni/src/common/mod.rs", "helpers/src/lib.rs"] {
            assert_eq!(check_file(path, 1).len(), 1, "{path}");
        }
        assert!(check_file("cni/src/commons.rs", 1).is_empty());
    }
}
