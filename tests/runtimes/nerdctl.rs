//! nerdctl's way with plugins, without nerdctl, which Debian does not have: its list of plugins, the
//! calls of its hooks, its choice of ports and its cleaning up.
//!
//! An ordinary user runs these in a user, network and mount namespace, as RootlessKit makes them.

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::under_test::{are_ours, only_ours};
use crate::uplink::{HOST, LAN, lan, portmap};

/// The first port that nerdctl gives away by itself.
const FIRST_PORT: u16 = 49153;
/// Where containers serve.
const INSIDE: u16 = 80;
const GATEWAY: [&str; 2] = ["10.4.1.1", "fd04::1"];
/// What is kept for the next call: cursors of the pool, locks.
const KEPT: &[&str] = &["/var/lib/cni/", "/run/cais/deleter"];

#[test]
fn ports_that_nerdctl_picks_by_itself_differ_and_all_lead_to_their_containers() {
    lab_with_plugins(|lab| {
        only_ours(lab, "leaves chains without rules");
        let (nerdctl, lan) = Nerdctl::ready(lab, "same-bridge");
        let before = lab.snapshot();
        let one = nerdctl.create("nerdctl-one", nerdctl.free_port());
        let two = nerdctl.create("nerdctl-two", nerdctl.free_port());
        assert_eq!([one.port, two.port], [FIRST_PORT, FIRST_PORT + 1]);
        for host in 0..2 {
            for created in [&one, &two] {
                let at = (HOST[host], created.port);
                assert_answers(&lan, at, created.container.id(), LAN[host]);
                assert_answers(lab.host(), at, created.container.id(), HOST[host]);
                let loopback = (["127.0.0.1", "::1"][host], created.port);
                assert_answers(lab.host(), loopback, created.container.id(), GATEWAY[host]);
            }
            // From one container to the port of the other, and to its own.
            for client in [&one, &two] {
                assert_answers(
                    &client.container,
                    (HOST[host], two.port),
                    "nerdctl-two",
                    GATEWAY[host],
                );
            }
        }
        nerdctl.stop(&one);
        assert_silent(&lan, (HOST[0], one.port));
        assert_answers(&lan, (HOST[0], two.port), "nerdctl-two", LAN[0]);
        // What has gone is free again.
        assert_eq!(nerdctl.free_port(), FIRST_PORT);
        nerdctl.stop(&two);
        lab.assert_unchanged_but(&before, KEPT);
    });
}

/// nerdctl writes ranges out, and reads of `--dports 49153:49155` the first number alone.
#[test]
fn nerdctl_sees_each_port_of_a_range() {
    lab_with_plugins(|lab| {
        let (nerdctl, _lan) = Nerdctl::ready(lab, "same-bridge");
        let many = FIRST_PORT..FIRST_PORT + 40;
        let same = |port| json!({ "hostPort": port, "containerPort": port, "protocol": "tcp" });
        let container = lab.container("nerdctl-range");
        nerdctl.add(&container, &many.map(same).collect());
        assert_eq!(nerdctl.free_port(), FIRST_PORT + 40);
    });
}

/// `icc=false`: neighbours do not reach each other, but by published ports.
#[test]
fn containers_of_nerdctl_without_icc_are_published_and_keep_to_themselves() {
    lab_with_plugins(|lab| {
        only_ours(lab, "1.1 knows no policy \"isolated\"");
        let (nerdctl, lan) = Nerdctl::ready(lab, "isolated");
        let one = nerdctl.create("nerdctl-one", nerdctl.free_port());
        let two = nerdctl.create("nerdctl-two", nerdctl.free_port());
        for host in 0..2 {
            assert_answers(&lan, (HOST[host], two.port), "nerdctl-two", LAN[host]);
        }
        assert_silent(&one.container, (&two.address(0), INSIDE));
        nerdctl.stop(&one);
        nerdctl.stop(&two);
        nerdctl.assert_nothing_of("nerdctl-two");
    });
}

/// After an end that nobody saw, as of a killed daemon, with what runs told to GC.
#[test]
fn gc_takes_back_what_hooks_of_nerdctl_never_did() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no GC");
        let (nerdctl, lan) = Nerdctl::ready(lab, "same-bridge");
        let before = lab.snapshot();
        let one = nerdctl.create("nerdctl-one", nerdctl.free_port());
        let two = nerdctl.create("nerdctl-two", nerdctl.free_port());
        one.container.remove();
        nerdctl.chain().gc(Some(&json!([{ "containerID": "nerdctl-two", "ifname": "eth0" }])));
        nerdctl.assert_nothing_of("nerdctl-one");
        for host in 0..2 {
            assert_answers(&lan, (HOST[host], two.port), "nerdctl-two", LAN[host]);
            let loopback = ["127.0.0.1", "::1"][host];
            assert_answers(lab.host(), (loopback, two.port), "nerdctl-two", GATEWAY[host]);
        }
        two.container.remove();
        nerdctl.chain().gc(Some(&json!([])));
        lab.assert_unchanged_but(&before, KEPT);
    });
}

/// What nerdctl knows: the lab's host, and a network.
struct Nerdctl<'lab> {
    lab: &'lab Lab,
    plugins: Vec<Value>,
}

/// A container with one port, published for TCP and UDP.
struct Created {
    container: Container,
    result: Value,
    port: u16,
}

impl Created {
    fn address(&self, index: usize) -> String {
        let address = self.result["ips"][index]["address"].as_str().unwrap_or_default();
        address.split('/').next().unwrap_or_default().to_owned()
    }
}

impl<'lab> Nerdctl<'lab> {
    /// A host with an uplink and nerdctl's network, of which `policy` is the one of `firewall`.
    fn ready(lab: &'lab Lab, policy: &str) -> (Self, netns_fixtures::Namespace) {
        lab.needs(Feature::Iptables);
        let bridge = json!({
            "type": "bridge", "bridge": "br-0123456789ab",
            "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "capabilities": { "ips": true },
            "ipam": {
                "type": "host-local",
                "ranges": [
                    [{ "subnet": "10.4.1.0/24", "gateway": "10.4.1.1" }],
                    [{ "subnet": "fd04::/64", "gateway": "fd04::1" }],
                ],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            },
        });
        let firewall = json!({ "type": "firewall", "ingressPolicy": policy });
        let plugins = vec![bridge, portmap(), firewall, json!({ "type": "tuning" })];
        let nerdctl = Self { lab, plugins };
        let lan = lan(lab);
        // What stays of a network: its bridge, and forwarding.
        let first = lab.container("nerdctl-first");
        nerdctl.add(&first, &json!([]));
        nerdctl.hook_del("nerdctl-first");
        first.remove();
        (nerdctl, lan)
    }

    fn chain(&self) -> Chain<'lab> {
        Chain::new(self.lab, &self.plugins).version("1.0.0").network("nerdctl")
    }

    /// What the hook `createRuntime` calls: DEL, whose namespace is empty and whose failure is no
    /// matter, then ADD.
    #[track_caller]
    fn add(&self, container: &Container, ports: &Value) -> Value {
        self.hook_del(container.id());
        self.chain().add(Attach::new(container, ports))
    }

    /// DEL as the hooks call it: no namespace, no result of ADD, no ports.
    #[track_caller]
    fn hook_del(&self, id: &str) {
        for plugin in self.plugins.iter().rev() {
            let mut config = plugin.clone();
            config["cniVersion"] = json!("1.0.0");
            config["name"] = json!("nerdctl");
            let name = plugin["type"].as_str().expect("a plugin has a type");
            let call = self.lab.plugin(name).verb("DEL").env("CNI_CONTAINERID", id);
            let call = call.env("CNI_NETNS", "").env("CNI_IFNAME", "eth0");
            let done = call.args("IgnoreUnknown=1").config(&config).run();
            if are_ours(self.lab) {
                done.is_silent();
            }
        }
    }

    /// `nerdctl run -p PORT:80 -p PORT:80/udp`.
    #[track_caller]
    fn create(&self, id: &str, port: u16) -> Created {
        let container = self.lab.container(id);
        let of = |protocol: &str| {
            json!({
                "hostPort": port, "containerPort": INSIDE, "protocol": protocol,
                "hostIP": "",
            })
        };
        let result = self.add(&container, &json!([of("tcp"), of("udp")]));
        container.settle();
        self.lab.host().settle();
        serve(&container, id, INSIDE);
        Created { container, result, port }
    }

    /// The hook `postStop`, which runs when the namespace has gone.
    #[track_caller]
    fn stop(&self, created: &Created) {
        assert_ne!(self.rules_of(created.container.id()), [""; 0]);
        created.container.remove();
        self.hook_del(created.container.id());
        self.assert_nothing_of(created.container.id());
    }

    /// nerdctl's rule: the first port from 49153 on that is in no rule of `CNI-HOSTPORT-DNAT`, of
    /// which it reads the numbers behind `--dports`, as far as they are separated by commas.
    fn free_port(&self) -> u16 {
        let listed = self.lab.host().try_run("iptables -t nat -S CNI-HOSTPORT-DNAT");
        let rules = String::from_utf8_lossy(&listed.stdout).into_owned();
        let lists = rules.lines().filter_map(|rule| rule.split_once("--dports "));
        let numbers = lists.flat_map(|(_, rest)| {
            let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != ',');
            rest[..end.unwrap_or(rest.len())].split(',')
        });
        let used: Vec<u16> = numbers.filter_map(|number| number.parse().ok()).collect();
        let mut ports = FIRST_PORT..;
        ports.find(|port| !used.contains(port)).expect("a lab does not use all")
    }

    #[track_caller]
    fn assert_nothing_of(&self, id: &str) {
        let left = self.rules_of(id);
        assert!(left.is_empty(), "nerdctl would have to remove {left:#?}");
    }

    /// What nerdctl finds of a container when it searches all rules for the id.
    #[track_caller]
    fn rules_of(&self, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        for program in ["iptables", "ip6tables"] {
            for table in ["nat", "filter", "mangle"] {
                let rules = self.lab.host().run(&format!("{program} -t {table} -S"));
                found.extend(rules.lines().filter(|rule| rule.contains(id)).map(str::to_owned));
            }
        }
        found
    }
}
