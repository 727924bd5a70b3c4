//! Beside the reference: its plugin with its daemon, then ours with ours, for the same container.

use std::path::Path;

use netns_fixtures::{Container, Feature, Lab, Process, lab_with_plugins};
use serde_json::{Value, json};

use super::lan::{is_listening, until};
use super::{Lan, config, plugged};
use crate::under_test::only_ours;

/// A daemon of the plugins in `directory`, and the result that they give.
fn result(lab: &Lab, container: &Container, directory: &Path, more: &Value) -> Value {
    let socket = format!("/run/{}.sock", directory.display().to_string().replace('/', "-"));
    let program = directory.join("dhcp");
    let _daemon: Process =
        lab.host().spawn(&format!("{} daemon -socketpath {socket}", program.display()));
    until("it listens", || is_listening(Path::new(&socket)));
    let mut config = config(more);
    config["ipam"]["daemonSocketPath"] = json!(socket);
    let call = lab.plugin_in(directory, "dhcp").container(container).config(&config);
    let call = call.args("NAME=web-1");
    let result = call.clone().verb("ADD").run().result();
    call.verb("DEL").run().succeeded();
    result
}

mod the_same_server_gives_both_the_same {
    use super::*;

    fn case(lab: &Lab, (options, more): (&[&str], Value)) {
        only_ours(lab, "is beside itself");
        lab.needs(Feature::ReferencePlugins);
        let lan = Lan::new(lab, options);
        let c1 = plugged(lab, &lan, "c1");
        let theirs = result(lab, &c1, Path::new("/usr/lib/cni"), &more);
        let mut ours = result(lab, &c1, &lab.plugins(), &more);
        // The server knows a container by the same id. That 1.1.1 prints an empty `dns` where later
        // releases leave it out is all that differs: here nothing is in it.
        let empty = ours.as_object_mut().unwrap().entry("dns").or_insert(json!({}));
        assert_eq!(*empty, json!({}));
        assert_eq!(ours, theirs);
    }

    const ROUTER: &str = "--dhcp-option=option:router,10.9.0.1";
    const NO_NAMES: &str = "--dhcp-option=option:dns-server";

    stamp!(lab_with_plugins, case,
        without_a_router: (&["--dhcp-option=3", NO_NAMES], json!({})),
        with_a_router: (&[ROUTER, NO_NAMES], json!({})),
        with_static_routes: (
            &[ROUTER, NO_NAMES, "--dhcp-option=33,10.0.0.0,10.9.0.3,192.168.7.0,10.9.0.4"],
            json!({ "request": [{ "option": "33" }] }),
        ),
        with_classless_routes: (
            &[ROUTER, NO_NAMES, "--dhcp-option=121,10.8.0.0/16,10.9.0.7,0.0.0.0/0,10.9.0.2"],
            json!({ "request": [{ "option": "121" }] }),
        ),
        with_options_provided: (
            &[ROUTER, NO_NAMES],
            json!({ "provide": [{ "option": "host-name", "value": "x", "fromArg": "NAME" }] }),
        ),
    );
}
