//! Waiting for what the kernel does a moment later: for its event, with a deadline, never by sleep.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Namespace;
use crate::namespace::list;

/// Longer than anything that we wait for takes, even in an emulated guest.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

impl Namespace {
    /// Waits until no IPv6 address, but for link-local ones, is tentative: until then nobody can use
    /// it.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    #[track_caller]
    pub fn settle(&self) {
        self.settle_where(|entry| entry["scope"] != "link");
    }

    /// As [`Self::settle`], link-local addresses included: without them a router cannot ask for the
    /// neighbours of what it forwards.
    #[track_caller]
    pub fn settle_link_local(&self) {
        self.settle_where(|_| true);
    }

    #[track_caller]
    fn settle_where(&self, counts: impl Fn(&Value) -> bool) {
        let is_tentative = |entry: &Value| entry["tentative"] == true && counts(entry);
        let settled = || {
            let links = list(self.json("ip -j -6 addr show"));
            let mut entries = links
                .iter()
                // Without a carrier duplicate detection does not even begin.
                .filter(|link| link["operstate"] != "DOWN")
                .flat_map(|link| list(link["addr_info"].clone()));
            !entries.any(|entry| is_tentative(&entry))
        };
        if !self.wait_for("address", settled) {
            panic!("{}: an IPv6 address stays tentative", self.name());
        }
    }

    /// Waits until the kernel takes what comes to this IPv6 address as its own, which is a moment after
    /// the link is up.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    #[track_caller]
    pub fn wait_until_local(&self, address: &str) {
        let route = format!("local {address} ");
        let is_local = || self.run("ip -6 route show table local").contains(&route);
        if !self.wait_for("route", is_local) {
            panic!("{}: nothing leads to {address}", self.name());
        }
    }

    /// Waits until there is no link of that name.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    #[track_caller]
    pub fn wait_until_gone(&self, link: &str) {
        if !self.wait_for("link", || self.link(link).is_none()) {
            panic!("{}: link {link} stays", self.name());
        }
    }

    /// Waits until there is a link of that name.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    #[track_caller]
    pub fn wait_until_there(&self, link: &str) {
        if !self.wait_for("link", || self.link(link).is_some()) {
            panic!("{}: no link {link} appears", self.name());
        }
    }

    /// Waits until the link is operational: a bridge is when a port of it passes frames.
    ///
    /// # Panics
    /// When that takes longer than 20 s.
    #[track_caller]
    pub fn wait_until_up(&self, link: &str) {
        let is_up = || self.link(link).is_some_and(|link| link["operstate"] == "UP");
        if !self.wait_for("link", is_up) {
            panic!("{}: link {link} stays without a carrier", self.name());
        }
    }

    /// Looks again after each event that `ip monitor <objects>` reports; whether it came true.
    fn wait_for(&self, objects: &str, done: impl Fn() -> bool) -> bool {
        self.wait_for_event(&format!("ip monitor {objects}"), done)
    }

    /// Looks again after each line that the command `monitor` prints; whether it came true.
    pub(crate) fn wait_for_event(&self, monitor: &str, done: impl Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        let mut monitor = self.spawn(monitor);
        let events = BufReader::new(monitor.stdout());
        let (sender, receiver) = mpsc::channel();
        // Ends with the monitor, whose pipe closes when it is dropped.
        let reader = thread::spawn(move || {
            for line in events.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + DEADLINE;
        // The monitor may have begun to listen after the event: look once in a while as well.
        let patience = Duration::from_millis(100);
        let mut came_true = done();
        while !came_true && Instant::now() < end {
            let _ = receiver.recv_timeout(patience);
            came_true = done();
        }
        drop((monitor, receiver));
        reader.join().expect("reading lines does not panic");
        came_true
    }
}
