//! Which of several versions to speak.

use std::path::PathBuf;

use super::list::NetworkList;
use super::probe::probe;
use crate::exec::find;
use crate::version::{Version, ordinal};

impl NetworkList {
    /// Where the list offers several versions, takes the newest that all its plugins speak, the
    /// address plugins included. libcni takes the newest that it knows itself, and lets plugins
    /// refuse it. Lists with one version are left as they are, and no plugin is asked.
    ///
    /// Gives the reason when that is not the newest one offered.
    pub fn negotiate(&mut self, path: &[PathBuf]) -> Option<String> {
        if self.offered_versions().is_empty() {
            return None;
        }
        let mut common: Vec<Version> =
            Version::ALL.into_iter().filter(|version| self.offers(*version)).collect();
        let mut refused = Vec::new();
        for kind in self.kinds() {
            // One that is missing or mute is told of by the call that needs it.
            let Some(answer) = find(&kind, path).ok().and_then(|file| probe(&file).ok()) else {
                continue;
            };
            let speaks = |version: &Version| answer.versions.iter().any(|v| v == version.as_str());
            if !common.last().is_none_or(&speaks) {
                refused.push(kind);
            }
            common.retain(speaks);
        }
        let best = common.pop()?;
        if self.version == best.as_str() {
            return None;
        }
        let newest = std::mem::replace(&mut self.version, best.to_string());
        Some(format!("speaking {best}, not {newest}: {} does not know it", refused.join(", ")))
    }

    fn offers(&self, version: Version) -> bool {
        let number = ordinal(version.as_str());
        let stated = std::iter::once(&self.version);
        self.offered_versions().iter().chain(stated).any(|text| ordinal(text) == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::Stage;

    fn speaking(versions: &str) -> String {
        format!(r#"echo '{{"cniVersion":"1.1.0","supportedVersions":[{versions}]}}'"#)
    }

    fn list(versions: &str) -> NetworkList {
        let text = format!(
            r#"{{"name":"n",{versions},"plugins":[{{"type":"new","ipam":{{"type":"old"}}}}]}}"#
        );
        NetworkList::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_newest_version_that_all_speak_is_taken_and_the_reason_given() {
        let stage = Stage::new()
            .plugin("new", &speaking(r#""0.4.0","1.0.0","1.1.0""#))
            .plugin("old", &speaking(r#""0.4.0","1.0.0""#));
        let path = [stage.scratch.path().join("bin")];
        let mut several = list(r#""cniVersions":["0.4.0","1.1.0","1.0"]"#);
        assert_eq!(several.version_text(), "1.1.0");
        let why = several.negotiate(&path);
        assert_eq!(why.as_deref(), Some("speaking 1.0.0, not 1.1.0: old does not know it"));
        assert_eq!(several.version_text(), "1.0.0");
        assert_eq!(several.negotiate(&path), None, "nothing to say the second time");
    }

    #[test]
    fn one_version_or_none_in_common_stays_as_written() {
        let stage = Stage::new().plugin("new", "exit 1").plugin("old", &speaking(r#""0.1.0""#));
        let path = [stage.scratch.path().join("bin")];
        for versions in [r#""cniVersion":"1.1.0""#, r#""cniVersions":["1.1.0"]"#] {
            let mut list = list(versions);
            assert_eq!(list.negotiate(&path), None);
            assert_eq!(list.version_text(), "1.1.0", "{versions}");
        }
    }
}
