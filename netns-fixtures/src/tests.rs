//! The lab judges others, so each of its claims is shown to fail as well.

use std::fs;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::Command;

use crate::lab;

#[test]
fn two_ends_of_a_wire_reach_each_other() {
    lab(|lab| {
        let (a, b) = lab.two_hosts();
        a.assert_reaches(&b);
        b.assert_reaches(&a);
    });
}

#[test]
#[should_panic(expected = "a (10.99.0.1, fd99::1) cannot reach b (10.99.0.2): TCP")]
fn an_end_that_is_down_is_not_reached() {
    lab(|lab| {
        let (a, b) = lab.two_hosts();
        b.run("ip link set dev eth0 down");
        a.assert_cannot_reach_at(&b, "10.99.0.2".parse().unwrap());
        a.assert_reaches_at(&b, "10.99.0.2".parse().unwrap());
    });
}

#[test]
#[should_panic(expected = "reaches b (fd99::2) by TCP, and should not")]
fn a_claim_that_nothing_gets_through_fails_when_it_does() {
    lab(|lab| {
        let (a, b) = lab.two_hosts();
        a.assert_cannot_reach_at(&b, "fd99::2".parse().unwrap());
    });
}

#[test]
#[should_panic(expected = "cannot reach b (10.99.0.2): UDP: no datagram there")]
fn tcp_alone_is_not_enough() {
    lab(|lab| {
        let (a, b) = lab.two_hosts();
        b.run("nft add table inet t");
        b.run("nft add chain inet t in { type filter hook input priority 0 ; }");
        b.run("nft add rule inet t in meta l4proto udp drop");
        a.assert_reaches(&b);
    });
}

#[test]
fn run_and_var_lib_are_empty_and_the_machine_keeps_its_own() {
    lab(|lab| {
        fs::write("/var/lib/mark-of-a-lab", "").unwrap();
        let in_run: Vec<_> =
            fs::read_dir("/run").unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(in_run.iter().all(|name| name == "netns" || name == "lab"), "{in_run:?}");
        assert_eq!(lab.host().link_names(), [""; 0]);
    });
    assert!(!Path::new("/var/lib/mark-of-a-lab").exists() || inside());
}

/// What follows a lab is run by the inner process as well.
fn inside() -> bool {
    std::env::var_os(crate::enter::MARK).is_some()
}

#[test]
fn a_container_is_found_by_the_path_that_runtimes_use() {
    lab(|lab| {
        let c = lab.container("c1");
        assert_eq!(c.path(), Path::new("/run/netns/c1"));
        let listed = lab.host().run("ip netns list");
        assert!(listed.contains("c1"), "{listed}");
        c.remove();
        assert!(!c.exists());
    });
}

#[test]
fn links_go_when_the_process_that_holds_the_namespace_ends() {
    lab(|lab| {
        let c = lab.held_container("c");
        lab.wire((lab.host(), "out"), (&c, "eth0"));
        assert_eq!(lab.host().link_names(), ["out"]);
        c.remove();
        lab.host().wait_until_gone("out");
    });
}

#[test]
#[should_panic(expected = "\n+ host link left dummy-or-bridge")]
fn a_snapshot_shows_what_was_left() {
    lab(|lab| {
        let before = lab.snapshot();
        lab.host().run("ip link add dev left type bridge");
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lab.assert_unchanged_but(&before, &["sysctl"]);
        }));
        let said = shown.unwrap_err().downcast::<String>().unwrap();
        panic!("{}", said.replace("left bridge", "left dummy-or-bridge"));
    });
}

#[test]
fn a_snapshot_sees_addresses_routes_rules_nft_sysctls_and_files() {
    lab(|lab| {
        let (a, _b) = lab.two_hosts();
        let change: &[(&str, &dyn Fn())] = &[
            ("- a addr eth0 fd99::1/64", &|| drop(a.run("ip addr del fd99::1/64 dev eth0"))),
            ("+ a route {\"dev\":\"eth0\",\"dst\":\"10.5.0.0/16\"", &|| {
                a.run("ip route add 10.5.0.0/16 dev eth0");
            }),
            ("+ a rule inet6 {", &|| drop(a.run("ip -6 rule add from fd00::1 lookup 5"))),
            ("+ a neigh eth0 10.99.0.9 02:00:00:00:00:09", &|| {
                a.run("ip neigh add 10.99.0.9 lladdr 02:00:00:00:00:09 dev eth0");
            }),
            ("+ a nft {\"table\":", &|| drop(a.run("nft add table inet t"))),
            ("+ a sysctl ipv4/ip_forward = 1", &|| a.set_sysctl("ipv4/ip_forward", "1")),
            ("+ file /var/lib/x 0644 \"y\"", &|| fs::write("/var/lib/x", "y").unwrap()),
        ];
        for (expected, act) in change {
            let before = lab.snapshot();
            lab.assert_unchanged(&before);
            act();
            let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                lab.assert_unchanged(&before);
            }));
            let said = shown.unwrap_err().downcast::<String>().unwrap();
            assert!(said.contains(expected), "{expected} is not in\n{said}");
        }
    });
}

#[test]
#[should_panic(expected = "again         cargo test -p netns-fixtures -- --exact tests::a_failure")]
fn a_failure_says_how_to_run_it_again() {
    lab(|_| panic!("on purpose"));
}

#[test]
fn a_case_that_cannot_run_names_what_is_missing() {
    lab(|_| crate::skip("there is nothing to try"));
    // Reached by the outer process alone if the skip was no failure.
}

#[test]
fn a_firewalld_governs_its_lab_and_ends_with_its_handle() {
    lab(|lab| {
        let tables = || lab.host().run("nft list tables");
        assert_eq!(tables(), "");
        let firewalld = crate::Firewalld::start(lab);
        assert!(tables().contains("table inet firewalld"), "{}", tables());
        assert_eq!(firewalld.cmd("--get-default-zone"), "public");
        firewalld.cmd("--zone=trusted --add-source=10.1.0.2/32");
        assert_eq!(firewalld.sources("trusted"), ["10.1.0.2/32"]);
        firewalld.reload();
        assert_eq!(firewalld.sources("trusted"), [""; 0]);
        let bus = firewalld.kill();
        assert!(!lab.host().try_run("firewall-cmd --state").status.success());
        drop(bus);
    });
}

/// A daemon would keep all namespaces of the lab.
#[test]
fn what_a_case_leaves_running_ends_with_it() {
    lab(|lab| {
        // Known to the outer process by its own number.
        let time = format!("100000.{}", parent_id());
        let started = lab
            .host()
            .within(|| Command::new("setsid").args(["--fork", "sleep", &time]).status())
            .unwrap();
        assert!(started.success());
    });
    // It had the case's output, whose end was waited for.
    let time = format!("100000.{}", std::process::id());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(!words.ends_with(&format!("{time}\0")), "{words} goes on");
    }
}
