//! Sysctls.

use std::fs;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{call, container, run};
use crate::under_test::{NETWORK, only_ours, result_before, unlike_reference};

/// Why Debian's 1.1.1 finds no such sysctl.
const OLD_CHECK: &str = "leaves IFNAME as it is in CHECK (1.1.1)";

const ARP_FILTER: &str = "ipv4/conf/eth0/arp_filter";

fn sysctl(name: &str, value: &str) -> Value {
    json!({ "sysctl": { name: value } })
}

/// A call for an interface whose name has dots.
fn dotted<'lab>(
    lab: &'lab Lab,
    verb: &str,
    c: &Container,
    members: &Value,
) -> netns_fixtures::Call<'lab> {
    call(lab, verb, c, members).ifname("eth0.100")
}

#[test]
fn a_sysctl_is_set_checked_and_put_back_however_it_is_separated() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        for name in [
            "net.ipv4.conf.eth0.arp_filter",
            "net/ipv4/conf/eth0/arp_filter",
            "net.ipv4.conf.IFNAME.arp_filter",
            "net/ipv4/conf/IFNAME/arp_filter",
            // The reference takes both separators for the same.
            "net.ipv4/conf.eth0/arp_filter",
        ] {
            let members = sysctl(name, "1");
            run(lab, "ADD", &c, &members).succeeded();
            assert_eq!(c.sysctl(ARP_FILTER).as_deref(), Some("1"), "{name}");
            let check = || run(lab, "CHECK", &c, &members).is_silent();
            match name.contains("IFNAME") {
                true => unlike_reference(lab, OLD_CHECK, check),
                false => check(),
            }
            run(lab, "DEL", &c, &members).succeeded();
            unlike_reference(lab, "leaves sysctls as they are", || {
                assert_eq!(c.sysctl(ARP_FILTER).as_deref(), Some("0"), "{name}");
            });
            c.set_sysctl(ARP_FILTER, "0");
        }
    });
}

#[test]
fn an_interface_may_have_dots_in_its_name() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0.100 type veth peer name peer0");
        let set = || c.sysctl("ipv4/conf/eth0.100/arp_filter");
        for name in [
            "net.ipv4.conf.IFNAME.arp_filter",
            "net.ipv4.conf.eth0/100.arp_filter",
            "net/ipv4/conf/eth0.100/arp_filter",
        ] {
            let members = sysctl(name, "1");
            unlike_reference(lab, "splits the name of the interface [E]", || {
                dotted(lab, "ADD", &c, &members).run().succeeded();
                assert_eq!(set().as_deref(), Some("1"), "{name}");
                dotted(lab, "CHECK", &c, &members).run().is_silent();
                dotted(lab, "DEL", &c, &members).run().is_silent();
                assert_eq!(set().as_deref(), Some("0"), "{name}");
            });
            c.set_sysctl("ipv4/conf/eth0.100/arp_filter", "0");
        }
    });
}

#[test]
fn sysctls_are_set_in_the_order_of_the_document() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has a random order [E]");
        let c = container(lab, "c1");
        // The first one resets the others: an order is seen by what is left.
        let names = ["net.ipv4.conf.all.forwarding", "net.ipv4.conf.eth0.forwarding"];
        for (first, second, left) in [(0, 1, "0"), (1, 0, "1")] {
            let value = |index: usize| if index == 0 { "1" } else { "0" };
            let text = format!(
                r#"{{"cniVersion":"1.0.0","name":"{NETWORK}","type":"tuning","prevResult":{},
                "sysctl":{{"{}":"{}","{}":"{}"}}}}"#,
                result_before("1.0.0", ""),
                names[first],
                value(first),
                names[second],
                value(second),
            );
            let call = lab.plugin("tuning").container(&c).stdin(text);
            call.clone().verb("ADD").run().succeeded();
            assert_eq!(c.sysctl("ipv4/conf/eth0/forwarding").as_deref(), Some(left));
            call.verb("DEL").run().is_silent();
            assert_eq!(c.sysctl("ipv4/conf/all/forwarding").as_deref(), Some("0"));
        }
    });
}

#[test]
fn args_alone_may_have_sysctls() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members =
            json!({ "args": { "cni": { "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1" } } } });
        unlike_reference(lab, "crashes [E]", || {
            run(lab, "ADD", &c, &members).succeeded();
            assert_eq!(c.sysctl(ARP_FILTER).as_deref(), Some("1"));
            run(lab, "CHECK", &c, &members).is_silent();
        });
    });
}

#[test]
fn a_sysctl_twice_is_refused() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes one of them (1.1.1)");
        let c = container(lab, "c1");
        let text = format!(
            r#"{{"cniVersion":"1.0.0","name":"{NETWORK}","type":"tuning","prevResult":{},"sysctl":
            {{"net.ipv4.conf.eth0.arp_filter":"1","net.ipv4.conf.eth0.arp_filter":"0"}}}}"#,
            result_before("1.0.0", "")
        );
        let refused = lab.plugin("tuning").container(&c).stdin(text).verb("ADD").run().refused(7);
        refused.says(&["duplicated sysctl key", "net.ipv4.conf.eth0.arp_filter"]);
    });
}

#[test]
fn what_is_no_network_sysctl_is_refused_by_name_and_changes_nothing() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        for name in [
            "kernel.pid_max",
            "net/../kernel/pid_max",
            "net/ipv4/../../kernel/pid_max",
            "net.ipv4.nosuch",
            "net.ipv4.conf",
            "net.ipv4.conf.eth1.arp_filter",
        ] {
            let members = json!({ "mtu": 1400, "sysctl": { name: "1" } });
            let error = run(lab, "ADD", &c, &members).error();
            unlike_reference(lab, "answers 999 and does not name each", || {
                assert_eq!(error.code, 7);
                error.says(&["sysctl", name]);
            });
            lab.assert_unchanged(&before);
        }
    });
}

#[test]
fn a_value_that_the_kernel_does_not_take_is_named() {
    lab_with_plugins(|lab| {
        only_ours(lab, "answers 999");
        let c = container(lab, "c1");
        let refused = run(lab, "ADD", &c, &sysctl("net.ipv4.conf.IFNAME.arp_filter", "two"));
        let says = ["net.ipv4.conf.IFNAME.arp_filter for eth0 in /run/netns/c1", "to two", "value"];
        refused.refused(7).says(&says);
    });
}

#[test]
fn blanks_between_values_do_not_count_to_check() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = sysctl("net.ipv4.ip_local_port_range", "20000 60000");
        run(lab, "ADD", &c, &members).succeeded();
        assert_eq!(c.sysctl("ipv4/ip_local_port_range").as_deref(), Some("20000\t60000"));
        unlike_reference(lab, "compares the text to the letter [E]", || {
            run(lab, "CHECK", &c, &members).is_silent();
        });
        c.set_sysctl("ipv4/ip_local_port_range", "20000 60001");
        run(lab, "CHECK", &c, &members).error().says(&["ip_local_port_range"]);
    });
}

#[test]
fn check_knows_what_the_kernel_made_of_a_value() {
    lab_with_plugins(|lab| {
        only_ours(lab, "compares the text to the letter [E]");
        let c = container(lab, "c1");
        // A list of ports is printed as ranges.
        let members = json!({ "sysctl": {
            "net.ipv4.ip_local_reserved_ports": "8081,8080,8082",
            "net.ipv4.conf.IFNAME.arp_filter": "0x1",
        } });
        let before = c.sysctl("ipv4/ip_local_reserved_ports");
        run(lab, "ADD", &c, &members).succeeded();
        assert_eq!(c.sysctl("ipv4/ip_local_reserved_ports").as_deref(), Some("8080-8082"));
        run(lab, "CHECK", &c, &members).is_silent();
        run(lab, "DEL", &c, &members).is_silent();
        assert_eq!(c.sysctl("ipv4/ip_local_reserved_ports"), before);
    });
}

#[test]
fn a_sysctl_that_can_only_be_written_is_written_and_not_compared() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = sysctl("net.ipv4.route.flush", "1");
        run(lab, "ADD", &c, &members).succeeded();
        unlike_reference(lab, "cannot read it", || {
            run(lab, "CHECK", &c, &members).is_silent();
        });
        run(lab, "DEL", &c, &members).is_silent();
    });
}

#[test]
fn what_somebody_changed_later_stays_as_it_is() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = sysctl("net.ipv4.conf.IFNAME.rp_filter", "1");
        run(lab, "ADD", &c, &members).succeeded();
        c.set_sysctl("ipv4/conf/eth0/rp_filter", "2");
        run(lab, "CHECK", &c, &members).error().says(&["rp_filter"]);
        run(lab, "DEL", &c, &members).is_silent();
        assert_eq!(c.sysctl("ipv4/conf/eth0/rp_filter").as_deref(), Some("2"));
    });
}

#[test]
fn what_another_attachment_of_the_container_asks_for_stays_until_that_goes() {
    lab_with_plugins(|lab| {
        only_ours(lab, "puts no sysctl back");
        let c = container(lab, "c1");
        let members = sysctl("net.ipv4.conf.all.accept_redirects", "0");
        let read = || c.sysctl("ipv4/conf/all/accept_redirects").unwrap();
        assert_eq!(read(), "1");
        let first = call(lab, "ADD", &c, &members);
        let mut other = super::config(&members);
        other["name"] = json!("other");
        let second = call(lab, "ADD", &c, &members).config(&other).ifname("peer0");
        first.run().succeeded();
        second.run().succeeded();
        second.clone().verb("DEL").run().is_silent();
        assert_eq!(read(), "0", "the first one asks for it");
        first.clone().verb("CHECK").run().is_silent();
        first.verb("DEL").run().is_silent();
        assert_eq!(read(), "1");
    });
}

#[test]
fn sysctls_of_a_namespace_that_took_the_place_of_ours_are_left_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let members = sysctl("net.ipv4.conf.all.accept_redirects", "0");
        run(lab, "ADD", &c, &members).succeeded();
        c.remove();
        let next = container(lab, "c1");
        next.set_sysctl("ipv4/conf/all/accept_redirects", "0");
        run(lab, "DEL", &next, &members).is_silent();
        assert_eq!(next.sysctl("ipv4/conf/all/accept_redirects").as_deref(), Some("0"));
        assert!(fs::read_dir("/run/cais/tuning/net").map_or(0, Iterator::count) == 0);
    });
}
