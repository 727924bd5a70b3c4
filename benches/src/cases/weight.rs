//! What a call weighs besides time: memory, system calls, bytes on disk.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{bridge, macvlan};
use crate::call::Plugin;
use crate::host::pool;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Kilobytes that a plugin may have at most.
const MEMORY: Goal = Goal::AtMost(2_500.0);

/// Bytes that a plugin's file may have at most.
const SIZE: Goal = Goal::AtMost(1_200_000.0);

/// Peak memory of one call.
pub(crate) fn memory(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let peak = options.tools.join("peak").display().to_string();
    let pairs = [
        ("bridge", both(options, scratch, "memory")?),
        ("macvlan", macvlan::with_addresses(options, scratch, "mv-peak")?),
    ];
    let calls = pairs.iter().flat_map(|pair| ["ADD", "DEL"].map(|verb| (pair, verb)));
    for ((plugin, pair), verb) in calls {
        let figure = |plugin: &Plugin| -> Result<f64> {
            let printed = plugin.call_through(&[&peak], verb)?;
            let line = printed.lines().find_map(|line| line.strip_prefix("peak: "));
            let figure = line.and_then(|line| line.split(' ').next());
            Ok(figure.context("peak printed no figure")?.parse()?)
        };
        let figures = (figure(&pair.ours)?, Some(figure(&pair.peer)?));
        report.counted(&format!("peak memory, {plugin} {verb}"), "kB", figures, MEMORY);
    }
    Ok(())
}

/// System calls of one call and of all processes it starts.
pub(crate) fn system_calls(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let summary = scratch.path("strace");
    let output = summary.display().to_string();
    let pairs = [
        ("bridge", both(options, scratch, "calls")?),
        ("macvlan", macvlan::with_addresses(options, scratch, "mv-calls")?),
    ];
    let calls = pairs.iter().flat_map(|pair| ["ADD", "DEL"].map(|verb| (pair, verb)));
    for ((plugin, pair), verb) in calls {
        let figure = |plugin: &Plugin| -> Result<f64> {
            plugin.call_through(&["strace", "-f", "-c", "-o", &output], verb)?;
            total(&fs::read_to_string(&summary)?).context("strace printed no total")
        };
        let figures = (figure(&pair.ours)?, Some(figure(&pair.peer)?));
        let what = format!("system calls, {plugin} + host-local {verb}");
        report.counted(&what, "calls", figures, Goal::None);
    }
    // Where the kernel has no driver for these, ADD is counted until it says so.
    let vlan = json!({ "type": "vlan", "vlanId": 7 });
    let pairs = [
        ("ipvlan", macvlan::unproven(options, scratch, "iv-calls", &json!({ "type": "ipvlan" }))?),
        ("vlan", macvlan::unproven(options, scratch, "vl-calls", &vlan)?),
    ];
    let calls = pairs.iter().flat_map(|pair| ["ADD", "DEL"].map(|verb| (pair, verb)));
    for ((plugin, pair), verb) in calls {
        let mut is_refused = false;
        let mut figure = |plugin: &Plugin| -> Result<f64> {
            let done = plugin.call_through(&["strace", "-f", "-c", "-o", &output], verb);
            if let Err(error) = done {
                let text = format!("{error:#}").to_lowercase();
                is_refused = verb == "ADD" && text.contains("operation not supported");
                ensure!(is_refused, "{text}");
            }
            total(&fs::read_to_string(&summary)?).context("strace printed no total")
        };
        let figures = (figure(&pair.ours)?, Some(figure(&pair.peer)?));
        let end = if is_refused { " until the kernel has no driver" } else { "" };
        let what = format!("system calls, {plugin} + host-local {verb}{end}");
        report.counted(&what, "calls", figures, Goal::None);
    }
    Ok(())
}

/// Bytes of each plugin's file; the Go plugins come stripped from Debian.
pub(crate) fn size(options: &Options, _: &Scratch, report: &mut Report) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(&options.ours)
        .with_context(|| format!("list {}", options.ours.display()))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    for name in names {
        let bytes =
            |folder: &std::path::Path| Some(folder.join(&name).metadata().ok()?.len() as f64);
        let ours = bytes(&options.ours).unwrap_or_default();
        // The command is no plugin.
        let goal = if name == "cais" { Goal::None } else { SIZE };
        report.counted(&format!("size of {name}"), "bytes", (ours, bytes(&options.peer)), goal);
    }
    Ok(())
}

fn both(options: &Options, scratch: &Scratch, name: &str) -> Result<super::Pair> {
    let leases = ["ours", "peer"].map(|subject| pool(&scratch.path(&format!("{name}-{subject}"))));
    bridge::pair(options, scratch, name, &leases)
}

/// The number of calls in the last line of `strace -c`: share, seconds, each, calls, errors, name.
fn total(summary: &str) -> Option<f64> {
    let line = summary.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_summary_is_its_fourth_column() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       100.00    0.003055          18       169        18 total\n";
        assert_eq!(total(summary), Some(169.0));
        assert_eq!(total("nothing\n"), None);
    }
}
