//! Faults around an overlay network: what each costs, as the cases of `tests/overlay/faults` print it.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{dist, run, workspace};

/// The name by which it is asked for.
pub(super) const CASE: &str = "overlay-faults";

/// After which the rest of a line is a row. The test runner may have written something before it.
const MARK: &str = "fault: ";

const HEAD: &str = "\
| fault | packets lost | longest silence, ms | then |
|---|---:|---:|---|
";

/// Runs the cases one after the other with what is shipped, shows the table, and keeps it.
pub(super) fn measure(keep: bool) -> Result<()> {
    let mut cargo = run::cargo();
    cargo.args(["test", "--package", "tests", "--", "overlay::faults", "--nocapture"]);
    cargo.arg("--test-threads=1").env("CAIS_TEST_BIN", dist::bin());
    let done = run::stream(cargo.current_dir(workspace::root()), |line| line.contains(MARK))?;
    if !done.success {
        bail!("a fault cost more than it may, or the cases could not be run");
    }
    if done.kept.is_empty() {
        bail!("no case told what a fault cost: is there an etcd (package etcd-server)?");
    }
    let table = table(&done.kept);
    println!("\n{table}");
    if keep {
        let date = run::output(Command::new("date").args(["-u", "+%F"]))?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let path = workspace::root().join(format!("benches/results/{}-{CASE}.md", date.trim()));
        let text = format!(
            "`cargo xtask bench {CASE}`, kernel {}, {processors} processors; a packet each 5 ms\n\n{table}",
            kernel.trim()
        );
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("kept in {}", path.display());
    }
    Ok(())
}

fn table(lines: &[String]) -> String {
    let mut table = HEAD.to_owned();
    for (_, row) in lines.iter().filter_map(|line| line.split_once(MARK)) {
        let _ = writeln!(table, "| {row} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_case_is_a_row() {
        let lines =
            ["test a_case ... fault: device deleted | 1 of 69 | 25 | 13 ms until it is there"
                .to_owned()];
        let table = table(&lines);
        let row = "| device deleted | 1 of 69 | 25 | 13 ms until it is there |";
        assert_eq!(table.lines().last(), Some(row));
        let cells = |line: &str| line.matches(" | ").count();
        assert!(
            table.lines().skip(2).all(|line| cells(line) == cells(HEAD.lines().next().unwrap()))
        );
    }
}
