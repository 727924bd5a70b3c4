//! `host`: the host's own network, and the table of the ports that its containers declare.

use std::fs;
use std::thread;

use netns_fixtures::{Call, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{NETWORK, least_config, must_have};

const CLAIMS: &str = "/run/cais/host-ports/claims";

/// A call for a container `id` that runs in the host's namespace and declares `ports`.
fn call<'lab>(lab: &'lab Lab, verb: &str, id: &str, ports: &Value) -> Call<'lab> {
    must_have(lab, "host");
    let call = lab.plugin("host").verb(verb).env("CNI_CONTAINERID", id);
    call.env("CNI_NETNS", lab.host().path()).config(&config(USUAL, ports))
}

fn config(version: &str, ports: &Value) -> Value {
    let mut config = least_config("host", version);
    config["capabilities"] = json!({ "portMappings": true });
    config["runtimeConfig"] = json!({ "portMappings": ports });
    config
}

fn port(number: u16) -> Value {
    json!([{ "hostPort": number, "containerPort": number, "protocol": "tcp" }])
}

fn at(address: &str, number: u16) -> Value {
    json!([{ "hostPort": number, "containerPort": number, "hostIP": address }])
}

/// The claims as `<protocol> <socket> <holder>`.
fn claims() -> Vec<String> {
    let text = fs::read_to_string(CLAIMS).unwrap_or_default();
    let words = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {} {}", words[0], words[1], words[3])
    };
    text.lines().skip(1).map(words).collect()
}

/// GC of the network with more keys in its configuration.
fn gc(lab: &Lab, valid: Option<Value>) {
    let mut config = least_config("host", "1.1.0");
    if let Some(valid) = valid {
        config["cni.dev/valid-attachments"] = valid;
    }
    lab.plugin("host").verb("GC").config(&config).run().is_silent();
}

every_version! {
    fn a_container_in_the_hosts_namespace_gets_nothing_made_and_an_empty_result(lab, version) {
        must_have(lab, "host");
        let before = lab.snapshot();
        let add = call(lab, "ADD", "c1", &json!([])).config(&config(version, &json!([])));
        let outcome = add.run();
        if version < "0.3.0" {
            outcome.refused(7).says(&[version, "without an address", "0.3.1 or later"]);
        } else if version < "1.0.0" {
            assert_eq!(outcome.result(), json!({ "cniVersion": version, "dns": {} }));
        } else {
            assert_eq!(outcome.result(), json!({ "cniVersion": version }));
        }
        lab.assert_unchanged(&before);
        call(lab, "DEL", "c1", &json!([])).config(&config(version, &json!([]))).run().is_silent();
        lab.assert_unchanged(&before);
    }
}

#[test]
fn a_namespace_of_its_own_is_refused_with_what_to_do() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let error = call(lab, "ADD", "c1", &port(80)).env("CNI_NETNS", c.path()).run().refused(7);
        error.says(&["net/c1/eth0", "CNI_NETNS=/run/netns/c1", "the runtime made one of its own"]);
        error.says(&["podman run --network host", "hostNetwork: true", "without `--cni`"]);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_runtime_that_knows_better_may_override_the_comparison() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let add = call(lab, "ADD", "c1", &port(80)).env("CNI_NETNS", c.path());
        for value in ["1", "TRUE", "true"] {
            add.clone().env("CNI_NETNS_OVERRIDE", value).run().succeeded();
        }
        for value in ["0", "false", "yes", ""] {
            add.clone().env("CNI_NETNS_OVERRIDE", value).run().refused(7);
        }
        // The port of that namespace is none of this one.
        call(lab, "ADD", "c2", &port(80)).run().succeeded();
    });
}

#[test]
fn a_namespace_that_is_not_there_is_an_error_that_names_it() {
    lab_with_plugins(|lab| {
        fs::write("/run/netns/plain", "").unwrap();
        for (path, why) in [("/run/netns/gone", "does not exist"), ("/run/netns/plain", "not a")] {
            let add = call(lab, "ADD", "c1", &port(80)).env("CNI_NETNS", path);
            add.run().refused(4).says(&[path, why]);
        }
    });
}

#[test]
fn a_second_claim_to_a_port_names_the_holder_until_it_is_gone() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "first", &port(80)).run().succeeded();
        let error = call(lab, "ADD", "second", &port(80)).run().refused(100);
        error.says(&["claim tcp *:80 for net/second/eth0", "net/first/eth0 holds it"]);
        error.says(&["stop container first"]);
        assert_eq!(claims(), ["tcp *:80 net/first/eth0"]);
        call(lab, "ADD", "second", &port(81)).run().succeeded();
        call(lab, "DEL", "first", &port(80)).run().is_silent();
        call(lab, "ADD", "third", &port(80)).run().succeeded();
        assert_eq!(claims(), ["tcp *:81 net/second/eth0", "tcp *:80 net/third/eth0"]);
    });
}

#[test]
fn networks_of_this_type_share_the_hosts_ports() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "first", &port(80)).run().succeeded();
        let mut other = config(USUAL, &port(80));
        other["name"] = json!("other");
        let error = call(lab, "ADD", "first", &port(80)).config(&other).run().refused(100);
        error.says(&["for other/first/eth0", "net/first/eth0 holds it"]);
    });
}

#[test]
fn an_ipv6_wildcard_takes_ipv4_as_the_hosts_kernel_has_it() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "v6", &at("::", 80)).run().succeeded();
        let error = call(lab, "ADD", "v4", &at("127.0.0.1", 80)).run().refused(100);
        error.says(&["tcp 127.0.0.1:80", "net/v6/eth0 holds it as tcp *:80"]);
        call(lab, "DEL", "v6", &json!([])).run().is_silent();
        lab.host().set_sysctl("ipv6/bindv6only", "1");
        call(lab, "ADD", "v6", &at("::", 80)).run().succeeded();
        call(lab, "ADD", "v4", &at("127.0.0.1", 80)).run().succeeded();
        call(lab, "ADD", "other", &at("fd00::1", 80)).run().refused(100);
    });
}

#[test]
fn a_port_that_would_have_to_be_mapped_is_refused() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        let ports = json!([{ "HostPort": 8080, "ContainerPort": 80, "Protocol": "TCP" }]);
        let error = call(lab, "ADD", "c1", &ports).run().refused(7);
        error.says(&["host port 8080 and container port 80 differ", "binds its port itself"]);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn what_was_before_it_in_the_chain_is_passed_on() {
    lab_with_plugins(|lab| {
        let mut config = config(USUAL, &port(80));
        let previous = json!({
            "cniVersion": USUAL,
            "interfaces": [{ "name": "x", "mtu": 1400 }],
            "ips": [{ "address": "10.1.0.5/24", "interface": 0 }],
            "dns": { "nameservers": ["10.1.0.1"] },
        });
        config["prevResult"] = previous.clone();
        let result = call(lab, "ADD", "c1", &port(80)).config(&config).run().result();
        assert_eq!(result, previous);
    });
}

#[test]
fn del_frees_whatever_has_become_of_configuration_arguments_and_namespace() {
    lab_with_plugins(|lab| {
        let c = lab.container("own");
        let odd = [json!("80"), json!([{ "hostPort": -1 }]), json!([{ "hostPort": 99 }])];
        for ports in odd {
            call(lab, "ADD", "c1", &port(80)).run().succeeded();
            call(lab, "DEL", "c1", &ports).args("=;nonsense").run().is_silent();
            assert!(claims().is_empty(), "{ports}");
        }
        for netns in ["", "/run/netns/gone", "/etc/passwd", "/run/netns/own"] {
            call(lab, "ADD", "c1", &port(80)).run().succeeded();
            call(lab, "DEL", "c1", &port(80)).env("CNI_NETNS", netns).run().is_silent();
            assert!(claims().is_empty(), "{netns}");
        }
        call(lab, "DEL", "c1", &port(80)).run().is_silent();
        assert!(c.exists());
    });
}

#[test]
fn nothing_but_an_empty_directory_is_left() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        call(lab, "DEL", "never", &port(80)).run().is_silent();
        lab.assert_unchanged(&before);
        call(lab, "ADD", "c1", &port(80)).run().succeeded();
        call(lab, "DEL", "c1", &port(80)).run().is_silent();
        // The directory is the lock; removing it would let two calls hold two of them.
        lab.assert_unchanged_but(&before, &["dir /run/cais"]);
    });
}

#[test]
fn a_repeated_add_keeps_the_last_claims() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "c1", &port(80)).run().succeeded();
        call(lab, "ADD", "c1", &port(80)).run().succeeded();
        call(lab, "ADD", "c1", &port(81)).run().succeeded();
        assert_eq!(claims(), ["tcp *:81 net/c1/eth0"]);
        call(lab, "ADD", "c1", &json!([])).run().succeeded();
        assert!(claims().is_empty());
    });
}

#[test]
fn gc_frees_what_is_not_in_the_list_of_its_own_network() {
    lab_with_plugins(|lab| {
        let three = || {
            for (id, number) in [("a", 80), ("b", 81)] {
                call(lab, "ADD", id, &port(number)).run().succeeded();
            }
            let mut other = config(USUAL, &port(82));
            other["name"] = json!("other");
            call(lab, "ADD", "a", &port(82)).config(&other).run().succeeded();
        };
        let (a, b, other) = ("tcp *:80 net/a/eth0", "tcp *:81 net/b/eth0", "tcp *:82 other/a/eth0");
        let entry = |id: &str, ifname: &str| json!({ "containerID": id, "ifname": ifname });
        three();
        gc(lab, None);
        assert_eq!(claims(), [a, b, other], "without a list nothing is known to be dead");
        gc(lab, Some(json!([entry("a", "eth1"), entry("b", "eth0")])));
        assert_eq!(claims(), [b, other]);
        for nothing in [Value::Null, json!([])] {
            three();
            gc(lab, Some(nothing));
            assert_eq!(claims(), [other]);
        }
    });
}

#[test]
fn gc_with_a_list_that_is_none_frees_nothing() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "a", &port(80)).run().succeeded();
        let mut config = least_config("host", "1.1.0");
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "../x" }]);
        lab.plugin("host").verb("GC").config(&config).run().refused(7);
        assert_eq!(claims(), ["tcp *:80 net/a/eth0"]);
    });
}

#[test]
fn check_proves_claims_and_namespace() {
    lab_with_plugins(|lab| {
        let ports = json!([{ "hostPort": 80 }, { "hostPort": 53, "protocol": "udp" }]);
        call(lab, "ADD", "c1", &ports).run().succeeded();
        let check = call(lab, "CHECK", "c1", &ports);
        check.run().is_silent();
        let c = lab.container("own");
        let elsewhere = check.clone().env("CNI_NETNS", c.path()).run();
        elsewhere.refused(101).says(&["/run/netns/own", "not the host's"]);
        let text = fs::read_to_string(CLAIMS).unwrap();
        fs::write(CLAIMS, text.replace("udp *:53", "udp *:54")).unwrap();
        check.run().refused(101).says(&["claim udp *:53 of net/c1/eth0", CLAIMS]);
        fs::remove_file(CLAIMS).unwrap();
        check.run().refused(101).says(&["claim tcp *:80 of net/c1/eth0"]);
    });
}

#[test]
fn a_torn_table_is_repaired_by_the_next_change() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "a", &port(80)).run().succeeded();
        call(lab, "ADD", "b", &port(81)).run().succeeded();
        let whole = fs::read_to_string(CLAIMS).unwrap();
        fs::write(CLAIMS, &whole[..whole.len() - 3]).unwrap();
        // What a killed call left of its own table.
        fs::write("/run/cais/host-ports/claims.new", "torn").unwrap();
        call(lab, "ADD", "c", &port(82)).run().succeeded();
        assert_eq!(claims(), ["tcp *:80 net/a/eth0", "tcp *:82 net/c/eth0"]);
        for rubbish in [&b""[..], b"\0\0\0\0", b"\xff\xfe\n", b"{}", b"cais host-ports\n\n\n"] {
            fs::write(CLAIMS, rubbish).unwrap();
            call(lab, "DEL", "c", &port(82)).run().is_silent();
            call(lab, "ADD", "c", &port(82)).run().succeeded();
            assert_eq!(claims(), ["tcp *:82 net/c/eth0"]);
        }
    });
}

#[test]
fn claims_of_an_earlier_boot_block_nobody() {
    lab_with_plugins(|lab| {
        call(lab, "ADD", "a", &port(80)).run().succeeded();
        let text = fs::read_to_string(CLAIMS).unwrap();
        let (header, rest) = text.split_once('\n').unwrap();
        let (mark, _) = header.rsplit_once(' ').unwrap();
        fs::write(CLAIMS, format!("{mark} 00000000-0000-0000-0000-000000000000\n{rest}")).unwrap();
        call(lab, "ADD", "b", &port(80)).run().succeeded();
        assert_eq!(claims(), ["tcp *:80 net/b/eth0"]);
    });
}

#[test]
fn a_table_of_a_newer_layout_stops_add_and_status_but_not_del() {
    lab_with_plugins(|lab| {
        fs::create_dir_all("/run/cais/host-ports").unwrap();
        let newer = "cais host-ports 2 boot more\ntcp 80 ? 1 net/a/eth0\nudp ? ? 1 net/b/eth0\n";
        fs::write(CLAIMS, newer).unwrap();
        call(lab, "ADD", "c", &port(82)).run().refused(50).says(&["layout 2", "up to 1"]);
        let status = lab.plugin("host").verb("STATUS").config(&least_config("host", "1.1.0"));
        status.run().refused(50).says(&["layout 2"]);
        call(lab, "DEL", "a", &json!([])).run().is_silent();
        let left = fs::read_to_string(CLAIMS).unwrap();
        assert_eq!(left, "cais host-ports 2 boot more\nudp ? ? 1 net/b/eth0\n");
    });
}

#[test]
fn status_is_silent_and_makes_nothing() {
    lab_with_plugins(|lab| {
        must_have(lab, "host");
        let before = lab.snapshot();
        lab.plugin("host").verb("STATUS").config(&least_config("host", "1.1.0")).run().is_silent();
        lab.assert_unchanged(&before);
    });
}

#[test]
fn of_many_at_once_one_gets_a_port_and_nobody_loses_another() {
    lab_with_plugins(|lab| {
        let won = thread::scope(|scope| {
            let adds: Vec<_> = (0..24_u16)
                .map(|i| {
                    let ports = json!([{ "hostPort": 80 }, { "hostPort": 1000 + i }]);
                    let same = call(lab, "ADD", &format!("same{i}"), &ports);
                    let own = call(lab, "ADD", &format!("own{i}"), &port(2000 + i));
                    scope.spawn(move || {
                        own.run().succeeded();
                        same.run().status.success()
                    })
                })
                .collect();
            adds.into_iter().map(|add| add.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        let claims = claims();
        assert_eq!(claims.iter().filter(|claim| claim.starts_with("tcp *:80 ")).count(), 1);
        assert_eq!(claims.iter().filter(|claim| claim.contains("/own")).count(), 24);
        assert_eq!(claims.len(), 26, "{claims:?}");
        assert!(claims.iter().all(|claim| claim.contains(&format!(" {NETWORK}/"))));
    });
}

/// System calls by which `host` changes anything, under their names on all machines.
const CHANGES: &[&str] = &[
    "?mkdir,?mkdirat",
    "openat",
    "flock",
    "write",
    "?rename,?renameat,renameat2",
    "?unlink,unlinkat",
];

#[test]
fn killed_at_any_change_it_leaves_a_table_that_del_and_others_can_use() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Strace);
        let mut kills = 0;
        for change in CHANGES {
            for when in 1.. {
                assert!(when < 100, "{change}: it never gets to its end");
                let killer =
                    format!("strace -f -o /dev/null -e inject={change}:signal=KILL:when={when}");
                call(lab, "ADD", "other", &port(90)).run().succeeded();
                let add = call(lab, "ADD", "c1", &port(80)).under(&killer).run();
                let del = call(lab, "DEL", "other", &port(90)).under(&killer).run();
                call(lab, "DEL", "c1", &port(80)).run().is_silent();
                call(lab, "DEL", "other", &port(90)).run().is_silent();
                assert!(claims().is_empty(), "{change} {when}: {:?}", claims());
                call(lab, "ADD", "next", &port(80)).run().succeeded();
                call(lab, "DEL", "next", &port(80)).run().is_silent();
                if add.status.success() && del.status.success() {
                    break;
                }
                kills += 1;
            }
        }
        assert!(kills > CHANGES.len(), "only {kills} calls were killed");
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let call = call(lab, "ADD", "c1", &port(80));
        let list = include_str!("../../docs/examples/host.conflist");
        super::example::works(&call, list, include_str!("../../docs/plugins/host.md"));
    });
}
