//! The error object.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use crate::battery::USUAL;
use crate::under_test::{complete_call, least_config, unlike_reference};

every_plugin! {
    fn a_failure_is_one_object_on_stdout_and_a_code_on_exit(lab, plugin) {
        let outcome = complete_call(lab, plugin).verb("ADD").stdin("{}").run();
        assert_eq!(outcome.status.code(), Some(1));
        let error = outcome.refused(7);
        assert!(error.object.is_object());
        assert!(!outcome.stdout.ends_with('\n'), "as the reference prints it: {outcome}");
        assert!(outcome.stdout.starts_with("{\n    \""), "indented by four blanks: {outcome}");
    }

    fn the_message_is_one_line(lab, plugin) {
        let error = complete_call(lab, plugin).verb("ADD").stdin("{").run().error();
        assert!(!error.msg.contains('\n'), "{}", error.msg);
    }
}

every_version! {
    fn an_error_carries_the_version_of_the_config(lab, version) {
        let config = json!({ "cniVersion": version, "name": "/" });
        let error = complete_call(lab, "bridge").config(&config).verb("ADD").run().refused(7);
        unlike_reference(lab, "leaves cniVersion out of errors, which the spec wants there", || {
            assert_eq!(error.object["cniVersion"], version);
        });
    }
}

#[test]
fn an_error_before_the_config_was_read_carries_the_latest_version() {
    lab_with_plugins(|lab| {
        let error = complete_call(lab, "bridge").ifname("a/b").verb("ADD").run().refused(4);
        unlike_reference(
            lab,
            "leaves cniVersion out of errors, which the spec wants there",
            || {
                assert_eq!(error.object["cniVersion"], "1.1.0");
            },
        );
    });
}

#[test]
fn details_are_left_out_when_there_are_none() {
    lab_with_plugins(|lab| {
        for call in [
            complete_call(lab, "bridge").verb("ADD").stdin("{}"),
            complete_call(lab, "bridge").verb("ADD").stdin("{"),
            complete_call(lab, "bridge").verb("NOPE"),
            lab.plugin("bridge").verb("ADD"),
        ] {
            let object = call.run().error().object;
            assert_ne!(object.get("details"), Some(&json!("")), "{object}");
        }
    });
}

#[test]
fn a_failing_add_prints_no_result_before_its_error() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).config(&least_config("bridge", USUAL));
        call.clone().verb("ADD").run().succeeded();
        // `error` parses all of stdout as one document.
        let again = call.verb("ADD").run().error();
        again.says(&["eth0", "exist"]);
    });
}
