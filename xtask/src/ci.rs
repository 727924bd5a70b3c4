//! Exactly what CI runs.

use anyhow::Result;

use crate::report::Report;
use crate::{bench, demo, deny, dist, lint, package, test, tidy, vm};

/// `cargo xtask ci`: every step runs even when an earlier one failed; the table and the test
/// runner's own closing lines come last.
pub(crate) fn task(_: &[String]) -> Result<()> {
    let mut report = Report::default();
    let mut tests = test::Ending::default();
    test::install_tools();
    test::install_runtimes();
    report.step("fmt", lint::fmt);
    report.step("tidy", || tidy::task(&[]));
    report.step("clippy", lint::clippy);
    report.step_or_skip("clippy musl", lint::clippy_musl);
    report.step("doc", lint::doc);
    report.step("test", || {
        tests = test::all(&[])?;
        tests.verdict()
    });
    report.step("doc test", test::doc);
    report.step("deny", || deny::task(&[]));
    report.step("dist", || dist::task(&[]));
    report.step_or_skip("package", package::proven);
    report.step("demo", || demo::task(&[]));
    report.step("bench", || bench::task(&["--smoke".to_owned()]));
    report.step_or_skip("vm", vm::everyday);
    report.step_or_skip("power loss", vm::power_loss);
    report.print();
    println!();
    for line in &tests.lines {
        println!("{line}");
    }
    report.verdict()
}
