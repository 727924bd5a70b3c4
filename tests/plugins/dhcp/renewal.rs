//! T1, T2, and what changes meanwhile.

use netns_fixtures::lab_with_plugins;
use nix::sys::signal::Signal;
use serde_json::json;

use super::lan::until;
use super::{Daemon, Lan, address, config, configure, plugged};
use crate::under_test::{only_ours, unlike_reference};

/// As soon as dnsmasq lets clients come again; its leases are two minutes at least.
const SOON: &[&str] = &["--dhcp-option=option:T1,3", "--dhcp-option=option:T2,5"];

#[test]
fn a_lease_is_renewed_at_t1_by_a_daemon_that_was_killed_meanwhile() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, SOON);
        let daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        configure(&c1, &result);
        let ip = address(&result);
        lan.wait_for("DHCPACK");
        lan.count(&format!("ip saddr {ip} ip daddr 10.9.0.1"));
        daemon.signal(Signal::SIGKILL);
        drop(daemon);
        only_ours(lab, "has leases in memory alone, and its socket blocks its next start [E]");
        let _daemon = Daemon::start(lab);
        assert!(lan.wait_for("DHCPREQUEST").contains(&ip));
        assert!(lan.wait_for("DHCPACK").contains(&ip));
        assert_eq!(lan.counted(), [1], "it is sent to the server alone");
        assert!(c1.addresses("eth0")[0].starts_with(&ip));
    });
}

#[test]
fn a_lease_is_rebound_at_t2_by_broadcast_where_its_server_is_deaf() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, SOON);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        configure(&c1, &result);
        let ip = address(&result);
        lan.wait_for("DHCPACK");
        lan.ignore("ip daddr 10.9.0.1");
        lan.count(&format!("ip saddr {ip} ip daddr 255.255.255.255"));
        unlike_reference(lab, "renews by broadcast from 0.0.0.0", || {
            assert!(lan.wait_for("DHCPREQUEST").contains(&ip));
            lan.wait_for("DHCPACK");
            assert_eq!(lan.counted(), [1]);
        });
    });
}

#[test]
fn another_address_at_renewal_is_put_on_the_interface_with_its_routes() {
    lab_with_plugins(|lab| {
        let router = ["--dhcp-option=option:router,10.9.0.1"];
        let mut lan = Lan::new(lab, &[SOON, &router].concat());
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        configure(&c1, &lab.add("dhcp", &c1, &config(&json!({}))));
        only_ours(lab, "never touches the interface again [E]");
        let others = ["--dhcp-option=121,10.8.0.0/16,10.9.0.7", "--dhcp-option=option:mtu,1300"];
        lan.serve("10.9.0.60,10.9.0.70", &others);
        lan.wait_for("DHCPNAK");
        lan.wait_for("DHCPACK");
        until("the new route is there", || {
            c1.routes().iter().any(|r| r.starts_with("10.8.0.0/16"))
        });
        let addresses = c1.addresses("eth0");
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        let last: u8 = addresses[0]["10.9.0.".len()..].trim_end_matches("/24").parse().unwrap();
        assert!((60..=70).contains(&last), "{addresses:?}");
        let routes = c1.routes();
        assert!(!routes.iter().any(|route| route.starts_with("default")), "{routes:?}");
        assert_eq!(c1.link("eth0").unwrap()["mtu"], 1300);
    });
}

#[test]
fn other_routes_at_renewal_are_made_and_the_address_stays() {
    lab_with_plugins(|lab| {
        let router = ["--dhcp-option=option:router,10.9.0.1"];
        let mut lan = Lan::new(lab, &[SOON, &router].concat());
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        configure(&c1, &result);
        only_ours(lab, "never touches the interface again [E]");
        lan.serve("10.9.0.10,10.9.0.50", &["--dhcp-option=option:router,10.9.0.2"]);
        lan.wait_for("DHCPACK");
        until("the new default route is there", || {
            c1.routes()
                == [
                    "default via 10.9.0.2 dev eth0",
                    &format!(
                        "10.9.0.0/24 dev eth0 proto kernel scope link src {}",
                        address(&result)
                    ),
                ]
        });
    });
}
