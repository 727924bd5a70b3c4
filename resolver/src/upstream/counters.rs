//! What is counted, for whoever exports it.

use std::cell::Cell;
use std::time::Duration;

/// Counts of one server since its set was made.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Questions put, retransmissions not counted.
    pub queries: Cell<u64>,
    /// Questions that got no answer while somebody waited for it.
    pub timeouts: Cell<u64>,
    /// Questions answered by a failure (SERVFAIL, REFUSED, …) or an error of the network.
    pub failures: Cell<u64>,
    /// Questions put again over TCP, because the answer was truncated.
    pub tcp: Cell<u64>,
    /// Questions put again without EDNS, because the server declined it.
    pub without_edns: Cell<u64>,
    /// Packets passed over because they were not the answer: forged, late or garbage.
    pub foreign: Cell<u64>,
    /// Microseconds from question to answer, summed over all answers.
    pub latency_sum: Cell<u64>,
    /// Answers by latency: up to the bound in [`LATENCY_BOUNDS`] at the same place and above the one
    /// before; the last counts those above all bounds.
    pub latency: [Cell<u64>; LATENCY_BOUNDS.len() + 1],
}

/// Upper bounds of [`ServerCounters::latency`], in milliseconds.
pub const LATENCY_BOUNDS: [u64; 8] = [1, 5, 10, 50, 100, 250, 500, 1000];

impl ServerCounters {
    pub(super) fn answered(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.latency_sum.set(self.latency_sum.get().saturating_add(micros));
        let above = |bound: &&u64| micros > **bound * 1000;
        increment(&self.latency[LATENCY_BOUNDS.iter().take_while(above).count()]);
    }
}

/// Counts of a [`Forwarder`](super::Forwarder) since it was made.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answers given from the cache.
    pub hits: Cell<u64>,
    /// Questions put to servers.
    pub forwards: Cell<u64>,
    /// Questions that waited for an identical one on its way instead.
    pub coalesced: Cell<u64>,
    /// Questions given up for newer ones, because there were too many.
    pub shed: Cell<u64>,
    /// Questions that no server answered.
    pub failed: Cell<u64>,
    /// Questions of our own that came back to us.
    pub loops: Cell<u64>,
}

pub(super) fn increment(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}
