//! The same config on a Go plugin and on ours makes the same: links, addresses, routes, switches,
//! firewall rules and result, but for the differences that stand here, each with its reason.
//!
//! Each plugin works on a host of its own, one after the other. What is random or belongs to the
//! place (names of veth, MACs, paths) is replaced by what it stands for.

use netns_fixtures::{Container, Feature, Lab, Namespace, unified};
use serde_json::{Value, json};

use crate::under_test::{NETWORK, are_ours, furnish_host};

mod bridge;
mod dummy;
mod host_device;
mod ipvlan;
mod macvlan;
mod ptp;
mod tap;
mod vlan;

/// A line that only one of both has, known by a word, and why that is right.
pub(crate) type Difference = (&'static str, &'static str);

const MTU: Difference =
    ("\"mtu\": ", "the reference never fills it; parsers of versions before 1.1.0 ignore it");
pub(crate) const EMPTY_DNS: Difference =
    ("\"dns\": {}", "1.1.1 prints an empty object where later releases leave it out");
const NEIGHBOURS_TOLD: Difference =
    ("ipv6/conf/eth0/ndisc_notify = ", "IPv6 neighbours are told of a new owner, as IPv4 ones are");
const KEPT_ADDRESSES: Difference = (
    "ipv6/conf/eth0/keep_addr_on_down = ",
    "later releases keep IPv6 addresses when the link goes down, as IPv4 ones; 1.1.1 does not",
);
const ALIAS: Difference =
    ("the host's end has an alias", "it carries its key, so that DEL and GC know whose it is");
const LINK_ALIAS: Difference =
    ("the container's link has an alias", "it carries its key, so that GC knows whose it is");

/// What a network's config made: the state of host and container, and the result.
struct Made {
    state: Vec<String>,
    result: Vec<String>,
    after_del: Vec<String>,
}

/// Who makes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Reference,
    UnderTest,
}

/// Makes the same with both, and claims that they differ in nothing but `differences`, and in all of
/// those.
#[track_caller]
fn assert_equal(lab: &Lab, config: &Value, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let theirs = make(lab, Maker::Reference, config);
    let ours = make(lab, Maker::UnderTest, config);
    let mut difference = unified(&theirs.result, &ours.result);
    difference += &unified(&theirs.state, &ours.state);
    difference += &unified(&theirs.after_del, &ours.after_del);
    assert_excused(lab, &difference, differences);
}

/// Claims that `difference`, from the reference's to ours, has nothing but `differences`, and all of
/// those.
#[track_caller]
pub(crate) fn assert_excused(lab: &Lab, difference: &str, differences: &[Difference]) {
    // The reference beside itself shows that nothing random is compared.
    let differences = if are_ours(lab) { differences } else { &[] };
    let is_excused = |line: &str| differences.iter().any(|(word, _)| line.contains(word));
    let changed = |line: &&str| line.starts_with(['-', '+']);
    let unexcused: Vec<&str> =
        difference.lines().filter(changed).filter(|line| !is_excused(line)).collect();
    assert!(
        unexcused.is_empty(),
        "`-` the reference, `+` ours, not excused:\n{}\nall:\n{difference}",
        unexcused.join("\n")
    );
    for (word, why) in differences {
        let is_needed = difference.lines().filter(changed).any(|line| line.contains(word));
        assert!(is_needed, "no difference in `{word}` ({why}) any more:\n{difference}");
    }
}

fn make(lab: &Lab, maker: Maker, config: &Value) -> Made {
    let name = if maker == Maker::Reference { "reference" } else { "under-test" };
    let host = lab.another_host(&format!("host-of-{name}"));
    let container = lab.container(&format!("c-of-{name}"));
    let plugin = config["type"].as_str().expect("a configuration has a type");
    furnish_host(&host, plugin);
    let call = match maker {
        Maker::Reference => lab.reference_plugin(plugin),
        Maker::UnderTest => lab.plugin(plugin),
    };
    let call = call.on(&host).container(&container).config(config);
    let result = call.clone().verb("ADD").run().result();
    host.settle();
    container.settle();
    let roles = roles(&host, &container);
    let result = serde_json::to_string_pretty(&result).unwrap();
    let made = Made {
        result: sorted(result.lines().map(|line| line.trim_end_matches(',')).map(&roles)),
        state: state(lab, &host, &container, &roles),
        after_del: {
            call.verb("DEL").run().succeeded();
            state(lab, &host, &container, &roles)
        },
    };
    // The other one starts from nothing.
    for directory in ["/var/lib/cni", "/run/cais"] {
        let _ = std::fs::remove_dir_all(directory);
    }
    made
}

/// All lines about both namespaces.
fn state(
    lab: &Lab,
    host: &Namespace,
    container: &Container,
    roles: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let snapshot = lab.snapshot();
    let of_both = |line: &&String| {
        [host.name(), container.name()]
            .iter()
            .any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    };
    let mut lines = sorted(snapshot.lines().iter().filter(of_both).map(|line| roles(line)));
    // Told by lines of their own, so that an excuse for them hides nothing else.
    let links = host.links();
    let is_bridge = |link: &&Value| link["linkinfo"]["info_kind"] == "bridge";
    let ports = || links.iter().filter(|link| !link["master"].is_null());
    if let Some(bridge) = links.iter().find(is_bridge)
        && (ports().any(|port| port["address"] == bridge["address"]) || bridge["address"] == NO_MAC)
    {
        lines.push("the bridge has the MAC of a port, or none".to_owned());
    }
    let is_end = |link: &&Value| link["ifname"].as_str().is_some_and(|n| n.starts_with("veth"));
    if links.iter().filter(is_end).any(|end| !end["ifalias"].is_null()) {
        lines.push("the host's end has an alias".to_owned());
    }
    if container.exists() && container.link("eth0").is_some_and(|eth0| !eth0["ifalias"].is_null()) {
        lines.push("the container's link has an alias".to_owned());
    }
    lines
}

/// What is left to a bridge that had its MAC from a port.
const NO_MAC: &str = "00:00:00:00:00:00";

/// Replaces names and addresses that differ from run to run by what they stand for.
fn roles(host: &Namespace, container: &Container) -> impl Fn(&str) -> String {
    let mut words = vec![
        (host.name().to_owned(), "HOST".to_owned()),
        (container.path().display().to_string(), "PATH".to_owned()),
        (format!(" alias=cais:{NETWORK}/{}/eth0", container.id()), String::new()),
        (container.name().to_owned(), "CONTAINER".to_owned()),
        (NO_MAC.to_owned(), "MAC".to_owned()),
    ];
    for link in host.links().into_iter().chain(container.links()) {
        let text = |key: &str| link[key].as_str().unwrap_or_default().to_owned();
        if text("ifname").starts_with("veth") {
            words.push((text("ifname"), "VETH".to_owned()));
        }
        if text("ifname") != "lo" {
            // Which MAC is whose is compared apart: the reference's bridge has its port's.
            words.push((text("address"), "MAC".to_owned()));
        }
    }
    move |line| {
        words.iter().fold(line.to_owned(), |line, (word, role)| line.replace(word.as_str(), role))
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

fn pool(subnets: &[&str]) -> Value {
    let ranges: Vec<Value> = subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    json!({ "type": "host-local", "ranges": ranges })
}

const V4: &str = "10.1.0.0/24";
const V6: &str = "fd00:1::/64";
