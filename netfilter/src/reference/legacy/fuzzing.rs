//! Removals planned from any text.

use types::{Attachment, Family};

use super::removal::{Trace, plan_removal, plan_sweep};
use super::saved::Saved;
use super::script::Script;

/// Plans what would be removed for one attachment and for its network from `printed`.
///
/// # Panics
/// When something would be deleted that was not printed.
pub(crate) fn removals(printed: &str) {
    let (Ok(network), Ok(container), Ok(ifname)) = ("net".parse(), "c1".parse(), "eth0".parse())
    else {
        return;
    };
    let key = Attachment { network, container, ifname };
    let addresses = [[10, 1, 0, 2].into()];
    let traces = [
        Trace::Masquerade(&key, &addresses),
        Trace::Ports(&key),
        Trace::Accepts(&addresses),
        Trace::Passing,
    ];
    for name in ["nat", "filter"] {
        let table = Saved::parse(printed).table(name);
        let mut script = Script::default();
        plan_removal(&table, &traces, Family::V4, &mut script);
        plan_sweep(&table, &key.network, &[], &mut script);
        for line in script.text().lines() {
            let deleted = line.strip_prefix("-D ").map(|text| format!("-A {text}"));
            assert!(deleted.is_none_or(|rule| printed.contains(&rule)), "`{line}` was not printed");
        }
    }
}
