//! A plugin that somebody runs by hand.

use netns_fixtures::{Lab, Outcome};

use crate::battery::VERSIONS;
use crate::under_test::{are_ours, only_ours};

/// Without `CNI_COMMAND`, and without the other variables.
fn by_hand(lab: &Lab, plugin: &str) -> Outcome {
    lab.plugin(plugin).without("CNI_PATH").without("CNI_IFNAME").run()
}

every_plugin! {
    fn without_a_verb_it_introduces_itself_on_stderr(lab, plugin) {
        let outcome = by_hand(lab, plugin);
        outcome.is_silent();
        let mut lines = outcome.stderr.lines();
        let banner = lines.next().unwrap_or_default();
        assert!(banner.starts_with(&format!("CNI {plugin} plugin ")), "{banner}");
        let versions = lines.next().unwrap_or_default();
        let known = if are_ours(lab) { &VERSIONS[..] } else { &VERSIONS[..6] };
        let expected = format!("CNI protocol versions supported: {}", known.join(", "));
        assert_eq!(versions, expected);
    }

    fn without_a_verb_stdin_is_not_read(lab, plugin) {
        lab.plugin(plugin).stdin("no json").run().is_silent();
    }

    fn an_empty_verb_is_none(lab, plugin) {
        lab.plugin(plugin).verb("").run().is_silent();
    }

    /// nerdctl takes the word after `plugin` for a semantic version and compares it with 1.1.0 and
    /// 1.7.1; only build metadata may follow, since a pre-release would sort lower.
    fn the_banner_has_the_version_of_the_reference_and_ours(lab, plugin) {
        only_ours(lab, "has another version");
        let banner = by_hand(lab, plugin).stderr;
        let version = banner.split_whitespace().nth(3).unwrap_or_default();
        let build = version.strip_prefix("v1.9.1+cais.").unwrap_or_default();
        assert_eq!(build.split('.').count(), 3, "{banner}");
        assert!(build.chars().all(|c| c.is_ascii_digit() || c == '.'), "{banner}");
    }
}
