//! Which `cniVersion` to write.

use std::path::PathBuf;

use cni::Version;
use cni::exec::find;
use cni::runtime::{NetworkList, probe};

use super::{Page, Report, Severity};

/// Compares the list's version with what its plugins speak, and says which one to write.
pub(super) fn inspect(list: &NetworkList, page: &Page<'_>, path: &[PathBuf], report: &mut Report) {
    let mut common = Version::ALL.to_vec();
    let mut asked = 0;
    for kind in list.kinds() {
        let Ok(file) = find(&kind, path) else { continue };
        match probe(&file) {
            Ok(probe) => {
                asked += 1;
                let speaks = |text: &str| probe.versions.iter().any(|v| v == text);
                common.retain(|version| speaks(version.as_str()));
                let ours = list.version().as_str();
                let wanted =
                    if list.version_text().is_empty() { ours } else { list.version_text() };
                if !speaks(wanted) {
                    let message = format!(
                        "{kind} does not speak version \"{wanted}\"; it speaks {}",
                        probe.versions.join(", ")
                    );
                    report.add(page, page.position("cniVersion"), Severity::Error, (message, None));
                }
            }
            Err(error) => {
                let at = page.position("plugins");
                report.add(page, at, Severity::Error, (error.msg, None));
            }
        }
    }
    let Some(best) = common.pop().filter(|_| asked > 0) else { return };
    report.version = Some(best.to_string());
    if list.version_text() != best.as_str() {
        let now = match list.version_text() {
            "" => "no cniVersion is written, which means 0.1.0".to_owned(),
            text => format!("cniVersion is \"{text}\""),
        };
        let message = format!("{now}; {best} is the newest that all plugins speak");
        let hint = format!("write \"cniVersion\": \"{best}\"");
        report.add(page, page.position("cniVersion"), Severity::Note, (message, Some(hint)));
    }
}
