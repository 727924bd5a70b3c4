//! `CNI_ARGS`, as the reference's plugins take it on ADD.

use netns_fixtures::{Outcome, lab_with_plugins};

use crate::battery::USUAL;
use crate::under_test::least_config;

/// The plugins that read it.
const READERS: [&str; 3] = ["bridge", "host-local", "static"];

fn add(lab: &netns_fixtures::Lab, plugin: &str, args: &str) -> Outcome {
    let name = format!("c{}", lab.namespaces().len());
    let c = lab.container(&name);
    lab.plugin(plugin)
        .container(&c)
        .config(&least_config(plugin, USUAL))
        .args(args)
        .verb("ADD")
        .run()
}

#[test]
fn a_pair_that_is_none_is_refused_even_when_unknown_ones_are_not() {
    lab_with_plugins(|lab| {
        for plugin in READERS {
            for args in ["nonsense", "A=B=C", "A=B;", "A=B;;C=D", "IgnoreUnknown=1;nonsense"] {
                let error = add(lab, plugin, args).error();
                error.says(&["ARGS: invalid pair \""]);
            }
        }
    });
}

#[test]
fn an_unknown_key_is_refused() {
    lab_with_plugins(|lab| {
        for plugin in READERS {
            add(lab, plugin, "A=B").error().says(&["ARGS: unknown args [\"A=B\"]"]);
            add(lab, plugin, "IgnoreUnknown=0;A=B").error().says(&["unknown args"]);
            add(lab, plugin, "IgnoreUnknown=FALSE;A=B").error().says(&["unknown args"]);
        }
    });
}

#[test]
fn unknown_keys_are_let_through_on_request() {
    lab_with_plugins(|lab| {
        for plugin in READERS {
            for args in [
                "IgnoreUnknown=1;A=B",
                "A=B;IgnoreUnknown=true",
                "A=B;IgnoreUnknown=TRUE",
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p;K8S_POD_UID=",
            ] {
                add(lab, plugin, args).succeeded();
            }
        }
    });
}

#[test]
fn the_request_itself_is_a_truth_value() {
    lab_with_plugins(|lab| {
        for plugin in READERS {
            add(lab, plugin, "IgnoreUnknown=maybe").error().says(&["IgnoreUnknown"]);
        }
    });
}

#[test]
fn keys_are_spelled_to_the_letter() {
    lab_with_plugins(|lab| {
        add(lab, "bridge", "mac=02:00:00:00:00:01").error().says(&["unknown args"]);
        add(lab, "host-local", "ip=10.1.0.7").error().says(&["unknown args"]);
        add(lab, "bridge", "ignoreunknown=1").error().says(&["unknown args"]);
    });
}

#[test]
fn loopback_does_not_look_at_it() {
    lab_with_plugins(|lab| {
        add(lab, "loopback", "nonsense").succeeded();
    });
}
