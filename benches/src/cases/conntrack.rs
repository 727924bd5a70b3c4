//! Forgetting connections in a long table: our flush, as the example `conntrack_flush` of crate
//! `kernel` runs it, beside conntrack(8). The walk is the kernel's and the same for both.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::in_turns;
use crate::call::{Plugin, Sample, Subject};
use crate::isolation::{Scratch, run};
use crate::options::Options;
use crate::report::{Goal, Report};

/// What is forgotten: for us, for conntrack(8), and the entry that is there to be found.
struct Question {
    what: &'static str,
    ours: &'static str,
    peer: &'static [&'static str],
    found: Option<&'static str>,
}

const QUESTIONS: &[Question] = &[
    Question {
        what: "UDP towards a port, no match",
        ours: "17:53",
        peer: &["-p udp --orig-port-dst 53"],
        found: None,
    },
    Question {
        what: "UDP towards a port, one match",
        ours: "17:53",
        peer: &["-p udp --orig-port-dst 53"],
        found: Some("-p udp -s 203.0.113.1 -d 192.0.2.9 --sport 4000 --dport 53 --timeout 600"),
    },
    Question {
        what: "an address in any position, no match",
        ours: "of=203.0.113.9",
        // Four runs are what it takes.
        peer: &["-s 203.0.113.9", "-d 203.0.113.9", "-r 203.0.113.9", "-q 203.0.113.9"],
        found: None,
    },
];

/// The peer copies the whole table and we do not.
const GOAL: Goal = Goal::Ratio(0.3);

/// A call takes up to seconds, and the figures are far apart.
const MOST_RUNS: usize = 20;

/// Deletes from a table of 100 000 connections.
pub(crate) fn flush(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let tracked = if options.smoke { 1_000 } else { 100_000 };
    track(tracked, &scratch.path("connections"))?;
    let ours = options.tools.join("examples/conntrack_flush").display().to_string();
    for question in QUESTIONS {
        let forget = |lines: &[String]| Forget { found: question.found, plugin: shell(lines) };
        let deletes = question.peer.iter().map(|filter| format!("conntrack -D {filter}"));
        let peer = forget(&deletes.collect::<Vec<_>>());
        let ours = forget(&[format!("{ours} {}", question.ours)]);
        let runs = options.runs.min(MOST_RUNS);
        let [ours, peer] = in_turns(&[&ours, &peer], &[""], runs)?.swap_remove(0);
        let what = format!("forget {}, {tracked} tracked", question.what);
        report.pair(&what, &ours, &peer, GOAL);
    }
    run("conntrack", &["-F"])
}

/// What forgets; that the entry to be found is put there before is not measured.
struct Forget {
    found: Option<&'static str>,
    plugin: Plugin,
}

impl Subject for Forget {
    fn call(&self, verb: &str) -> Result<Sample> {
        if let Some(entry) = self.found {
            let words: Vec<&str> = ["-I"].into_iter().chain(entry.split(' ')).collect();
            run("conntrack", &words)?;
        }
        self.plugin.call(verb)
    }
}

/// Both subjects start from a shell. conntrack(8) ends with 1 when nothing matched.
fn shell(lines: &[String]) -> Plugin {
    let mut plugin = Plugin::new(Path::new("/bin"), "sh", &Value::Null);
    plugin.config = lines.iter().map(|line| format!("{line} || test $? = 1\n")).collect();
    plugin
}

/// Makes `count` TCP connections of which no question asks, through the file `batch`.
fn track(count: u32, batch: &Path) -> Result<()> {
    let mut lines = String::new();
    for number in 0..count {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = writeln!(
            lines,
            "-I -p tcp -s 10.{a}.{b}.{c} -d 192.0.2.1 --sport 4000 --dport 443 \
             --state ESTABLISHED --timeout 3600"
        );
    }
    fs::write(batch, lines).with_context(|| format!("write {}", batch.display()))?;
    run("conntrack", &["-R", &batch.display().to_string()])
}
