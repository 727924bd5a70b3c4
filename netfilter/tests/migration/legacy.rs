use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use netfilter::reference::legacy::{self, LegacyError, Trace};
use netns_fixtures::{Container, Feature, Lab, lab};
use serde_json::{Value, json};

use crate::reference::{
    assert_same, bridge, call, config, key, on, prepare_legacy, saved, with_result,
};

/// Rules of an administrator that look like the reference's, and such that hold what is hard to read.
const OTHERS: [&str; 5] = [
    r#"-A POSTROUTING -s 10.9.0.0/16 -m comment --comment "name: \"net\" id: \"c2\"" -j MASQUERADE"#,
    r#"-A POSTROUTING -m comment --comment "x -j CNI-1 \\ \" y" -j RETURN"#,
    r#"-A POSTROUTING -m comment --comment -j -j RETURN"#,
    r#"-A PREROUTING -i wan0 -p udp -m udp --dport 53 -j DNAT --to-destination 10.9.0.1:53"#,
    r#"-A OUTPUT -m string --string "-j CNI-DN-" --algo bm --to 65535 -j RETURN"#,
];

fn add_others(lab: &Lab) {
    fs::write("/run/others", format!("*nat\n{}\nCOMMIT\n", OTHERS.join("\n"))).unwrap();
    for program in ["iptables-legacy-restore", "ip6tables-legacy-restore"] {
        let text = fs::read_to_string("/run/others").unwrap();
        let v6 = text.lines().filter(|line| !line.contains("10.9.")).collect::<Vec<_>>().join("\n");
        fs::write("/run/others6", v6 + "\n").unwrap();
        let file = if program.starts_with("ip6") { "/run/others6" } else { "/run/others" };
        lab.host().run(&format!("{program} --noflush {file}"));
    }
}

/// The Go bridge's config and result with masquerade, for one interface of a container.
fn masqueraded(lab: &Lab, c: &Container, ifname: &str) -> (Value, Value) {
    let config = bridge(&json!({ "type": "bridge", "ipMasq": true }));
    let result = call(lab, "bridge", "ADD", c, &config).ifname(ifname).run().result();
    (config, result)
}

/// Publishes two ports of a container with the Go portmap; what its DEL is given.
fn published(lab: &Lab, c: &Container, result: &Value, port: u16) -> Value {
    let mappings = json!([
        { "hostPort": port, "containerPort": 80, "protocol": "tcp" },
        { "hostPort": port, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1" },
    ]);
    let keys = json!({ "type": "portmap", "runtimeConfig": { "portMappings": mappings } });
    let config = with_result(&config("net", &keys), result);
    call(lab, "portmap", "ADD", c, &config).run().result();
    config
}

/// Accepts a container's packets with the Go firewall.
fn accepted(lab: &Lab, c: &Container, result: &Value) {
    let keys = json!({ "type": "firewall", "backend": "iptables" });
    let config = with_result(&config("net", &keys), result);
    call(lab, "firewall", "ADD", c, &config).run().result();
}

fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().unwrap().iter();
    let address = |ip: &Value| ip["address"].as_str().unwrap().split('/').next().unwrap().parse();
    ips.map(|ip| address(ip).unwrap()).collect()
}

fn begin(lab: &Lab) -> Container {
    prepare_legacy(lab);
    lab.needs(Feature::ReferencePlugins);
    lab.container("c1")
}

/// Hides all programs that administrators run, as on a host without iptables.
fn without_programs<T>(lab: &Lab, act: impl FnOnce() -> T) -> T {
    let is_link = fs::symlink_metadata("/sbin").unwrap().is_symlink();
    let directories = if is_link { vec!["/usr/sbin"] } else { vec!["/usr/sbin", "/sbin"] };
    for directory in &directories {
        lab.host().run(&format!("/bin/mount -t tmpfs none {directory}"));
    }
    let value = act();
    for directory in &directories {
        lab.host().run(&format!("/bin/umount {directory}"));
    }
    value
}

#[test]
fn masquerade_goes_and_all_else_stays_byte_for_byte() {
    lab(|lab| {
        let one = begin(lab);
        add_others(lab);
        masqueraded(lab, &one, "eth0");
        let before = saved(lab);
        assert!(before.contains("POSTROUTING -s 10.1.0.2/32 "), "the Go plugin used legacy");
        let two = lab.container("c2");
        let (_, result) = masqueraded(lab, &two, "eth0");
        let with_both = saved(lab);
        assert!(with_both.len() > before.len());
        legacy::remove(&[Trace::Masquerade(&on("another", "c2"), &[])]).unwrap();
        assert_same("another network's", &with_both, &saved(lab));
        legacy::remove(&[Trace::Masquerade(&key("c2"), &addresses(&result))]).unwrap();
        assert_same("as before", &before, &saved(lab));
        legacy::remove(&[Trace::Masquerade(&key("c2"), &[])]).unwrap();
        assert_same("a second time", &before, &saved(lab));
    });
}

#[test]
fn an_interface_leaves_the_chain_to_the_others_of_its_container() {
    lab(|lab| {
        let c = begin(lab);
        let (_, first) = masqueraded(lab, &c, "eth0");
        let (_, second) = masqueraded(lab, &c, "eth1");
        let key = key("c1");
        let is_present =
            |result| legacy::is_present(&Trace::Masquerade(&key, &addresses(result))).unwrap();
        assert!(is_present(&first) && is_present(&second));
        legacy::remove(&[Trace::Masquerade(&key, &addresses(&first))]).unwrap();
        assert!(!is_present(&first));
        assert!(is_present(&second));
        assert!(saved(lab).contains("MASQUERADE"));
        legacy::remove(&[Trace::Masquerade(&key, &addresses(&second))]).unwrap();
        assert!(!saved(lab).contains("CNI-"), "{}", saved(lab));
    });
}

#[test]
fn masquerade_of_two_families_is_present_when_both_are() {
    lab(|lab| {
        let c = begin(lab);
        let config = bridge(&json!({ "type": "bridge", "ipMasq": true }));
        let mut v4 = config.clone();
        v4["ipam"]["ranges"].as_array_mut().unwrap().truncate(1);
        let result = call(lab, "bridge", "ADD", &c, &v4).run().result();
        let (key, mut addresses) = (key("c1"), addresses(&result));
        assert!(legacy::is_present(&Trace::Masquerade(&key, &addresses)).unwrap());
        addresses.push("fd00:1::2".parse().unwrap());
        assert!(!legacy::is_in_use(types::Family::V6, "nat").unwrap());
        assert!(!legacy::is_present(&Trace::Masquerade(&key, &addresses)).unwrap());
        assert!(!legacy::is_present(&Trace::Accepts(&addresses)).unwrap());
    });
}

#[test]
fn jumps_from_before_v0_8_go_by_their_subnet() {
    lab(|lab| {
        let c = begin(lab);
        let (_, result) = masqueraded(lab, &c, "eth0");
        let nat = "iptables-legacy -t nat";
        let jump = saved(lab);
        let jump = jump.lines().find(|line| line.contains("-s 10.1.0.2/32")).unwrap();
        let chain = jump.split(' ').next_back().unwrap();
        lab.host().run(&format!("{nat} -A POSTROUTING -s 10.1.0.2/24 -j {chain}"));
        legacy::remove(&[Trace::Masquerade(&key("c1"), &addresses(&result))]).unwrap();
        assert!(!saved(lab).contains("CNI-"), "{}", saved(lab));
    });
}

#[test]
fn published_ports_go_and_all_else_stays_byte_for_byte() {
    lab(|lab| {
        let one = begin(lab);
        let (_, first) = masqueraded(lab, &one, "eth0");
        let config = published(lab, &one, &first, 8080);
        add_others(lab);
        let before = saved(lab);
        let two = lab.container("c2");
        let (_, result) = masqueraded(lab, &two, "eth0");
        published(lab, &two, &result, 9090);
        // What an old portmap left beside.
        for family in ["iptables-legacy", "ip6tables-legacy"] {
            let chain =
                netfilter::reference::names::snat_chain(&key("c2").network, &key("c2").container);
            lab.host().run(&format!("{family} -t nat -N {chain}"));
            lab.host().run(&format!("{family} -t nat -A POSTROUTING -j {chain}"));
        }
        let ports = Trace::Ports(&key("c2"));
        assert!(legacy::is_present(&ports).unwrap());
        legacy::remove(&[ports, Trace::Masquerade(&key("c2"), &[])]).unwrap();
        assert_same("as before", &before, &saved(lab));
        assert!(!legacy::is_present(&ports).unwrap());
        assert!(legacy::is_present(&Trace::Ports(&key("c1"))).unwrap());
        call(lab, "portmap", "DEL", &one, &config).run().succeeded();
        assert!(!legacy::is_present(&Trace::Ports(&key("c1"))).unwrap(), "the Go plugin's DEL");
    });
}

#[test]
fn accepted_addresses_go_and_all_else_stays_byte_for_byte() {
    lab(|lab| {
        let one = begin(lab);
        let (_, first) = masqueraded(lab, &one, "eth0");
        accepted(lab, &one, &first);
        lab.host().run("iptables-legacy -A CNI-ADMIN -s 10.1.0.3/32 -j ACCEPT");
        lab.host().run("iptables-legacy -A CNI-FORWARD -s 10.1.0.3/32 -p tcp -j ACCEPT");
        let before = saved(lab);
        let two = lab.container("c2");
        let (_, result) = masqueraded(lab, &two, "eth0");
        accepted(lab, &two, &result);
        let (key, addresses) = (key("c2"), addresses(&result));
        assert!(addresses.contains(&"10.1.0.3".parse().unwrap()), "{addresses:?}");
        let accepts = Trace::Accepts(&addresses);
        assert!(legacy::is_present(&accepts).unwrap());
        legacy::remove(&[Trace::Masquerade(&key, &addresses), accepts]).unwrap();
        assert_same("as before", &before, &saved(lab));
        assert!(!legacy::is_present(&accepts).unwrap());
    });
}

#[test]
fn a_sweep_takes_the_dead_of_its_network_alone() {
    lab(|lab| {
        let one = begin(lab);
        add_others(lab);
        let (_, first) = masqueraded(lab, &one, "eth0");
        published(lab, &one, &first, 8080);
        let before = saved(lab);
        let two = lab.container("c2");
        let (_, result) = masqueraded(lab, &two, "eth0");
        published(lab, &two, &result, 9090);
        let with_both = saved(lab);
        let network = key("c1").network;
        let valid = |container: &str| cni::GcAttachment {
            container: container.parse().unwrap(),
            ifname: None,
        };
        legacy::sweep(&"another".parse().unwrap(), &[]).unwrap();
        legacy::sweep(&network, &[valid("c1"), valid("c2")]).unwrap();
        assert_same("the living stay", &with_both, &saved(lab));
        legacy::sweep(&network, &[valid("c1")]).unwrap();
        assert_same("as before c2", &before, &saved(lab));
    });
}

#[test]
fn no_program_is_run_where_nobody_used_the_legacy_variant() {
    lab(|lab| {
        let key = key("c1");
        let addresses = ["10.1.0.2".parse().unwrap(), "fd00:1::2".parse().unwrap()];
        let traces =
            [Trace::Masquerade(&key, &addresses), Trace::Ports(&key), Trace::Accepts(&addresses)];
        without_programs(lab, || {
            legacy::remove(&traces).unwrap();
            for trace in &traces {
                assert!(!legacy::is_present(trace).unwrap());
            }
            legacy::sweep(&key.network, &[]).unwrap();
            legacy::accept(&addresses, "CNI-ADMIN").unwrap();
        });
        for family in [types::Family::V4, types::Family::V6] {
            assert!(!legacy::is_in_use(family, "nat").unwrap());
        }
        prepare_legacy(lab);
        lab.host().run("iptables-legacy -t nat -S");
        assert!(legacy::is_in_use(types::Family::V4, "nat").unwrap());
        assert!(!legacy::is_in_use(types::Family::V4, "filter").unwrap());
        let error = without_programs(lab, || legacy::remove(&traces)).unwrap_err();
        let text = "run iptables-legacy-save: found neither in PATH nor in /usr/sbin and /sbin";
        assert_eq!(error.to_string(), text);
        assert!(error.hint().unwrap().contains("install it"));
    });
}

/// Puts a script in the place of all of iptables' legacy variant.
fn with_script<T>(lab: &Lab, script: &str, act: impl FnOnce() -> T) -> T {
    const PROGRAM: &str = "/usr/sbin/xtables-legacy-multi";
    fs::write("/run/script", format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions("/run/script", fs::Permissions::from_mode(0o755)).unwrap();
    lab.host().run(&format!("mount --bind /run/script {PROGRAM}"));
    let value = act();
    lab.host().run(&format!("umount {PROGRAM}"));
    value
}

#[test]
fn what_nobody_understands_is_nobodys_and_what_is_refused_is_told() {
    lab(|lab| {
        let c = begin(lab);
        masqueraded(lab, &c, "eth0");
        let before = saved(lab);
        let key = key("c1");
        let remove = || legacy::remove(&[Trace::Masquerade(&key, &[]), Trace::Ports(&key)]);
        for printed in
            ["", "*", "*nat", "-A", "*nat\\n:\\n-A \\n-A X -m comment --comment \\\"\\\\"]
        {
            with_script(lab, &format!("printf -- '{printed}'"), remove).unwrap();
        }
        with_script(lab, "head -c 70000 /dev/urandom", remove).unwrap();
        let error = with_script(lab, "echo no such table >&2; exit 3", remove).unwrap_err();
        let text = "/usr/sbin/iptables-legacy-save failed: no such table (exit status: 3)";
        assert_eq!(error.to_string(), text);
        assert!(matches!(error, LegacyError::Failed { .. }));
        assert_same("nothing was changed", &before, &saved(lab));
        remove().unwrap();
        assert!(!saved(lab).contains("CNI-"));
    });
}
