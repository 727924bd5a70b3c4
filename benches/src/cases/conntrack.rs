//! Forgetting connections in a long table: our flush, as the example `conntrack_flush` of crate
//! `kernel` runs it, beside conntrack(8). The walk is the kernel's and the same for both.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::call::Plugin;
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
        let ours = shell(&[format!("{ours} {}", question.ours)]);
        let peer = shell(
            &question
                .peer
                .iter()
                .map(|filter| format!("conntrack -D {filter}"))
                .collect::<Vec<_>>(),
        );
        let mut series = [Vec::new(), Vec::new()];
        for turn in 0..options.runs.min(MOST_RUNS) {
            for subject in [turn % 2, 1 - turn % 2] {
                if let Some(entry) = question.found {
                    let words: Vec<&str> = ["-I"].into_iter().chain(entry.split(' ')).collect();
                    run("conntrack", &words)?;
                }
                series[subject].push([&ours, &peer][subject].call("")?);
            }
        }
        let what = format!("forget {}, {tracked} tracked", question.what);
        report.pair(&what, &series[0], &series[1], GOAL);
    }
    run("conntrack", &["-F"])
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
