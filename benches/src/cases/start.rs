//! What a process costs before it does anything.

use anyhow::Result;
use serde_json::json;

use super::Pair;
use crate::call::Plugin;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// VERSION, which touches nothing.
pub(crate) fn version(options: &Options, _: &Scratch, report: &mut Report) -> Result<()> {
    for name in ["bridge", "host-local"] {
        let config = json!({ "cniVersion": "1.0.0" });
        let pair = Pair {
            ours: Plugin::new(&options.ours, name, &config),
            peer: Plugin::new(&options.peer, name, &config),
        };
        let series = pair.in_turns(&["VERSION"], options.runs)?;
        report.pair(&format!("{name} VERSION"), &series[0][0], &series[0][1], Goal::None);
    }
    Ok(())
}
