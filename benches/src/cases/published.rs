//! Hosts on which ports are published already.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kernel::netns::Netns;
use netfilter::{Claim, Claimant, Filter, Store};
use serde_json::Value;

use crate::call::Plugin;
use crate::host::{Host, SUBNET, after, portmap};
use crate::isolation::Scratch;
use crate::options::Options;

/// The first of the ports that are published already, one for each container.
const FIRST_HELD: u16 = 20_000;

/// What another container publishes on each host.
const NEIGHBOURS_PORT: [(u16, u16); 1] = [(7_000, 80)];

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publisher {
    /// Our plugin, with the value of its key `backend`.
    Ours(Option<&'static str>),
    /// The Go plugin, by way of iptables.
    Go,
}

/// A host with ports of others (one of a neighbour, and those held), and a container of which none is published yet.
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
        published.neighbour()?;
        match publisher {
            Publisher::Ours(_) => published.hold_ours(held)?,
            Publisher::Go => published.hold_chains(held, &scratch.path("rules"))?,
        }
        Ok(published)
    }

    /// Publishes ports of the container, as pairs of the host's and its own.
    pub(super) fn portmap(&self, ports: &[(u16, u16)]) -> Plugin {
        let config = portmap(ports, self.publisher.backend());
        self.host.plugin("portmap", &after(&self.attached, &config))
    }

    /// Publishes one port of another container: what the first port of a host makes (chains, the
    /// proxy) is there from now on.
    fn neighbour(&self) -> Result<()> {
        let container = self.host.neighbour()?;
        let bridge = self.host.plugin_for(&container, "bridge", &self.host.bridge(true));
        let config = after(&bridge.result()?, &portmap(&NEIGHBOURS_PORT, self.publisher.backend()));
        self.host.plugin_for(&container, "portmap", &config).call("ADD")?;
        Ok(())
    }

    /// As our plugin remembers it, written to the tables in one transaction. All these containers
    /// are one namespace, which lives; no proxy serves them.
    fn hold_ours(&self, held: u16) -> Result<()> {
        let run_dir = self.host.state.join("root/run/cais");
        let key = Host::attachment(&self.host.neighbours_name())?;
        let example = Store::under(&run_dir).read(&key, Claimant::Portmap);
        let example = example.context("nothing is remembered of the neighbour's port")?;
        Netns::open(&self.host.namespace.path)?.run(|| -> Result<()> {
            let filter = Filter::open(&run_dir, &netfilter::kind::Portmap)?;
            let locked = filter.store().lock()?;
            for number in 0..held {
                locked.write(&Self::held(example.clone(), number)?)?;
            }
            drop(locked);
            filter.reload()?;
            Ok(())
        })?
    }

    /// The claim of one of the ports held, in the form of another, with what the reference's chains
    /// get for it.
    fn held(mut claim: Claim, number: u16) -> Result<Claim> {
        claim.key = Host::attachment(&format!("held-{number}"))?;
        let ports = claim.ports.as_mut().context("a claim of portmap has ports")?;
        ports.proxied.clear();
        claim.handles.clear();
        ports.publication.key = claim.key.clone();
        ports.publication.v4 = Some(format!("{}/16", address(number)).parse()?);
        for mapping in &mut ports.publication.mappings {
            mapping.host_port = FIRST_HELD + number;
        }
        Ok(claim)
    }

    /// In one go what the Go plugin writes with dozens of calls of iptables for each container.
    fn hold_chains(&self, held: u16, rules: &Path) -> Result<()> {
        fs::write(rules, chains_of(held)).with_context(|| format!("write {}", rules.display()))?;
        let restore = format!("/usr/sbin/iptables-restore --noflush {}", rules.display());
        self.host.namespace.run(&restore)
    }
}

impl Publisher {
    fn backend(self) -> Option<&'static str> {
        match self {
            Publisher::Ours(backend) => backend,
            Publisher::Go => None,
        }
    }

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
fn chains_of(held: u16) -> String {
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
