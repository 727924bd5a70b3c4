//! CHECK and STATUS: answers at once, whatever the server does.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{Daemon, Lan, config, configure, plugged};
use crate::under_test::only_ours;

fn check<'lab>(
    lab: &'lab Lab,
    container: &Container,
    result: &Value,
) -> netns_fixtures::Call<'lab> {
    let mut config = config(&json!({}));
    config["prevResult"] = result.clone();
    lab.plugin("dhcp").container(container).config(&config).verb("CHECK")
}

#[test]
fn check_holds_while_the_lease_does() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let mut result = lab.add("dhcp", &c1, &config(&json!({})));
        configure(&c1, &result);
        check(lab, &c1, &result).run().is_silent();
        only_ours(lab, "does not look at prevResult");
        result["ips"][0]["address"] = json!("10.9.0.99/24");
        check(lab, &c1, &result).run().refused(101).says(&["was given 10.9.0.99", "hint"]);
    });
}

#[test]
fn check_takes_over_a_lease_that_another_daemon_got() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        configure(&c1, &result);
        only_ours(lab, "cannot start again after it was killed");
        drop(daemon);
        std::fs::remove_dir_all("/var/lib/cni/cais/dhcp").unwrap();
        let _daemon = Daemon::start(lab);
        check(lab, &c1, &result).run().is_silent();
        assert!(std::path::Path::new("/var/lib/cni/cais/dhcp/net/c1@eth0").exists());
    });
}

#[test]
fn check_without_a_daemon_says_how_to_start_it() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        drop(daemon);
        only_ours(lab, "gives the system's words");
        check(lab, &c1, &result)
            .run()
            .refused(5)
            .says(&["no dhcp daemon listens", "cais-dhcp.socket"]);
    });
}

#[test]
fn check_of_a_link_that_went_away_does_not_block() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        c1.run("ip link del dev eth0");
        only_ours(lab, "fails, or blocks for ever [E]");
        // The lease holds; that its link is gone is for the plugin to say that made it.
        check(lab, &c1, &result).run().is_silent();
    });
}

#[test]
fn status_tells_whether_there_is_a_daemon() {
    lab_with_plugins(|lab| {
        only_ours(lab, "never looks [E]");
        let mut config = config(&json!({}));
        config["cniVersion"] = json!("1.1.0");
        let status = lab.plugin("dhcp").config(&config).verb("STATUS");
        status.run().refused(50).says(&["/run/cni/dhcp.sock", "start `dhcp daemon`"]);
        let _daemon = Daemon::start(lab);
        status.run().is_silent();
    });
}

#[test]
fn an_add_that_nobody_answers_ends_in_time_and_leaves_nothing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "of 1.1.1 has no such flag");
        let lan = Lan::silent(lab);
        let _daemon = Daemon::with(lab, "-resendtimeout 1s -timeout 1s -resendmax 1s");
        let c1 = plugged(lab, &lan, "c1");
        let call = lab.plugin("dhcp").container(&c1).config(&config(&json!({}))).verb("ADD");
        call.run().refused(11).says(&["eth0 in /run/netns/c1", "no server gave one within 1 s"]);
        assert!(!std::path::Path::new("/var/lib/cni/cais/dhcp/net/c1@eth0").exists());
    });
}
