//! What the process says about itself: for people, for programs, for Prometheus.

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use names::Place;
use serde_json::{Value, json};

use super::Worker;
use crate::link::Listener;
use crate::metrics::{describe, describe_counters};
use crate::upstream::{LATENCY_BOUNDS, Upstream};
use crate::zone::{Told, Whom};

impl Worker {
    /// What the process is and does.
    pub(super) fn status(&self) -> String {
        let zone = self.answering.shared.zone.borrow();
        let networks: Vec<Value> = zone
            .networks()
            .map(|network| {
                let network = network.borrow();
                json!({
                    "network": &*network.name(),
                    "attachments": network.len(),
                    "elsewhere": network.count_others(),
                    "internal": network.is_internal(),
                    "suffix": network.suffix(),
                    "servers": network.servers().iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            })
            .collect();
        let servers = self.answering.shared.others.of_host();
        let servers: Vec<String> = servers
            .upstreams()
            .iter()
            .map(|upstream| upstream.server().address.to_string())
            .collect();
        let (entries, bytes) = self.answering.shared.others.forwarder().cache_size();
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "layout": names::LAYOUT,
            "pid": std::process::id(),
            "seconds": self.started.elapsed().as_secs(),
            "networks": networks,
            "listening": self.answering.doors.list().iter().map(listening).collect::<Vec<_>>(),
            "servers": servers,
            "cache": {"answers": entries, "bytes": bytes},
            "broken": *self.broken.borrow(),
            "sandbox": self.sandbox,
        });
        format!("{status}\n")
    }

    /// Everything that is known of attachments, one JSON object per line.
    pub(super) fn dump(&self) -> String {
        let zone = self.answering.shared.zone.borrow();
        let mut lines: Vec<String> = zone
            .endpoints()
            .iter()
            .map(|endpoint| {
                let asks = zone.view(&endpoint.container).map(|view| match view.borrow().whom() {
                    Whom::Nobody => json!("nobody"),
                    Whom::Host => json!("host"),
                    Whom::These(servers) => {
                        json!(servers.iter().map(ToString::to_string).collect::<Vec<_>>())
                    }
                });
                let line = json!({
                    "network": &*endpoint.network,
                    "container": &*endpoint.container,
                    "ifname": endpoint.ifname.as_str(),
                    "names": endpoint.names.iter().map(|name| &**name).collect::<Vec<_>>(),
                    "addresses":
                        endpoint.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "priority": endpoint.priority,
                    "asks": asks,
                });
                format!("{line}\n")
            })
            .collect();
        for network in zone.networks() {
            let network = network.borrow();
            let name = network.name();
            lines.extend(network.others().map(|told| of_another(&name, &told)));
        }
        lines.sort_unstable();
        lines.concat()
    }

    /// Counters in Prometheus' text format.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        describe_counters(&mut text);
        self.answering.shared.all_counters().iter().for_each(|counters| counters.write(&mut text));
        let zone = self.answering.shared.zone.borrow();
        describe(&mut text, "cais_dns_attachments", "gauge", "Attachments that have names.");
        for network in zone.networks() {
            let network = network.borrow();
            let _ = writeln!(
                text,
                "cais_dns_attachments{{network=\"{}\"}} {}",
                network.name(),
                network.len()
            );
        }
        describe(&mut text, "cais_dns_elsewhere", "gauge", "Named containers of other hosts.");
        for network in zone.networks() {
            let network = network.borrow();
            let (name, count) = (network.name(), network.count_others());
            let _ = writeln!(text, "cais_dns_elsewhere{{network=\"{name}\"}} {count}");
        }
        let forwarder = self.answering.shared.others.forwarder();
        let (answers, bytes) = forwarder.cache_size();
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        for (name, kind, help, value) in [
            (
                "cais_dns_cache_answers",
                "gauge",
                "Answers of others that are kept.",
                number(answers),
            ),
            ("cais_dns_cache_bytes", "gauge", "Bytes that they take.", number(bytes)),
            (
                "cais_dns_forwards",
                "gauge",
                "Questions to others on their way.",
                number(forwarder.in_flight()),
            ),
            (
                "cais_dns_connections",
                "gauge",
                "Connections of clients.",
                self.answering.shared.limits.connections().into(),
            ),
            (
                "cais_dns_reloads_total",
                "counter",
                "How often all records were read again.",
                self.answering.shared.reloads.get(),
            ),
        ] {
            describe(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        self.write_servers(&mut text);
        text
    }

    fn write_servers(&self, text: &mut String) {
        let sets = self.answering.shared.others.all();
        let mut seen = Vec::new();
        let mut all: Vec<_> = sets.iter().flat_map(|set| set.upstreams()).collect();
        // One server may be asked for several networks.
        all.retain(|upstream| {
            let address = upstream.server().address;
            let is_new = !seen.contains(&address);
            seen.push(address);
            is_new
        });
        type Field = (&'static str, &'static str, fn(&Upstream) -> &Cell<u64>);
        let fields: [Field; 4] = [
            ("queries", "Queries to a server.", |upstream| &upstream.counters.queries),
            ("timeouts", "Silences of a server.", |upstream| &upstream.counters.timeouts),
            ("failures", "Failures of a server.", |upstream| &upstream.counters.failures),
            ("tcp", "Queries to a server over TCP.", |upstream| &upstream.counters.tcp),
        ];
        for (name, help, value) in fields {
            let name = format!("cais_dns_upstream_{name}_total");
            describe(text, &name, "counter", help);
            for upstream in &all {
                let server = upstream.server().address;
                let _ = writeln!(text, "{name}{{server=\"{server}\"}} {}", value(upstream).get());
            }
        }
        write_latencies(text, &all);
    }
}

fn write_latencies(text: &mut String, all: &[&Rc<Upstream>]) {
    const NAME: &str = "cais_dns_upstream_seconds";
    describe(text, NAME, "histogram", "How long a server takes to answer.");
    for upstream in all {
        let server = upstream.server().address;
        let counters = &upstream.counters;
        let seconds = |milliseconds: &u64| (*milliseconds as f64 / 1000.0).to_string();
        let bounds = LATENCY_BOUNDS.iter().map(seconds).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, cell) in bounds.zip(&counters.latency) {
            total += cell.get();
            let _ = writeln!(text, "{NAME}_bucket{{server=\"{server}\",le=\"{bound}\"}} {total}");
        }
        let sum = Duration::from_micros(counters.latency_sum.get()).as_secs_f64();
        let _ = writeln!(text, "{NAME}_sum{{server=\"{server}\"}} {sum}");
        let _ = writeln!(text, "{NAME}_count{{server=\"{server}\"}} {total}");
    }
}

/// A container of another host, as a line.
fn of_another(network: &str, told: &Told<'_>) -> String {
    let line = json!({
        "network": network,
        "host": told.host.as_str(),
        "endpoint": told.endpoint,
        "names": told.names.iter().map(|name| &**name).collect::<Vec<_>>(),
        "addresses": told.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "present": told.present,
    });
    format!("{line}\n")
}

fn listening(Listener { key, place }: &Listener) -> Value {
    match place {
        Place::Gateway { link, address, port, .. } => json!({
            "network": key.network.as_str(),
            "link": link.as_str(),
            "address": address,
            "port": port,
        }),
        Place::Container { port } => {
            json!({"attachment": key.to_string(), "address": names::ADDRESS, "port": port})
        }
    }
}
