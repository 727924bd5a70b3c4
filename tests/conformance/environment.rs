//! The `CNI_*` variables: which are needed, in which order they are checked, in which words refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use netns_fixtures::lab_with_plugins;

use crate::battery::USUAL;
use crate::under_test::{
    complete_call, least_config, needs_driver, of_a_gone_namespace, only_ours, unlike_reference,
};

/// Why Debian's 1.1.1 answers in another order than the reference of today.
const OLD_ORDER: &str = "looks at all variables before it checks the first (1.1.1)";

every_plugin! {
    fn all_missing_variables_are_named_at_once(lab, plugin) {
        let bare = lab.plugin(plugin).without("CNI_PATH").without("CNI_IFNAME");
        let refused = bare.clone().verb("ADD").run().refused(4);
        assert_eq!(
            refused.msg,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"
        );
        let refused = bare.clone().verb("CHECK").run().refused(4);
        assert_eq!(
            refused.msg,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"
        );
        let refused = bare.verb("DEL").env("CNI_PATH", "/").run().refused(4);
        assert_eq!(refused.msg, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing");
    }

    fn an_empty_variable_is_a_missing_one(lab, plugin) {
        let empty = complete_call(lab, plugin).env("CNI_CONTAINERID", "").env("CNI_IFNAME", "");
        let refused = empty.verb("ADD").run().refused(4);
        assert_eq!(refused.msg, "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing");
    }

    fn a_bad_container_id_wins_over_missing_variables(lab, plugin) {
        let call = complete_call(lab, plugin).env("CNI_CONTAINERID", "/c").without("CNI_IFNAME");
        unlike_reference(lab, OLD_ORDER, || {
            let refused = call.clone().verb("ADD").run().refused(4);
            assert_eq!(refused.msg, "invalid characters in containerID");
        });
    }

    fn container_ids_with_other_characters_are_refused(lab, plugin) {
        for id in ["-c", ".c", "c/d", "c d", "ç", "c:d", ".."] {
            for verb in ["ADD", "CHECK", "DEL"] {
                let call = complete_call(lab, plugin).env("CNI_CONTAINERID", id).verb(verb);
                let refused = call.run().refused(4);
                assert_eq!(refused.msg, "invalid characters in containerID");
                assert_eq!(refused.details, id);
            }
        }
    }

    fn interface_names_that_the_kernel_refuses_are_refused_first(lab, plugin) {
        for (name, why) in [
            ("abcdefghijklmnop", "interface name is too long"),
            (".", "interface name is . or .."),
            ("..", "interface name is . or .."),
            ("a/b", "interface name contains / or : or whitespace characters"),
            ("a:b", "interface name contains / or : or whitespace characters"),
            ("a b", "interface name contains / or : or whitespace characters"),
            ("a\u{a0}b", "interface name contains / or : or whitespace characters"),
        ] {
            for verb in ["ADD", "CHECK", "DEL"] {
                let refused = complete_call(lab, plugin).ifname(name).verb(verb).run().refused(4);
                assert_eq!(refused.msg, why, "{name:?}");
                if why.ends_with("long") {
                    let rule = "interface name should be less than 16 characters";
                    assert_eq!(refused.details, rule);
                }
            }
        }
    }

    fn an_interface_name_of_fifteen_bytes_is_accepted(lab, plugin) {
        // `host` and `none` judge the namespace first, which is not there.
        let call = complete_call(lab, plugin).ifname("abcdefghijklmno").verb("DEL");
        of_a_gone_namespace(lab, plugin, || {
            call.run().succeeded();
        });
    }

    fn an_unknown_verb_is_named(lab, plugin) {
        for verb in ["NOPE", "add", "Add", "ADD ", "VERSIONS"] {
            let refused = complete_call(lab, plugin).verb(verb).run().refused(4);
            assert_eq!(refused.msg, format!("unknown CNI_COMMAND: {verb}"));
        }
    }

    fn an_unknown_verb_needs_no_other_variable(lab, plugin) {
        let bare = lab.plugin(plugin).without("CNI_PATH").without("CNI_IFNAME").verb("NOPE");
        let call = bare.config(&least_config(plugin, USUAL));
        let why = "checks the container id for every verb (1.1.1)";
        unlike_reference(lab, why, || {
            assert_eq!(call.run().refused(4).msg, "unknown CNI_COMMAND: NOPE");
        });
    }

    fn the_config_is_read_before_an_unknown_verb_is_refused(lab, plugin) {
        let call = complete_call(lab, plugin).verb("NOPE");
        call.clone().stdin("no json").run().refused(6);
        call.stdin("{}").run().refused(7);
    }

    fn missing_variables_are_told_before_the_config_is_read(lab, plugin) {
        complete_call(lab, plugin).stdin("no json").without("CNI_NETNS").verb("ADD").run()
            .refused(4);
    }

    fn bad_variables_are_told_before_the_config_is_read(lab, plugin) {
        unlike_reference(lab, "reads the config first (1.1.1)", || {
            complete_call(lab, plugin).stdin("no json").ifname("a/b").verb("ADD").run()
                .refused(4);
        });
    }

    fn gc_and_status_do_not_look_at_container_and_interface(lab, plugin) {
        needs_driver(lab, plugin);
        let mut config = least_config(plugin, "1.1.0");
        config["cni.dev/valid-attachments"] = serde_json::json!([]);
        for verb in ["GC", "STATUS"] {
            let call = complete_call(lab, plugin).env("CNI_CONTAINERID", "/").ifname("a/b");
            let call = call.config(&config).verb(verb);
            unlike_reference(lab, "does not know GC and STATUS (1.1.1)", || {
                call.run().is_silent();
            });
        }
    }

    fn only_cni_path_is_missed_by_gc_and_status(lab, plugin) {
        let bare = lab.plugin(plugin).without("CNI_PATH").without("CNI_IFNAME");
        for verb in ["GC", "STATUS"] {
            let call = bare.clone().config(&least_config(plugin, "1.1.0")).verb(verb);
            unlike_reference(lab, "does not know GC and STATUS (1.1.1)", || {
                let refused = call.run().refused(4);
                assert_eq!(refused.msg, "required env variables [CNI_PATH] missing");
            });
        }
    }

    fn bytes_that_are_no_text_are_refused(lab, plugin) {
        let bytes = OsStr::from_bytes(b"c\xff");
        for variable in ["CNI_CONTAINERID", "CNI_COMMAND"] {
            let call = complete_call(lab, plugin).verb("ADD").env(variable, bytes);
            call.run().refused(4);
        }
        unlike_reference(lab, "takes any bytes as the name of an interface", || {
            complete_call(lab, plugin).verb("ADD").env("CNI_IFNAME", bytes).run().refused(4);
        });
    }
}

#[test]
fn names_that_the_kernel_would_expand_or_mangle_are_refused() {
    lab_with_plugins(|lab| {
        only_ours(lab, "lets the kernel expand a % [E]");
        for name in ["eth%d", "a\u{7}b"] {
            complete_call(lab, "bridge").ifname(name).verb("ADD").run().refused(4);
        }
    });
}

#[test]
fn del_needs_no_cni_path_where_nothing_has_to_be_found() {
    lab_with_plugins(|lab| {
        unlike_reference(lab, "demands CNI_PATH for every verb but VERSION", || {
            complete_call(lab, "bridge").without("CNI_PATH").verb("DEL").run().is_silent();
        });
    });
}
