//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: benches --ours DIR [--peer DIR] [--tools DIR] [--aardvark FILE] \
                     [--runs N] [--results DIR] [--scratch DIR] [--smoke] [case…]";

/// What to measure, and with what.
pub(crate) struct Options {
    /// Where our plugins are.
    pub(crate) ours: PathBuf,
    /// Where the Go plugins are.
    pub(crate) peer: PathBuf,
    /// Where the static programs `floor` and `peak` are.
    pub(crate) tools: PathBuf,
    /// The real `aardvark-dns`, where there is one to compare with.
    pub(crate) aardvark: Option<PathBuf>,
    /// Interleaved runs per case.
    pub(crate) runs: usize,
    /// Folder for raw results of a run of all cases, none for not keeping them.
    pub(crate) results: Option<PathBuf>,
    /// Folder for lease directories; on the disk that is to be measured.
    pub(crate) scratch: PathBuf,
    /// Few runs and no judgement: shows that everything works.
    pub(crate) smoke: bool,
    cases: Vec<String>,
}

impl Options {
    /// Reads the arguments.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut ours: Option<PathBuf> = None;
        let mut tools: Option<PathBuf> = None;
        let mut runs = None;
        let mut options = Options {
            ours: PathBuf::new(),
            peer: PathBuf::from("/usr/lib/cni"),
            tools: PathBuf::new(),
            aardvark: None,
            runs: 0,
            results: None,
            scratch: std::env::temp_dir(),
            smoke: false,
            cases: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} what?"));
            match &*argument {
                "--ours" => ours = Some(value()?.into()),
                "--peer" => options.peer = value()?.into(),
                "--tools" => tools = Some(value()?.into()),
                "--aardvark" => options.aardvark = Some(std::path::absolute(value()?)?),
                "--runs" => runs = Some(value()?.parse().context("--runs takes a number")?),
                "--results" => options.results = Some(value()?.into()),
                "--scratch" => options.scratch = value()?.into(),
                "--smoke" => options.smoke = true,
                unknown if unknown.starts_with('-') => bail!("{USAGE}"),
                case => options.cases.push(case.to_owned()),
            }
        }
        options.ours = std::path::absolute(ours.context(USAGE)?)?;
        let own = std::env::current_exe()?;
        options.tools = match tools {
            Some(tools) => std::path::absolute(tools)?,
            None => own.parent().unwrap_or(&own).to_owned(),
        };
        options.runs = runs.unwrap_or(if options.smoke { 3 } else { 100 });
        Ok(options)
    }

    /// Whether every case is to be measured.
    pub(crate) fn all_cases(&self) -> bool {
        self.cases.is_empty()
    }

    /// Whether the case of this name is to be measured; without names all are.
    pub(crate) fn chosen(&self, name: &str) -> bool {
        self.all_cases() || self.cases.iter().any(|case| case == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_hundred_pairs_are_the_default_and_smoke_takes_three() {
        assert_eq!(parse("--ours bin").unwrap().runs, 100);
        assert_eq!(parse("--ours bin --smoke").unwrap().runs, 3);
        assert_eq!(parse("--ours bin --smoke --runs 9").unwrap().runs, 9);
    }

    #[test]
    fn cases_are_chosen_by_name_or_all() {
        assert!(parse("--ours bin").unwrap().chosen("bridge"));
        let one = parse("--ours bin leases").unwrap();
        assert!(one.chosen("leases") && !one.chosen("bridge"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for line in ["", "--ours", "--ours bin --runs many", "--ours bin --unknown"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
