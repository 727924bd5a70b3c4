//! The Go plugins and ours on one living host, with all that a runtime's usual list has: masquerade,
//! published ports, forwarding and sysctls. Containers that one made are deleted by the other, and no
//! published port ever leads to somebody who is gone.

mod handback;
mod layouts;
mod legacy;
mod reload;
mod swapping;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Output;

use netns_fixtures::{Container, Feature, Lab, Namespace, bins, skip};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{Tcp, ask, assert_answers, serve};
use crate::under_test::{are_ours, leases, with_keys};
use crate::uplink::{HOST, INSIDE, LAN, both, bridge, lan, portmap};

/// Whose plugins serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reference,
    Ours,
}

/// Which variant of iptables the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Nft,
    Legacy,
}

/// Where `iptables` is the legacy variant.
const LEGACY: &str = "/run/legacy-bin";

/// A node whose list is `bridge`, `portmap`, `firewall`, `tuning`, with a neighbour.
struct Node<'lab> {
    lab: &'lab Lab,
    lan: Namespace,
    chain: Chain<'lab>,
    path: String,
}

/// A container with its ports.
struct Pod {
    container: Container,
    ports: Value,
    port: u16,
}

impl Pod {
    fn of(&self) -> Attach<'_> {
        Attach::new(&self.container, &self.ports)
    }
}

impl<'lab> Node<'lab> {
    fn new(lab: &'lab Lab, variant: Variant) -> Self {
        Self::with(lab, variant, &json!({}))
    }

    /// `keys` are more of `portmap`'s.
    fn with(lab: &'lab Lab, variant: Variant, keys: &Value) -> Self {
        lab.needs(Feature::ReferencePlugins);
        if !are_ours(lab) {
            skip("about the reference and ours");
        }
        let mut path = std::env::var("PATH").unwrap();
        if variant == Variant::Legacy {
            prepare_legacy(lab);
            path = format!("{LEGACY}:{path}");
        }
        let lan = lan(lab);
        let portmap = with_keys(portmap(), keys);
        let firewall = json!({ "type": "firewall", "backend": "iptables" });
        let tuning =
            json!({ "type": "tuning", "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" } });
        let chain = Chain::new(lab, &[bridge(Family::V4, 1), portmap, firewall, tuning]);
        chain.find_programs_in(&path);
        Self { lab, lan, chain, path }
    }

    fn serve_by(&self, by: By) {
        let reference = bins::reference();
        self.chain.serve_by((by == By::Reference).then_some(reference.as_path()));
    }

    /// A container at a port of the host, in TCP and UDP.
    #[track_caller]
    fn pod(&self, name: &str, port: u16) -> Pod {
        let pod = Pod { container: self.lab.container(name), ports: both(port, INSIDE), port };
        self.chain.add(pod.of());
        serve(&pod.container, name, INSIDE);
        pod
    }

    /// Claims that the neighbour reaches each of `pods` at its port, and each of them the neighbour.
    #[track_caller]
    fn serves(&self, pods: &[&Pod]) {
        for pod in pods {
            assert_answers(&self.lan, (HOST[0], pod.port), pod.container.id(), LAN[0]);
        }
    }

    /// Claims that nothing leads from a port to somebody who is gone: the host itself answers.
    #[track_caller]
    fn is_closed(&self, port: u16) {
        let at = SocketAddr::new(HOST[0].parse().unwrap(), port);
        let answer = ask(&self.lan, Tcp, at).unwrap_err();
        assert!(answer.contains("refused"), "port {port}: {answer}");
    }

    /// Runs `cais`, which finds the host's iptables.
    #[track_caller]
    fn cais(&self, words: &str) -> String {
        let output = self.try_cais(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "cais {words}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    fn try_cais(&self, words: &str) -> Output {
        let cais = self.lab.plugins().join("cais");
        let path = &self.path;
        self.lab.host().try_run(&format!("env PATH={path} {} {words}", cais.display()))
    }

    /// All rules of both variants that name a container or its address.
    fn traces(&self) -> Vec<String> {
        let mut all = self.lab.host().run("nft list ruleset");
        let mut programs = vec!["iptables-save", "ip6tables-save"];
        if self.path.starts_with(LEGACY) {
            programs.extend(["iptables-legacy-save", "ip6tables-legacy-save"]);
        }
        for program in programs {
            all += &self.lab.host().run(program);
        }
        let is_trace = |line: &&str| {
            line.contains("10.1.0.") || line.contains("CNI-DN-") || line.contains("id: \"")
        };
        all.lines().map(str::trim).filter(is_trace).map(str::to_owned).collect()
    }
}

/// Fills the directory in which plugins and `cais` find the legacy variant as `iptables`.
fn prepare_legacy(lab: &Lab) {
    lab.needs(Feature::LegacyIptables);
    if fs::read("/proc/thread-self/net/ip_tables_names").is_err() {
        skip("only root of the machine may read which legacy tables are in use");
    }
    fs::create_dir(LEGACY).unwrap();
    for name in ["iptables", "ip6tables"] {
        symlink("/usr/sbin/xtables-legacy-multi", format!("{LEGACY}/{name}")).unwrap();
    }
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        // As on such hosts with Docker.
        lab.host().run(&format!("{program} -P FORWARD DROP"));
        lab.host()
            .run(&format!("{program} -A FORWARD -i up0 -m conntrack --ctstate NEW -j ACCEPT"));
    }
}
