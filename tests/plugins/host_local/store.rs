//! The directory of leases: what is in it to the byte, and what may happen to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{DIRECTORY, add, call, config, del, leases, leases_in, subnet};
use crate::under_test::{only_ours, unlike_reference};

fn read(name: &str) -> Vec<u8> {
    fs::read(Path::new(DIRECTORY).join(name)).unwrap()
}

fn write(name: &str, content: &[u8]) {
    fs::create_dir_all(DIRECTORY).unwrap();
    fs::write(Path::new(DIRECTORY).join(name), content).unwrap();
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_lease_is_a_file_named_by_the_address_with_its_owner() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "FD00:0:0::/64" }],
        ]}));
        lab.plugin("host-local")
            .container(&lab.container("c1"))
            .ifname("net1")
            .config(&config)
            .verb("ADD")
            .run()
            .succeeded();
        assert_eq!(leases(), ["10.1.0.2", "fd00::2"]);
        for lease in leases() {
            assert_eq!(read(&lease), b"c1\r\nnet1");
            unlike_reference(lab, "lets everybody read leases (1.1.1)", || {
                assert_eq!(mode(&format!("{DIRECTORY}/{lease}")), 0o600);
            });
        }
        assert_eq!(read("last_reserved_ip.0"), b"10.1.0.2");
        assert_eq!(read("last_reserved_ip.1"), b"fd00::2");
        assert_eq!(read("lock"), b"");
        assert_eq!(mode(DIRECTORY), 0o755);
    });
}

/// The Go plugin reads every file in it, so a foreign one would be a lease of somebody.
#[test]
fn nothing_but_leases_cursors_and_the_lock_is_in_the_directory() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let c = lab.container("c1");
        add(lab, &c, &config);
        add(lab, &lab.container("c2"), &config);
        del(lab, &c, &config);
        let entries = fs::read_dir(DIRECTORY).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, ["10.1.0.3", "last_reserved_ip.0", "lock"]);
    });
}

#[test]
fn the_directory_can_be_elsewhere() {
    lab_with_plugins(|lab| {
        let mut config = subnet("10.1.0.0/24");
        config["ipam"]["dataDir"] = json!("/var/lib/elsewhere");
        let c = lab.container("c1");
        add(lab, &c, &config);
        assert_eq!(leases_in("/var/lib/elsewhere/net"), ["10.1.0.2"]);
        assert!(!Path::new(DIRECTORY).exists());
        del(lab, &c, &config);
        assert_eq!(leases_in("/var/lib/elsewhere/net"), [""; 0]);
    });
}

#[test]
fn networks_do_not_share_leases() {
    lab_with_plugins(|lab| {
        let mut other = subnet("10.1.0.0/24");
        other["name"] = json!("other");
        let c = lab.container("c1");
        assert_eq!(add(lab, &c, &subnet("10.1.0.0/24")), ["10.1.0.2"]);
        assert_eq!(add(lab, &c, &other), ["10.1.0.2"]);
        del(lab, &c, &other);
        assert_eq!(leases(), ["10.1.0.2"]);
    });
}

#[test]
fn a_container_that_has_an_address_gets_no_second_one() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let c = lab.container("c1");
        add(lab, &c, &config);
        let error = call(lab, &c, &config, "ADD").error();
        error.says(&["duplicate allocation is not allowed"]);
        assert_eq!(leases(), ["10.1.0.2"]);
        // Another interface is another attachment.
        let call = lab.plugin("host-local").container(&c).ifname("eth1").config(&config);
        call.verb("ADD").run().succeeded();
        assert_eq!(leases(), ["10.1.0.2", "10.1.0.3"]);
    });
}

#[test]
fn a_container_whose_namespace_is_gone_gets_its_address_back() {
    lab_with_plugins(|lab| {
        only_ours(lab, "refuses the container for ever");
        let config = subnet("10.1.0.0/24");
        let c = lab.container("c1");
        let mut bridge = config.clone();
        bridge["type"] = json!("bridge");
        bridge["bridge"] = json!("cni0");
        lab.add("bridge", &c, &bridge);
        add(lab, &lab.container("c2"), &config);
        let host_end = lab.host().link_names().into_iter().find(|name| name.starts_with("veth"));
        c.remove();
        lab.host().wait_until_gone(&host_end.expect("ADD made it"));
        let again = lab.container("c1");
        let result = lab.add("bridge", &again, &bridge);
        assert_eq!(result["ips"][0]["address"], "10.1.0.2/24", "{result}");
    });
}

#[test]
fn a_lease_from_before_0_8_names_the_container_alone() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        write("10.1.0.9", b"c1");
        write("10.1.0.10", b"c2 \n");
        let (one, two) = (lab.container("c1"), lab.container("c2"));
        call(lab, &one, &config, "ADD").error().says(&["duplicate allocation is not allowed"]);
        call(lab, &one, &config, "CHECK");
        del(lab, &one, &config);
        del(lab, &two, &config);
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn a_lease_of_the_container_alone_is_not_that_of_a_longer_id() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        write("10.1.0.9", b"c1\r\neth0");
        write("10.1.0.10", b"c1x\r\neth0");
        write("10.1.0.11", b"c1\r\neth01");
        del(lab, &lab.container("c1"), &config);
        assert_eq!(leases(), ["10.1.0.10", "10.1.0.11"]);
    });
}

#[test]
fn an_address_with_a_file_is_taken_whatever_is_in_it() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/29");
        write("10.1.0.2", b"c7\neth0");
        write("10.1.0.3", "x".repeat(5000).as_bytes());
        assert_eq!(add(lab, &lab.container("a"), &config), ["10.1.0.4"]);
        unlike_reference(lab, "never frees what an editor has touched", || {
            del(lab, &lab.container("c7"), &config);
            assert_eq!(leases(), ["10.1.0.3", "10.1.0.4"]);
        });
    });
}

/// What a crash between making a file and writing it leaves.
#[test]
fn an_empty_lease_is_given_again_when_the_pool_runs_out() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/29");
        for number in 2..=6 {
            write(&format!("10.1.0.{number}"), b"");
        }
        unlike_reference(lab, "has lost such an address for ever [E]", || {
            let got = add(lab, &lab.container("a"), &config);
            assert_eq!(got.len(), 1);
            assert_eq!(read(&got[0]), b"a\r\neth0");
        });
    });
}

#[test]
fn a_cursor_that_makes_no_sense_is_as_good_as_none() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        for (number, odd) in
            ["", "nonsense", "10.9.0.5", "fd00::1", "10.1.0.300"].iter().enumerate()
        {
            write("last_reserved_ip.0", odd.as_bytes());
            let c = lab.container(&format!("c{number}"));
            assert_eq!(add(lab, &c, &config), ["10.1.0.2"], "{odd:?}");
            del(lab, &c, &config);
        }
    });
}

#[test]
fn a_cursor_leads_on_from_where_it_points() {
    lab_with_plugins(|lab| {
        write("last_reserved_ip.0", b"10.1.0.100");
        assert_eq!(add(lab, &lab.container("a"), &subnet("10.1.0.0/24")), ["10.1.0.101"]);
        write("last_reserved_ip.0", b"10.1.0.254");
        assert_eq!(add(lab, &lab.container("b"), &subnet("10.1.0.0/24")), ["10.1.0.2"]);
    });
}

/// Everybody's cure for a full pool.
#[test]
fn the_directory_may_be_deleted_at_any_time() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let c = lab.container("c1");
        add(lab, &c, &config);
        add(lab, &lab.container("c2"), &config);
        fs::remove_dir_all(DIRECTORY).unwrap();
        assert_eq!(add(lab, &c, &config), ["10.1.0.2"]);
        assert_eq!(leases(), ["10.1.0.2"]);
        fs::remove_dir_all(DIRECTORY).unwrap();
        del(lab, &c, &config);
    });
}

#[test]
fn a_lease_that_somebody_deleted_is_free_and_one_that_somebody_made_is_not() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/29");
        let (a, b) = (lab.container("a"), lab.container("b"));
        add(lab, &a, &config);
        add(lab, &b, &config);
        fs::remove_file(Path::new(DIRECTORY).join("10.1.0.2")).unwrap();
        write("10.1.0.4", b"foreign\r\neth0");
        assert_eq!(add(lab, &lab.container("c"), &config), ["10.1.0.5"]);
        assert_eq!(add(lab, &lab.container("d"), &config), ["10.1.0.6"]);
        assert_eq!(add(lab, &a, &config), ["10.1.0.2"]);
        call(lab, &lab.container("e"), &config, "ADD").error();
    });
}

#[test]
fn del_needs_no_pool_that_makes_sense() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        add(lab, &c, &subnet("10.1.0.0/24"));
        let broken = subnet("10.1.0.5/33");
        unlike_reference(lab, "refuses DEL for what it finds in the config", || {
            del(lab, &c, &broken);
            assert_eq!(leases(), [""; 0]);
        });
    });
}

#[test]
fn a_lease_outside_of_the_ranges_is_freed_by_del() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        add(lab, &c, &subnet("10.1.0.0/24"));
        del(lab, &c, &subnet("10.2.0.0/24"));
        assert_eq!(leases(), [""; 0], "the range was changed while the container lived");
    });
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    lab_with_plugins(|lab| {
        fs::write("/var/lib/cni", "").unwrap();
        let c = lab.container("c1");
        let error = call(lab, &c, &subnet("10.1.0.0/24"), "ADD").error();
        error.says(&["/var/lib/cni"]);
    });
}
