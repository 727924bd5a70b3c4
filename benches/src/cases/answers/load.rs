//! Questions, by dnsperf(1).

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use kernel::netns::Netns;
use nix::unistd::Pid;

use super::server::{ASKERS, pinned};
use crate::isolation::Container;
use crate::statistics::quantile;

/// Sockets that questions come from, and how many may wait for answers at once: what overflows no
/// queue of any server.
const CLIENTS: &str = "4";
const OUTSTANDING: &str = "64";

/// Questions for addresses, one after the other.
pub(super) struct Load {
    file: PathBuf,
    count: usize,
    pace: Pace,
}

/// How fast questions are asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many in a second: the server sleeps between them.
    Steady(usize),
    /// The next one as soon as there is an answer: the server has no rest.
    Full,
}

/// How long answers took, in microseconds.
#[derive(Debug)]
pub(super) struct Latencies(Vec<f64>);

impl Load {
    /// Questions for `names`, kept in `file`.
    pub(super) fn new(file: &Path, names: &[String], pace: Pace) -> Result<Load> {
        let mut text = String::new();
        for name in names {
            let _ = writeln!(text, "{name} A");
        }
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(Load { file: file.to_owned(), count: names.len(), pace })
    }

    /// Asks all of it once.
    ///
    /// # Errors
    /// When not every question has an answer that is a success.
    pub(super) fn ask(&self, from: &Container, server: SocketAddr) -> Result<Latencies> {
        let mut command = Command::new("dnsperf");
        command.args(["-v", "-n", "1", "-T", "1", "-c", CLIENTS, "-q", OUTSTANDING]);
        let (address, port) = (server.ip().to_string(), server.port().to_string());
        command.args(["-s", &address, "-p", &port]);
        if let Pace::Steady(per_second) = self.pace {
            command.args(["-Q", &per_second.to_string()]);
        }
        command.arg("-d").arg(&self.file).stdin(Stdio::null());
        let asked = Netns::open(&from.path)?.run(|| {
            // A thread of its own, which dnsperf takes that from.
            pinned(Pid::from_raw(0), ASKERS)?;
            anyhow::Ok(command.output()?)
        })?;
        let output = asked.context("start dnsperf")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "dnsperf ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let latencies = Latencies::read(&printed)?;
        let count = latencies.count();
        ensure!(count == self.count, "{count} of {} questions were answered", self.count);
        Ok(latencies)
    }
}

impl Latencies {
    /// Reads the lines that dnsperf prints for each answer: a mark, the outcome, the question, and
    /// after how many seconds.
    fn read(printed: &str) -> Result<Latencies> {
        let mut all = Vec::new();
        for line in printed.lines() {
            let Some(answer) = line.strip_prefix("> ") else { continue };
            let latency = answer.rsplit(' ').next().and_then(|last| last.parse::<f64>().ok());
            match latency {
                Some(seconds) if answer.starts_with("NOERROR ") => all.push(seconds * 1e6),
                _ => bail!("a question was not answered with success: {answer}"),
            }
        }
        Ok(Latencies(all))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which this share of the answers came.
    pub(super) fn within(&self, share: f64) -> f64 {
        quantile(&self.0, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_from_the_lines_of_answers() {
        let printed = "[Status] Sending queries\n> NOERROR e1 A 0.000120\n> NOERROR e2 A 0.000080\n\
                       Statistics:\n";
        let latencies = Latencies::read(printed).unwrap();
        assert_eq!(latencies.count(), 2);
        assert!((latencies.within(0.5) - 100.0).abs() < 0.001, "{latencies:?}");
    }

    #[test]
    fn an_answer_without_success_and_none_at_all_are_errors() {
        for line in ["> NXDOMAIN e1 A 0.000120", "> T e1 A"] {
            let error = Latencies::read(line).unwrap_err().to_string();
            assert!(error.contains("e1 A"), "{error}");
        }
    }
}
