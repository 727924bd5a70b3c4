//! Keys that nobody reads, and what was probably meant.

use std::path::PathBuf;

use cni::exec::find;
use cni::runtime::known_keys;
use cni::schema::nearest;

/// Keys that a list itself has. They are taken to the letter.
pub(crate) const OF_LIST: [&str; 8] = [
    "cniVersion",
    "cniVersions",
    "name",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "plugins",
    "args",
];

/// The keys of a plugin and of the address plugin that it calls.
#[derive(Debug)]
pub(crate) struct Known {
    paths: Vec<String>,
    /// Whether nothing can be said about what `ipam` holds.
    opaque_ipam: bool,
}

impl Known {
    /// Asks the plugins; `None` when the first does not describe its keys.
    pub(crate) fn of(kind: &str, ipam: Option<&str>, path: &[PathBuf]) -> Option<Self> {
        let ask = |kind: &str| {
            let keys = known_keys(&find(kind, path).ok()?)?;
            Some(keys.into_iter().map(|key| key.path).collect::<Vec<_>>())
        };
        let mut paths = ask(kind)?;
        let of_ipam = ipam.and_then(ask);
        let opaque_ipam = of_ipam.is_none();
        paths.extend(of_ipam.unwrap_or_default());
        Some(Self { paths, opaque_ipam })
    }

    /// Judges the key at `path` within the plugin's object.
    pub(crate) fn judge(&self, path: &str) -> Verdict {
        let path = without_indices(path);
        if self.opaque_ipam && starts_below(&path, "ipam") {
            return Verdict::Unjudged;
        }
        let known = |known: &&String| known.eq_ignore_ascii_case(&path);
        if self.paths.iter().any(|p| known(&p)) {
            return Verdict::Known;
        }
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let siblings: Vec<&str> =
            self.paths.iter().filter_map(|known| child_of(known, parent)).collect();
        // An object whose keys nobody describes may hold anything.
        if siblings.is_empty() || key.ends_with("[]") {
            return Verdict::Unjudged;
        }
        Verdict::Unknown { nearest: nearest(key, &siblings).map(str::to_owned) }
    }
}

/// What can be said of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known,
    /// It is in a part that nobody describes.
    Unjudged,
    Unknown {
        nearest: Option<String>,
    },
}

/// The last part of `known` if it is directly below `parent`. The path of a list's element,
/// `ranges[]`, is no key.
fn child_of<'a>(known: &'a str, parent: &str) -> Option<&'a str> {
    let rest = if parent.is_empty() {
        known
    } else {
        let (head, rest) = known.split_at_checked(parent.len())?;
        rest.strip_prefix('.').filter(|_| head.eq_ignore_ascii_case(parent))?
    };
    (!rest.contains(['.', '[']) && !rest.is_empty()).then_some(rest)
}

fn starts_below(path: &str, parent: &str) -> bool {
    path.split_at_checked(parent.len())
        .is_some_and(|(head, rest)| head.eq_ignore_ascii_case(parent) && rest.starts_with('.'))
}

/// `ranges[0][1].subnet` as the schema writes it: `ranges[][].subnet`.
fn without_indices(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(paths: &[&str]) -> Known {
        Known { paths: paths.iter().map(|p| (*p).to_owned()).collect(), opaque_ipam: false }
    }

    #[test]
    fn a_key_is_known_in_any_case_and_at_any_index() {
        let known = known(&["mtu", "ipam", "ipam.ranges", "ipam.ranges[][].subnet", "args"]);
        for path in ["MTU", "ipam.ranges", "ipam.ranges[3][0].Subnet"] {
            assert_eq!(known.judge(path), Verdict::Known, "{path}");
        }
        for path in ["args.anything", "ipam.ranges[0]", "ipam.ranges[0][1]"] {
            assert_eq!(known.judge(path), Verdict::Unjudged, "{path}");
        }
    }

    #[test]
    fn an_unknown_key_gets_its_nearest_sibling() {
        let known = known(&["mtu", "bridge", "ipam.ranges[][].subnet", "ipam.ranges[][].gateway"]);
        let nearest = |path: &str| match known.judge(path) {
            Verdict::Unknown { nearest } => nearest,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(nearest("mut").as_deref(), Some("mtu"));
        assert_eq!(nearest("brigde").as_deref(), Some("bridge"));
        assert_eq!(nearest("ipam.ranges[0][0].subnets").as_deref(), Some("subnet"));
        assert_eq!(nearest("somethingElse"), None);
        assert_eq!(nearest("x"), None);
    }
}
