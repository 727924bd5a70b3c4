//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: benches --ours DIR [--peer DIR] [--tools DIR] [--aardvark FILE] \
                     [--runs N] [--results DIR] [--scratch DIR] [--smoke] [case…]";

/// Cases that are named together by what their names begin with.
const FAMILIES: &[&str] = &["overlay"];

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

    /// What is measured as a whole, if anything: everything, called nothing, or a family.
    pub(crate) fn whole(&self) -> Option<&str> {
        match &*self.cases {
            [] => Some(""),
            [family] if FAMILIES.contains(&&**family) => Some(family),
            _ => None,
        }
    }

    /// Whether the case of this name is to be measured; without names all are.
    pub(crate) fn chosen(&self, name: &str) -> bool {
        let family = name.split('-').next().filter(|family| FAMILIES.contains(family));
        let is_meant = |case: &String| case == name || Some(&**case) == family;
        self.cases.is_empty() || self.cases.iter().any(is_meant)
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
    fn a_family_is_chosen_by_its_name_and_is_a_whole() {
        let family = parse("--ours bin overlay").unwrap();
        assert!(family.chosen("overlay-add") && !family.chosen("bridge"));
        assert_eq!(family.whole(), Some("overlay"));
        assert_eq!(parse("--ours bin").unwrap().whole(), Some(""));
        assert_eq!(parse("--ours bin overlay-add").unwrap().whole(), None);
        assert!(!parse("--ours bin bridge").unwrap().chosen("bridge-bare"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for line in ["", "--ours", "--ours bin --runs many", "--ours bin --unknown"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
