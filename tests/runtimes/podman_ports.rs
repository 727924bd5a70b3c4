//! Ports that Podman publishes, on a network that Podman made itself.
//!
//! Servers run in the containers' namespaces, but are threads of the case: they tell which address
//! they saw of their client. Busybox has no server of UDP.

use std::fs;

use netns_fixtures::{Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::podman::{LOG, Podman};
use super::stage::GREETING;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::carry_out;
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, LAN, lan};

/// The bridge of the first network that Podman makes.
const BRIDGE: &str = "cni-podman1";
const GATEWAY: [&str; 2] = ["10.1.0.1", "fd01::1"];
const SUBNETS: [&str; 2] = ["10.1.0.0/24", "fd01::/64"];
/// Where servers serve, and where Podman publishes that.
const INSIDE: u16 = 80;
const OUTSIDE: u16 = 8080;
const PUBLISH: [&str; 4] = ["--publish", "8080:80/tcp", "--publish", "8080:80/udp"];
/// What containers do while they are served.
const STAY: &str = "exec sleep 1000000";

#[test]
fn a_port_that_podman_publishes_is_reached_from_everywhere_and_leaves_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not serve [::1]");
        let (podman, lan) = on_a_network_of_its_own(lab);
        let server = serving(&podman, "server", &PUBLISH);
        let sibling = started(&podman, "sibling", &[]);
        assert_everybody_reaches(lab, &server, &sibling, &lan);
        podman.stage.tree.assert_also_runs("cais-proxy");
        assert_ne!(flows_to_containers(lab), [""; 0]);
        end(&podman, &["sibling", "server"]);
        assert_silent(&lan, (HOST[0], OUTSIDE));
        assert_eq!(flows_to_containers(lab), [""; 0]);
        podman.assert_nothing_left();
    });
}

/// The server is the container's own process here.
#[test]
fn a_web_server_that_podman_publishes_is_fetched_from_outside() {
    lab_with_plugins(|lab| {
        let (podman, lan) = on_a_network_of_its_own(lab);
        let serve = "httpd -p 80 -h / && exec sleep 1000000";
        let options = ["--detach", "--name", "server", "--publish", "8080:80"];
        podman.run(&options, "made", serve);
        // It listens once that is true.
        podman.say(&["exec", "server", "/bin/sh", "-c", "wget -q -O - http://127.0.0.1/greeting"]);
        for host in [HOST[0], "[2001:db8::1]"] {
            let fetch = format!("busybox wget -q -O - http://{host}:8080/greeting");
            assert_eq!(lan.run(&fetch), GREETING);
        }
        end(&podman, &["server"]);
        podman.assert_nothing_left();
    });
}

/// Podman binds what it publishes, once the container is attached. When that is attached again, our
/// plugin finds Podman's own process at the port: no reason to fail.
#[test]
fn podman_network_reload_publishes_again_after_the_ruleset_was_flushed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not serve [::1]");
        let (podman, lan) = on_a_network_of_its_own(lab);
        let server = serving(&podman, "server", &PUBLISH);
        let sibling = started(&podman, "sibling", &[]);
        carry_out(lab, "flush ruleset");
        assert_silent(&lan, (HOST[0], OUTSIDE));
        let warnings = || {
            let log = fs::read_to_string(LOG).expect("plugins wrote it");
            let warned = log.lines().filter(|line| line.contains("portmap: warning"));
            warned.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(warnings(), [""; 0]);
        podman.say(&["network", "reload", "--all"]);
        assert!(warnings().iter().any(|line| line.contains("conmon")), "{:?}", warnings());
        for namespace in [&server, &sibling, lab.host()] {
            namespace.settle();
        }
        assert_everybody_reaches(lab, &server, &sibling, &lan);
        end(&podman, &["sibling", "server"]);
        podman.assert_nothing_left();
    });
}

#[test]
fn podman_is_told_who_has_the_port_and_that_one_keeps_it() {
    lab_with_plugins(|lab| {
        let (podman, lan) = on_a_network_of_its_own(lab);
        let _server = serving(&podman, "server", &PUBLISH);
        let id = podman.say(&["inspect", "--format", "{{.Id}}", "server"]);
        let options = [&["--detach", "--name", "other"][..], &PUBLISH].concat();
        let said = podman.refuses_to_run(&options, "made");
        unlike_reference(lab, "publishes a port twice; Podman then cannot listen there", || {
            for word in [&format!("made/{}/eth0", id.trim()), "8080", "plugin type=\"portmap\""] {
                assert!(said.contains(word), "not a word of {word}: {said}");
            }
        });
        assert_answers(&lan, (HOST[0], OUTSIDE), "server", LAN[0]);
        podman.say(&["rm", "other"]);
        assert_answers(&lan, (HOST[1], OUTSIDE), "server", LAN[1]);
        end(&podman, &["server"]);
        podman.assert_nothing_left();
    });
}

/// Podman with the network `made`, which it made itself, on a host with an uplink.
#[track_caller]
fn on_a_network_of_its_own(lab: &Lab) -> (Podman<'_>, Namespace) {
    let mut podman = Podman::without_networks(lab);
    let lan = lan(lab);
    let [v4, v6] = SUBNETS;
    podman.say(&["network", "create", "--ipv6", "--subnet", v4, "--subnet", v6, "made"]);
    let list = fs::read_to_string("/etc/cni/net.d/made.conflist").expect("Podman wrote it");
    let list: Value = serde_json::from_str(&list).expect("Podman writes JSON");
    let plugins = list["plugins"].as_array().into_iter().flatten();
    let types: Vec<&Value> = plugins.map(|plugin| &plugin["type"]).collect();
    assert_eq!(types, ["bridge", "portmap", "firewall", "tuning"]);
    assert_eq!(list["plugins"][0]["bridge"], json!(BRIDGE));
    assert_eq!(list["plugins"][0]["ipMasq"], json!(true));
    podman.stage.expect_network("made", BRIDGE.to_owned());
    podman.stage.remember();
    (podman, lan)
}

/// A container that serves under its name.
#[track_caller]
fn serving(podman: &Podman<'_>, name: &str, options: &[&str]) -> Namespace {
    let namespace = started(podman, name, options);
    serve(&namespace, name, INSIDE);
    namespace
}

#[track_caller]
fn started(podman: &Podman<'_>, name: &str, options: &[&str]) -> Namespace {
    let options = [&["--detach", "--name", name], options].concat();
    podman.run(&options, "made", STAY);
    let namespace = podman.namespace(name);
    namespace.settle();
    podman.stage.lab.host().settle();
    namespace
}

/// Stops and removes, and waits for both.
#[track_caller]
fn end(podman: &Podman<'_>, containers: &[&str]) {
    for container in containers {
        podman.say(&["stop", "--time", "0", container]);
        podman.say(&["rm", container]);
    }
}

/// Claims that `server` answers at the published port, in TCP and UDP, to all who may ask.
#[track_caller]
fn assert_everybody_reaches(lab: &Lab, server: &Namespace, sibling: &Namespace, lan: &Namespace) {
    for family in 0..2 {
        let (host, gateway) = (HOST[family], GATEWAY[family]);
        let loopback = ["127.0.0.1", "::1"][family];
        for (place, at, client) in [
            (lan, host, LAN[family]),
            (lab.host(), host, host),
            (lab.host(), loopback, gateway),
            (sibling, host, gateway),
            (server, host, gateway),
        ] {
            assert_answers(place, (at, OUTSIDE), server.name(), client);
        }
    }
}

/// What the kernel remembers of datagrams that the published port led to a container: whoever goes
/// on sending would be led to nobody, or to the next container with the address.
#[track_caller]
fn flows_to_containers(lab: &Lab) -> Vec<String> {
    let of_family = |family: &str| {
        lab.host().run(&format!("conntrack -L -p udp -f {family} --orig-port-dst {OUTSIDE}"))
    };
    let flows = of_family("ipv4") + &of_family("ipv6");
    // The second half of a line has the way back.
    let is_led = |line: &&str| line.contains("src=10.1.0.2 ") || line.contains("src=fd01::2 ");
    flows.lines().filter(is_led).map(str::to_owned).collect()
}
