//! What is measured; each case is chosen by its name.

use anyhow::Result;

use crate::call::{Plugin, Sample, Subject};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::Report;

mod answers;
mod behind;
mod bridge;
mod chain;
mod connect;
mod conntrack;
mod dhcp;
mod host_device;
mod leases;
mod macvlan;
mod masquerade;
mod names;
mod overlay;
mod ports;
mod ptp;
mod published;
mod reload;
mod start;
mod tap;
mod weight;

/// A case: measures and adds rows.
pub(crate) type Case = fn(&Options, &Scratch, &mut Report) -> Result<()>;

/// All cases in the order of the table.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("bridge", bridge::with_addresses),
    ("bridge-bare", bridge::without_addresses),
    ("host-device", host_device::add_and_del),
    ("macvlan", macvlan::add_and_del),
    ("ptp", ptp::add_and_del),
    ("tap", tap::add_and_del),
    ("dhcp", dhcp::add_and_del),
    ("bandwidth", behind::bandwidth),
    ("sbr", behind::sbr),
    ("masquerade", masquerade::add_and_del),
    ("ports", ports::publish),
    ("chain", chain::whole),
    ("names", names::add_and_del),
    ("answers", answers::all),
    ("connect", connect::through_a_port),
    ("reload", reload::after_a_flush),
    ("leases", leases::one_by_one),
    ("parallel", leases::many_at_once),
    ("conntrack", conntrack::flush),
    ("version", start::version),
    ("memory", weight::memory),
    ("syscalls", weight::system_calls),
    ("size", weight::size),
    // They make the namespaces a lab, which the others are not.
    ("overlay-add", overlay::warm),
    ("overlay-first", overlay::first),
    ("overlay-outage", overlay::outage),
    ("overlay-join", overlay::join),
    ("overlay-claim", overlay::at_once),
    ("overlay-start", overlay::start),
    ("overlay-throughput", overlay::throughput),
    ("overlay-hour", overlay::hour),
];

/// Two subjects in the same place, called in turns.
struct Pair {
    ours: Plugin,
    peer: Plugin,
}

impl Pair {
    /// As [`in_turns`]: series of both subjects for each verb, in the order of the verbs.
    fn in_turns(&self, verbs: &[&str], runs: usize) -> Result<Vec<[Vec<Sample>; 2]>> {
        in_turns(&[&self.ours, &self.peer], verbs, runs)
    }
}

/// Calls `verbs` one after the other, `runs` times, the subjects in turns. What comes back is for
/// each verb the series of each subject.
fn in_turns<S: Subject + ?Sized, const N: usize>(
    subjects: &[&S; N],
    verbs: &[&str],
    runs: usize,
) -> Result<Vec<[Vec<Sample>; N]>> {
    let mut series = vec![[const { Vec::new() }; N]; verbs.len()];
    for run in 0..runs {
        // Who goes first changes, so that none always finds the caches of the same other.
        for turn in 0..N {
            let subject = (run + turn) % N;
            for (verb, of_verb) in verbs.iter().zip(&mut series) {
                of_verb[subject].push(subjects[subject].call(verb)?);
            }
            settle();
        }
    }
    Ok(series)
}

/// Lets the kernel finish what a delete left for later, which would slow the next call.
#[expect(clippy::disallowed_methods, reason = "deferred work of the kernel ends without an event")]
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}
