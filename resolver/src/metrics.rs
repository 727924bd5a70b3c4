//! Counters, and how Prometheus reads them (text format 0.0.4).

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::wire::kind;

/// Types that are counted by themselves; all others together.
const KINDS: [(&str, u16); 6] = [
    ("A", kind::A),
    ("AAAA", kind::AAAA),
    ("PTR", kind::PTR),
    ("SOA", kind::SOA),
    ("HTTPS", 65),
    ("ANY", kind::ANY),
];
/// Reply codes that are counted by themselves; all others together.
const RCODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];
const ORIGINS: [&str; 6] = ["owned", "special", "refused", "invalid", "cache", "forwarded"];
const DROPS: [&str; 4] = ["malformed", "outside", "rate", "unsent"];

/// How a query arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// Where an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A name or address of ours.
    Owned,
    /// Rules that hold everywhere.
    Special,
    /// Others may not be asked.
    Refused,
    /// The query was wrong.
    Invalid,
    /// What others said before.
    Cache,
    /// What others said just now.
    Forwarded,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was no query.
    Malformed,
    /// It came from outside the network.
    Outside,
    /// One of many who ask had asked too much.
    Rate,
    /// The reply could not be sent.
    Unsent,
}

/// Counters of one network, shared by its doors.
#[derive(Debug)]
pub struct Counters {
    network: Rc<str>,
    queries: [[[Cell<u64>; RCODES.len() + 1]; KINDS.len() + 1]; TRANSPORTS.len()],
    origins: [Cell<u64>; ORIGINS.len()],
    lost: [Cell<u64>; DROPS.len()],
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get().wrapping_add(1));
}

impl Counters {
    /// Counters that are zero.
    #[must_use]
    pub fn of(network: Rc<str>) -> Self {
        Self {
            network,
            queries: Default::default(),
            origins: Default::default(),
            lost: Default::default(),
        }
    }

    /// Counts a reply to a query of type `kind`.
    pub fn answered(&self, transport: Transport, kind: u16, reply: &[u8], origin: Origin) {
        let rcode = usize::from(reply.get(3).copied().unwrap_or_default() & 0x0f);
        let kind = KINDS.iter().position(|(_, known)| *known == kind).unwrap_or(KINDS.len());
        count(&self.queries[transport as usize][kind][rcode.min(RCODES.len())]);
        count(&self.origins[origin as usize]);
    }

    /// Counts a query without a reply.
    pub fn lost(&self, why: Lost) {
        count(&self.lost[why as usize]);
    }

    /// Writes all that are not zero.
    pub fn write(&self, text: &mut String) {
        let network = &self.network;
        for (transport, of_transport) in TRANSPORTS.iter().zip(&self.queries) {
            let kinds = KINDS.iter().map(|(name, _)| *name).chain(["other"]);
            for (kind, of_kind) in kinds.zip(of_transport) {
                for (rcode, cell) in RCODES.iter().chain(&["other"]).zip(of_kind) {
                    let labels = format!(
                        "network=\"{network}\",type=\"{kind}\",rcode=\"{rcode}\",transport=\"{transport}\""
                    );
                    line(text, "cais_dns_queries_total", &labels, cell.get());
                }
            }
        }
        for (origin, cell) in ORIGINS.iter().zip(&self.origins) {
            let labels = format!("network=\"{network}\",from=\"{origin}\"");
            line(text, "cais_dns_answers_total", &labels, cell.get());
        }
        for (why, cell) in DROPS.iter().zip(&self.lost) {
            let labels = format!("network=\"{network}\",reason=\"{why}\"");
            line(text, "cais_dns_dropped_total", &labels, cell.get());
        }
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    if value > 0 {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}

/// Writes what a metric is, before its lines.
pub fn describe(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Writes what the counters of networks are, before their lines.
pub fn describe_counters(text: &mut String) {
    for (name, help) in [
        ("cais_dns_queries_total", "Queries that were answered."),
        ("cais_dns_answers_total", "Answers by where they are from."),
        ("cais_dns_dropped_total", "Queries that got no answer."),
    ] {
        describe(text, name, "counter", help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written_and_nothing_else_is() {
        let counters = Counters::of("web".into());
        let mut refused = [0; 12];
        refused[3] = 5;
        counters.answered(Transport::Udp, kind::A, &[0; 12], Origin::Owned);
        counters.answered(Transport::Udp, kind::A, &[0; 12], Origin::Cache);
        counters.answered(Transport::Tcp, 99, &refused, Origin::Invalid);
        counters.lost(Lost::Outside);
        let mut text = String::new();
        counters.write(&mut text);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "cais_dns_queries_total{network=\"web\",type=\"A\",rcode=\"NOERROR\",transport=\"udp\"} 2",
                "cais_dns_queries_total{network=\"web\",type=\"other\",rcode=\"REFUSED\",transport=\"tcp\"} 1",
                "cais_dns_answers_total{network=\"web\",from=\"owned\"} 1",
                "cais_dns_answers_total{network=\"web\",from=\"invalid\"} 1",
                "cais_dns_answers_total{network=\"web\",from=\"cache\"} 1",
                "cais_dns_dropped_total{network=\"web\",reason=\"outside\"} 1",
            ]
        );
    }
}
