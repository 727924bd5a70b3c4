//! Steps of a longer task: announced, timed, and summed up in a table.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// What could not be done here, and why.
    Skipped(String),
    Failed(String),
}

struct Step {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// Collects steps. A failed step does not end the task: one run shows everything that is wrong.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Announces and runs one step.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        self.step_or_skip(name, || work().map(|()| Outcome::Passed));
    }

    /// As [`Report::step`], for work that may find out that it cannot be done here.
    pub(crate) fn step_or_skip(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<Outcome>,
    ) {
        println!("\n=== {name}");
        let started = Instant::now();
        let outcome = work().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = started.elapsed();
        let verdict = match &outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Skipped(why) => format!("skipped: {why}"),
            Outcome::Failed(why) => format!("FAILED: {why}"),
        };
        println!("=== {name}: {verdict} ({:.1} s)", took.as_secs_f64());
        self.steps.push(Step { name, took, outcome });
    }

    /// Prints the table of all steps.
    pub(crate) fn print(&self) {
        println!("\n{:<14} {:>8}  outcome", "step", "seconds");
        for step in &self.steps {
            let outcome = match &step.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Skipped(why) => format!("skipped: {}", first_line(why)),
                Outcome::Failed(why) => format!("FAILED: {}", first_line(why)),
            };
            println!("{:<14} {:>8.1}  {outcome}", step.name, step.took.as_secs_f64());
        }
        let total: Duration = self.steps.iter().map(|step| step.took).sum();
        println!("{:<14} {:>8.1}", "total", total.as_secs_f64());
    }

    /// An error that names the failed steps, if there are any.
    pub(crate) fn verdict(&self) -> Result<()> {
        let failed: Vec<&str> = self
            .steps
            .iter()
            .filter(|step| matches!(step.outcome, Outcome::Failed(_)))
            .map(|step| step.name)
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole_and_the_rest_still_runs() {
        let mut report = Report::default();
        let mut ran = false;
        report.step("first", || bail!("broken"));
        report.step("second", || {
            ran = true;
            Ok(())
        });
        report.step_or_skip("third", || Ok(Outcome::Skipped("no such kernel".into())));
        assert!(ran, "the second step did not run");
        assert_eq!(report.verdict().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_skip_alone_is_not_a_failure() {
        let mut report = Report::default();
        report.step_or_skip("vm", || Ok(Outcome::Skipped("no qemu".into())));
        assert!(report.verdict().is_ok());
    }
}
