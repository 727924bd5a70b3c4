//! A node that cannot give names: ADD says so, or the container starts without.

use std::fs;
use std::path::Path;

use netns_fixtures::{Call, Lab, lab_with_plugins};
use serde_json::json;

use super::{eth0, named, named_with};
use crate::battery::Family;
use crate::under_test::least_config;

/// A directory of plugins without the daemon's program.
const WITHOUT_DAEMON: &str = "/run/lab/without-daemon";

/// `dnsname` where the daemon is not installed.
fn alone(lab: &Lab) -> Call<'_> {
    fs::create_dir_all(WITHOUT_DAEMON).unwrap();
    let copy = Path::new(WITHOUT_DAEMON).join("dnsname");
    fs::copy(lab.plugins().join("dnsname"), copy).unwrap();
    lab.plugin_in(Path::new(WITHOUT_DAEMON), "dnsname")
}

#[test]
fn a_daemon_that_is_not_installed_fails_add_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::Dual);
        let c = lab.container("c1");
        let result = chain.call(0, "ADD", eth0(&c), None).run().result();
        let before = lab.snapshot();
        let config = chain.config(1, eth0(&c), Some(&result));
        let call = |verb| alone(lab).verb(verb).container(&c).config(&config);
        let error = call("ADD").run().refused(50);
        error.says(&["make names of net/c1/eth0 known", "cais-dnsd"]);
        lab.assert_unchanged_but(&before, &["/run/cais/dns "]);
        call("DEL").run().is_silent();
        chain.call(0, "DEL", eth0(&c), None).run().succeeded();
    });
}

#[test]
fn where_names_are_not_required_the_container_starts_without() {
    lab_with_plugins(|lab| {
        let chain = named_with(lab, Family::Dual, &json!({ "dnsRequired": false }));
        let c = lab.container("c1");
        let result = chain.call(0, "ADD", eth0(&c), None).run().result();
        let before = lab.snapshot();
        let config = chain.config(1, eth0(&c), Some(&result));
        let call = |verb| alone(lab).verb(verb).container(&c).config(&config);
        let outcome = call("ADD").run();
        assert!(outcome.stderr.contains("warning: net/c1/eth0 has no names"), "{outcome}");
        assert_eq!(outcome.result(), result);
        lab.assert_unchanged_but(&before, &["/run/cais/dns "]);
        call("CHECK").run().is_silent();
        call("DEL").run().is_silent();
        chain.call(0, "DEL", eth0(&c), None).run().succeeded();
    });
}

#[test]
fn status_tells_of_a_daemon_that_could_not_be_started() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let config = least_config("dnsname", "1.1.0");
        let before = lab.snapshot();
        lab.plugin("dnsname").verb("STATUS").config(&config).run().is_silent();
        let status = || alone(lab).verb("STATUS").config(&config).run();
        status().refused(50).says(&["cais-dnsd", "beside the plugins"]);
        let mut optional = config.clone();
        optional["dnsRequired"] = json!(false);
        alone(lab).verb("STATUS").config(&optional).run().is_silent();
        lab.assert_unchanged(&before);
        // One that runs is asked, wherever its program is.
        let c = lab.container("c1");
        chain.add(eth0(&c));
        status().is_silent();
        chain.del(eth0(&c));
    });
}
