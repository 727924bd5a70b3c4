//! Hosts on which ports are published already.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::call::Plugin;
use crate::host::{Host, SUBNET, after, portmap};
use crate::isolation::Scratch;
use crate::options::Options;

/// The first of the ports that are published already, one for each container.
const FIRST_HELD: u16 = 20_000;

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publisher {
    /// Our plugin, with the value of its key `backend`.
    Ours(Option<&'static str>),
    /// The Go plugin, by way of iptables.
    Go,
}

/// A host with ports of others, and a container of which none is published yet.
pub(super) struct Published {
    pub(super) host: Host,
    publisher: Publisher,
    /// The result of `bridge`.
    attached: Value,
}

impl Published {
    /// Makes the host, which is called after `case`, and publishes `held` ports there.
    pub(super) fn new(
        options: &Options,
        scratch: &Scratch,
        (case, publisher, held): (&str, Publisher, u16),
    ) -> Result<Published> {
        let name = format!("{case}-{}-{held}", publisher.name());
        let plugins = match publisher {
            Publisher::Ours(_) => &options.ours,
            Publisher::Go => &options.peer,
        };
        let host = Host::new(plugins, &name, scratch)?;
        // With masquerade, as bridges mostly have it: so our tables are there before any port.
        let attached = host.plugin("bridge", &host.bridge(true)).result()?;
        let published = Published { host, publisher, attached };
        // What the first call makes is there for all.
        let first = published.portmap(&[(8_080, 80)]);
        first.call("ADD")?;
        first.call("DEL")?;
        match publisher {
            Publisher::Ours(_) => published.hold_ours(held)?,
            Publisher::Go => published.hold_go(held, &scratch.path("rules"))?,
        }
        Ok(published)
    }

    /// Publishes ports of the container, as pairs of the host's and its own.
    pub(super) fn portmap(&self, ports: &[(u16, u16)]) -> Plugin {
        self.portmap_of(ports, &self.attached)
    }

    fn portmap_of(&self, ports: &[(u16, u16)], attached: &Value) -> Plugin {
        let backend = match self.publisher {
            Publisher::Ours(backend) => backend,
            Publisher::Go => None,
        };
        self.host.plugin("portmap", &after(attached, &portmap(ports, backend)))
    }

    /// By our plugin itself. All these containers are one namespace, which lives.
    fn hold_ours(&self, held: u16) -> Result<()> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let hold = |number: u16| -> Result<()> {
            let mut attached = self.attached.clone();
            attached["ips"][0]["address"] = format!("{}/16", address(number)).into();
            let plugin = self.portmap_of(&[(FIRST_HELD + number, 80)], &attached);
            plugin.with("CNI_CONTAINERID", format!("held-{number}")).call("ADD")?;
            Ok(())
        };
        std::thread::scope(|scope| {
            let work = |first| move || (first..held).step_by(workers).try_for_each(hold);
            let threads: Vec<_> =
                (0..held.min(workers as u16)).map(|first| scope.spawn(work(first))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?
            })
        })
    }

    /// In one go what the Go plugin writes with dozens of calls of iptables for each container.
    fn hold_go(&self, held: u16, rules: &Path) -> Result<()> {
        fs::write(rules, go_rules(held)).with_context(|| format!("write {}", rules.display()))?;
        let restore = format!("/usr/sbin/iptables-restore --noflush {}", rules.display());
        self.host.namespace.run(&restore)
    }
}

impl Publisher {
    fn name(self) -> &'static str {
        match self {
            Publisher::Ours(None) => "ours",
            Publisher::Ours(Some(backend)) => backend,
            Publisher::Go => "go",
        }
    }
}

/// The address of the container that has one of the ports held.
fn address(number: u16) -> String {
    format!("10.90.{}.{}", number / 250 + 1, number % 250 + 1)
}

/// Containers whose rules go to the kernel at once: what a user who is not root may send has limits.
const AT_ONCE: u16 = 100;

/// What the Go plugin leaves of `held` containers with a port each, for iptables-restore(8).
fn go_rules(held: u16) -> String {
    let mut rules = String::new();
    let chain = |number: u16| format!("CNI-DN-{number:021x}");
    for first in (0..held).step_by(AT_ONCE.into()) {
        let numbers = first..held.min(first + AT_ONCE);
        rules.push_str("*nat\n");
        for number in numbers.clone() {
            let _ = writeln!(rules, ":{} - [0:0]", chain(number));
        }
        for number in numbers {
            let (chain, port, address) = (chain(number), FIRST_HELD + number, address(number));
            let _ = write!(
                rules,
                "-A CNI-HOSTPORT-DNAT -p tcp -m comment \
                 --comment \"dnat name: \\\"bench\\\" id: \\\"held-{number}\\\"\" \
                 -m multiport --dports {port} -j {chain}\n\
                 -A {chain} -s {SUBNET} -p tcp -m tcp --dport {port} -j CNI-HOSTPORT-SETMARK\n\
                 -A {chain} -s 127.0.0.1/32 -p tcp -m tcp --dport {port} -j CNI-HOSTPORT-SETMARK\n\
                 -A {chain} -p tcp -m tcp --dport {port} -j DNAT --to-destination {address}:80\n"
            );
        }
        rules.push_str("COMMIT\n");
    }
    rules
}
