//! Containers of an ordinary user's Podman find each other by name. The daemon lives where the
//! plugins do, and goes with the user's last container.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use netns_fixtures::{Lab, Namespace, lab_with_plugins};

use super::podman_names::{PROGRAMS, STAY, assert_has_names, assert_reach_each_other};
use super::podman_rootless::Rootless;
use super::stage::write;
use crate::dns::message::Record;
use crate::dns::upstream::{Upstream, knowing};
use crate::under_test::only_ours;
use crate::uplink::LAN;

/// Tells in which network namespaces the daemon is, and in which itself.
const NAMESPACES: &str =
    "readlink $(pidof cais-dnsd | sed 's|[0-9]*|/proc/&/ns/net|g') /proc/self/ns/net";

/// No option says so: Podman takes away what the daemon lives in.
#[test]
fn containers_of_podman_without_root_reach_each_other_by_name_and_alias_and_leave_nothing() {
    lab_with_plugins(|lab| {
        let (podman, _) = with_names(lab);
        podman.run(&["--detach", "--name", "Web_1", "--network-alias", "www"], STAY);
        podman.run(&["--detach", "--name", "db", "--network-alias", "database"], STAY);
        assert_reach_each_other(|words| podman.say(words), [["Web_1", "www"], ["db", "database"]]);
        let namespaces = podman.beside_plugins(&["sh", "-c", NAMESPACES]);
        let namespaces: Vec<&str> = namespaces.lines().collect();
        assert_eq!(namespaces, [namespaces[0]; 3], "keeper, worker and plugins are apart");
        let status = podman.beside_plugins(&["/opt/cni/tested/cais", "dns", "status"]);
        assert!(status.contains("network web: 2 attachments"), "{status}");
        assert!(status.lines().any(|line| line == "confined capabilities: none"), "{status}");
        assert!(!Path::new("/run/cais").exists(), "something of the user's is in the host's /run");

        podman.end("Web_1");
        let ask = "nslookup -type=a www || echo gone; nslookup -type=a database";
        let said = podman.say(&["exec", "db", "/bin/sh", "-c", ask]);
        assert!(said.contains("gone\n") && said.contains("Name:\tdatabase"), "{said}");
        podman.end("db");
        podman.assert_nothing_left();
    });
}

/// Networks, addresses and names are the same, and so is every path that plugins know.
#[test]
fn each_user_of_podman_finds_containers_of_its_own_and_keeps_them_when_the_other_goes() {
    lab_with_plugins(|lab| {
        let (podman, _) = with_names(lab);
        let neighbour = podman.of_a_neighbour();
        let users = [(&podman, "10.1.0.77"), (&neighbour, "10.1.0.88")];
        for (user, address) in users {
            user.run(&["--detach", "--name", "web", "--ip", address], STAY);
        }
        for (user, address) in users {
            assert_finds(user, "web", address);
        }
        podman.end("web");
        podman.assert_namespace_is_gone();
        assert_finds(&neighbour, "web", "10.1.0.88");
        neighbour.end("web");
        neighbour.forget_user_namespace();
        neighbour.assert_namespace_is_gone();
        podman.assert_nothing_left();
    });
}

/// Podman puts a list of its own in its place, which names slirp4netns, within a `/run` that only
/// the user may look into.
#[test]
fn containers_of_podman_without_root_ask_outside_where_the_list_of_servers_is_a_symlink() {
    lab_with_plugins(|lab| {
        let (podman, lan) = with_names(lab);
        let upstream = Upstream::start(&lan, "lan", LAN[0].parse().expect("an address"));
        upstream.does(knowing(vec![Record::address("outside.example", "203.0.113.7", 100)]));
        fs::remove_file("/etc/resolv.conf").expect("the case's own /etc");
        for list in ["/run/systemd/resolve/stub-resolv.conf", "/run/NetworkManager/resolv.conf"] {
            let list = Path::new(list);
            fs::create_dir_all(list.parent().expect("a directory")).expect("the lab's own /run");
            write(list, &format!("nameserver {}\n", LAN[0]));
            symlink(list, "/etc/resolv.conf").expect("the case's own /etc");
            podman.run(&["--detach", "--name", "web"], STAY);
            assert_finds(&podman, "outside.example", "203.0.113.7");
            podman.end("web");
            fs::remove_file("/etc/resolv.conf").expect("the case's own /etc");
        }
    });
}

/// Claims that the container `web` has this one address for `name` at its gateway.
#[track_caller]
fn assert_finds(podman: &Rootless<'_>, name: &str, address: &str) {
    let script = format!("nslookup -type=a {name} 10.1.0.1 2>&1");
    let said = podman.say(&["exec", "web", "/bin/sh", "-c", &script]);
    let found: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("Address: ")).collect();
    assert_eq!(found, [address], "{script}: {said}");
}

/// The user's Podman on a network with names, and a host beyond it.
#[track_caller]
fn with_names(lab: &Lab) -> (Rootless<'_>, Namespace) {
    only_ours(lab, "set has no dnsname");
    let (podman, lan) = Rootless::ready_with(lab, &PROGRAMS);
    assert_has_names(&podman.list());
    (podman, lan)
}
