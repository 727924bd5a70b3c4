use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Stage, container, list};
use crate::config::GcAttachment;
use crate::runtime::{Capabilities, Checked, NetworkList, Readiness, Valid};

const OK: &str = r#"[ "$CNI_COMMAND" != ADD ] || printf '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}],"big":12345678901234567890}'"#;

fn two() -> Stage {
    Stage::new().plugin("one", OK).plugin("two", OK)
}

#[test]
fn add_hands_each_result_on_and_del_and_check_get_the_last() {
    let stage = two();
    let list = list("1.1.0", &["one", "two"]);
    let runtime = stage.runtime();
    let result = String::from_utf8(runtime.add(&list, &container()).unwrap()).unwrap();
    assert!(result.contains("\"big\":12345678901234567890"), "{result}");
    assert_eq!(runtime.check(&list, &container()).unwrap(), Checked::Intact);
    runtime.del(&list, &container()).unwrap();
    let expected = ["one ADD", "two ADD", "one CHECK", "two CHECK", "two DEL", "one DEL"];
    assert_eq!(stage.verbs(), expected);
    let prev = format!("\"prevResult\":{result}");
    let has_prev: Vec<bool> = stage.calls().iter().map(|(_, c)| c.contains(&prev)).collect();
    assert_eq!(has_prev, [false, true, true, true, true, true]);
    assert!(stage.cached().is_empty());
}

#[test]
fn a_failed_add_is_undone_from_the_failed_plugin_backwards() {
    let stage = Stage::new()
        .plugin("one", OK)
        .plugin("bad", r#"[ "$CNI_COMMAND" = DEL ] || { echo '{"code":42,"msg":"no","details":"why"}'; exit 1; }"#)
        .plugin("never", OK);
    let list = list("1.0.0", &["one", "bad", "never"]);
    let error = stage.runtime().add(&list, &container()).unwrap_err();
    assert_eq!(error.code, 42);
    assert_eq!(error.msg, "plugin type=\"bad\" name=\"n\" failed (add): no");
    assert_eq!(error.details, "why");
    assert_eq!(stage.verbs(), ["one ADD", "bad ADD", "bad DEL", "one DEL"]);
    assert!(stage.calls()[3].1.contains("\"prevResult\":{"), "what was known is passed");
    assert!(stage.cached().is_empty());
}

#[test]
fn what_cannot_be_undone_is_said_and_stays_listed() {
    let stage = Stage::new().plugin("one", OK).plugin("bad", "echo >&2 broken; exit 3");
    let list = list("1.0.0", &["one", "bad"]);
    let error = stage.runtime().add(&list, &container()).unwrap_err();
    assert!(error.msg.ends_with("netplugin failed: \"broken\" (exit status: 3)"), "{error}");
    let undo = "undoing it failed too: plugin type=\"bad\" name=\"n\" failed (delete): netplugin";
    assert!(error.details.contains(undo), "{error}");
    assert!(error.details.ends_with("n/c/eth0 stays listed until DEL succeeds"), "{error}");
    let listed = stage.runtime().cache().attachments().unwrap();
    assert!(listed.len() == 1 && listed[0].result.is_none());
}

#[test]
fn a_missing_plugin_is_found_out_before_any_is_called() {
    let stage = Stage::new().plugin("one", OK);
    let error = stage.runtime().add(&list("1.0.0", &["one", "gone"]), &container()).unwrap_err();
    assert!(error.msg.starts_with("failed to find plugin \"gone\" in path ["), "{error}");
    assert!(stage.calls().is_empty() && stage.cached().is_empty());
}

#[test]
fn a_second_add_is_refused_and_the_first_lives_on() {
    let stage = two();
    let list = list("1.0.0", &["one"]);
    stage.runtime().add(&list, &container()).unwrap();
    let error = stage.runtime().add(&list, &container()).unwrap_err();
    assert!(error.msg.contains("attach n/c/eth0: it is attached already, in namespace"), "{error}");
    assert_eq!(stage.verbs(), ["one ADD"]);
}

#[test]
fn what_a_gone_namespace_left_is_removed_before_a_new_add() {
    let stage = two();
    let list = list("1.0.0", &["one"]);
    stage.runtime().add(&list, &container().in_netns("/gone")).unwrap();
    stage.runtime().add(&list, &container()).unwrap();
    assert_eq!(stage.verbs(), ["one ADD", "one DEL", "one ADD"]);
}

#[test]
fn del_goes_on_past_failing_and_missing_plugins() {
    let stage = two();
    let list = list("1.0.0", &["one", "gone", "two"]);
    fs::copy(stage.scratch.path().join("bin/one"), stage.scratch.path().join("bin/gone")).unwrap();
    stage.runtime().add(&list, &container()).unwrap();
    fs::remove_file(stage.scratch.path().join("bin/gone")).unwrap();
    let stage = stage.plugin("two", "exit 7");
    let error = stage.runtime().del(&list, &container()).unwrap_err();
    assert!(error.msg.contains("plugin type=\"two\" name=\"n\" failed (delete): netplugin"));
    assert!(error.msg.contains("plugin type=\"gone\" name=\"n\" failed (delete): failed to find"));
    assert!(error.details.contains("what these plugins made for n/c/eth0 may still be there"));
    assert_eq!(stage.verbs().last().unwrap(), "one DEL");
    assert_eq!(stage.cached().len(), 1, "the attachment stays known");
}

#[test]
fn del_of_what_was_never_added_reaches_every_plugin_without_a_result() {
    let stage = two();
    stage.runtime().del(&list("1.0.0", &["one", "two"]), &container()).unwrap();
    assert_eq!(stage.verbs(), ["two DEL", "one DEL"]);
    assert!(stage.calls().iter().all(|(_, config)| !config.contains("prevResult")));
}

#[test]
fn torn_and_empty_records_do_not_stop_del() {
    for text in ["", "{", "{\"kind\":\"cniCacheV1\"", "\u{0}\u{0}", "[]", "{\"kind\":\"other\"}"] {
        let stage = two();
        let list = list("1.0.0", &["one"]);
        stage.runtime().add(&list, &container()).unwrap();
        fs::write(&stage.cached()[0], text).unwrap();
        assert!(stage.runtime().check(&list, &container()).is_err(), "{text:?}");
        assert!(stage.runtime().cache().attachments().unwrap().is_empty(), "{text:?}");
        stage.runtime().del(&list, &container()).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert!(stage.cached().is_empty(), "{text:?}");
    }
}

#[test]
fn a_bare_result_of_old_libraries_is_used() {
    let stage = two();
    let list = list("0.4.0", &["one"]);
    let bare = r#"{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.9/24"}]}"#;
    stage.scratch.write("cni/results/n-c-eth0", bare);
    stage.runtime().check(&list, &container()).unwrap();
    assert!(stage.calls()[0].1.contains("10.0.0.9/24"));
}

#[test]
fn the_record_is_libcnis_to_the_byte() {
    let stage = two();
    let text = br#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"one","capabilities":{"ips":true}}]}"#;
    let list = NetworkList::parse(text).unwrap();
    let mut container = container();
    container.args = vec![("K".to_owned(), "V".to_owned())];
    container.capabilities = Capabilities::parse(r#"{"ips": [ "10.0.0.2/24" ]}"#).unwrap();
    stage.runtime().add(&list, &container).unwrap();
    let file = stage.scratch.path().join("cni/results/n-c-eth0");
    let config = "eyJjbmlWZXJzaW9uIjoiMS4xLjAiLCJuYW1lIjoibiIsInBsdWdpbnMiOlt7InR5cGUiOiJvbmUiLCJjYXBhYmlsaXRpZXMiOnsiaXBzIjp0cnVlfX1dfQ==";
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!(
            r#"{{"kind":"cniCacheV1","containerId":"c","config":"{config}","ifName":"eth0","networkName":"n","netns":"/proc/self/ns/net","cniArgs":[["K","V"]],"capabilityArgs":{{"ips":["10.0.0.2/24"]}},"result":{{"cniVersion":"1.1.0","ips":[{{"address":"10.0.0.2/24"}}],"big":12345678901234567890}}}}"#
        )
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let cached = stage.runtime().cache().attachments().unwrap().remove(0);
    assert_eq!(cached.config, text);
    assert_eq!(cached.args, container.args);
}

#[test]
fn every_variable_is_set_and_capabilities_reach_who_wants_them() {
    let note = r#"[ "$CNI_COMMAND" = DEL ] || printf '{"v":"%s|%s|%s|%s|%s"}' "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH""#;
    let stage = Stage::new().plugin("one", note);
    let text = br#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"one","capabilities":{"mac":true}}]}"#;
    let list = NetworkList::parse(text).unwrap();
    let mut container = container();
    container.args = vec![("A".into(), "1".into()), ("B".into(), "2".into())];
    container.capabilities = Capabilities::parse(r#"{"mac":"aa","ips":[]}"#).unwrap();
    let result = stage.runtime().add(&list, &container).unwrap();
    let result = String::from_utf8(result).unwrap();
    let bin = stage.scratch.path().join("bin");
    let vars = format!("c|/proc/self/ns/net|eth0|A=1;B=2|{}", bin.display());
    assert!(result.contains(&vars), "{result}");
    assert!(stage.calls()[0].1.ends_with(r#""runtimeConfig":{"mac":"aa"}}"#));
}

#[test]
fn lists_before_0_4_0_get_no_result_on_del_and_no_check() {
    let stage =
        Stage::new().plugin("one", r#"[ "$CNI_COMMAND" = DEL ] || echo '{"cniVersion":"0.3.1"}'"#);
    let list = list("0.3.1", &["one"]);
    stage.runtime().add(&list, &container()).unwrap();
    let error = stage.runtime().check(&list, &container()).unwrap_err();
    assert_eq!(error.msg, "configuration version \"0.3.1\" does not support the CHECK command");
    stage.runtime().del(&list, &container()).unwrap();
    assert!(!stage.calls()[1].1.contains("prevResult"));
}

#[test]
fn names_too_long_for_a_file_are_refused_before_add() {
    let stage = two();
    let mut container = container();
    container.id = "x".repeat(250).parse().unwrap();
    let error = stage.runtime().add(&list("1.0.0", &["one"]), &container).unwrap_err();
    assert!(error.msg.ends_with("its file name would have 257 bytes, more than 255"), "{error}");
    container.id = "x".repeat(248).parse().unwrap();
    stage.runtime().add(&list("1.0.0", &["one"]), &container).unwrap();
    assert_eq!(stage.verbs(), ["one ADD"]);
}

#[test]
fn a_plugin_that_hangs_is_stopped_and_the_chain_undone() {
    let stage = Stage::new()
        .plugin("one", OK)
        .plugin("slow", r#"[ "$CNI_COMMAND" = DEL ] || exec sleep 1000"#);
    let runtime = stage.runtime().with_timeout(Duration::from_secs(1));
    let error = runtime.add(&list("1.0.0", &["one", "slow"]), &container()).unwrap_err();
    assert!(error.msg.ends_with("did not answer within 1 s and was killed"), "{error}");
    assert_eq!(stage.verbs(), ["one ADD", "slow ADD", "slow DEL", "one DEL"]);
}

#[test]
fn status_asks_all_and_lists_before_1_1_0_are_not_asked() {
    let not = |text| format!(r#"echo '{{"code":50,"msg":"{text}"}}'; exit 1"#);
    let stage = Stage::new().plugin("one", &not("first")).plugin("two", &not("second"));
    assert_eq!(stage.runtime().status(&list("1.0.0", &["one"])).unwrap(), Readiness::Unasked);
    let error = stage.runtime().status(&list("1.1.0", &["one", "two"])).unwrap_err();
    assert_eq!(error.code, 50);
    assert!(error.msg.contains("(status): first; plugin type=\"two\""), "{error}");
}

/// A plugin that describes its keys, as those of this suite do.
const DESCRIBED: &str = r#"[ "$1" != --print-schema ] || echo '{"plugin":"own","keys":[{"path":"type","doc":""}]}'
[ "$CNI_COMMAND" != ADD ] || echo {}"#;

#[test]
fn gc_without_a_list_removes_the_dead_only_and_asks_no_stranger() {
    let stage = Stage::new().plugin("own", DESCRIBED).plugin("foreign", OK);
    let list = list("1.1.0", &["own", "foreign"]);
    let runtime = stage.runtime();
    let mut dead = container().in_netns("/gone");
    dead.id = "dead".parse().unwrap();
    runtime.add(&list, &container()).unwrap();
    runtime.add(&list, &dead).unwrap();
    let done = runtime.gc(&list, &Valid::Living).unwrap();
    assert_eq!(done.removed, [dead.attachment(&list)]);
    assert_eq!(done.kept, [container().attachment(&list)]);
    assert_eq!((done.asked, done.unasked), (vec!["own".to_owned()], vec!["foreign".to_owned()]));
    let verbs = stage.verbs();
    assert_eq!(verbs.iter().filter(|v| v.ends_with("DEL")).count(), 2);
    assert_eq!(verbs.iter().filter(|v| v.ends_with("GC")).count(), 1);
    let gc = stage.calls().into_iter().find(|(v, _)| v == "own GC").unwrap();
    assert!(!gc.1.contains("attachments"), "without a list no key is sent: {}", gc.1);
}

/// Runtimes on libcni write no `netns` into their records.
#[test]
fn gc_without_a_list_knows_other_runtimes_containers_by_their_results() {
    let stage = two();
    let list = list("1.0.0", &["one"]);
    let record = |id: &str, result: &str| {
        let text = format!(
            r#"{{"kind":"cniCacheV1","containerId":"{id}","config":"","ifName":"eth0","networkName":"n","result":{result}}}"#
        );
        stage.scratch.write(&format!("cni/results/n-{id}-eth0"), &text);
    };
    let result = |sandbox: &str| {
        format!(r#"{{"interfaces":[{{"name":"veth1"}},{{"name":"eth0","sandbox":"{sandbox}"}}]}}"#)
    };
    record("living", &result("/proc/self/ns/net"));
    record("dead", &result("/gone"));
    record("unknown", r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.9/24"}}"#);
    let done = stage.runtime().gc(&list, &Valid::Living).unwrap();
    let ids = |list: &[types::Attachment]| -> Vec<String> {
        list.iter().map(|attachment| attachment.container.to_string()).collect()
    };
    assert_eq!(
        (ids(&done.removed), ids(&done.kept)),
        (vec!["dead".to_owned()], vec!["living".to_owned(), "unknown".to_owned()])
    );
    assert_eq!(stage.verbs(), ["one DEL"]);
}

#[test]
fn gc_with_a_list_keeps_exactly_that() {
    let stage = two();
    let list = list("1.1.0", &["one"]);
    let runtime = stage.runtime();
    let mut other = container();
    other.id = "other".parse().unwrap();
    runtime.add(&list, &container()).unwrap();
    runtime.add(&list, &other).unwrap();
    let keep = GcAttachment { container: other.id.clone(), ifname: Some(other.ifname.clone()) };
    let valid = Valid::Only(vec![keep]);
    assert_eq!(runtime.plan_gc(&list, &valid).unwrap().removed.len(), 1);
    assert_eq!(stage.cached().len(), 2, "a plan changes nothing");
    runtime.gc(&list, &valid).unwrap();
    assert_eq!(stage.cached().len(), 1);
    let gc = stage.calls().pop().unwrap();
    assert_eq!(gc.0, "one GC");
    let keys = r#""cni.dev/valid-attachments":[{"containerID":"other","ifname":"eth0"}]"#;
    assert!(gc.1.contains(keys), "{}", gc.1);
}

#[test]
fn disable_gc_and_disable_check_keep_plugins_alone() {
    let stage = two();
    let text = br#"{"cniVersion":"1.1.0","name":"n","disableGC":true,"disableCheck":true,"plugins":[{"type":"one"}]}"#;
    let list = NetworkList::parse(text).unwrap();
    stage.runtime().add(&list, &container().in_netns("/gone")).unwrap();
    assert!(stage.runtime().gc(&list, &Valid::Only(vec![])).unwrap().removed.is_empty());
    assert_eq!(stage.runtime().check(&list, &container()).unwrap(), Checked::Disabled);
    assert_eq!(stage.verbs(), ["one ADD"]);
}

#[test]
fn an_observer_sees_every_step_with_all_that_went_in_and_out() {
    let stage = Stage::new().plugin("one", "echo to stderr >&2; echo '{}'");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let runtime = stage.runtime().with_observer(move |step| {
        let var = |name| step.vars.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        notes.lock().unwrap().push((
            step.command.to_owned(),
            var("CNI_IFNAME"),
            String::from_utf8_lossy(step.stdin).into_owned(),
            String::from_utf8_lossy(&step.output.stdout).into_owned(),
            String::from_utf8_lossy(&step.output.stderr).into_owned(),
        ));
    });
    runtime.add(&list("1.0.0", &["one"]), &container()).unwrap();
    let seen = seen.lock().unwrap();
    let stdin = r#"{"cniVersion":"1.0.0","name":"n","type":"one"}"#;
    let step = ("ADD".into(), "eth0".into(), stdin.into(), "{}\n".into(), "to stderr\n".into());
    assert_eq!(*seen, [step]);
}

#[test]
fn the_reference_plugins_answer_where_they_are_installed() {
    let Some(file) = Some(Path::new("/usr/lib/cni/loopback")).filter(|f| f.exists()) else {
        eprintln!("skipped: /usr/lib/cni/loopback is not installed");
        return;
    };
    let probe = crate::runtime::probe(file).unwrap();
    assert!(probe.versions.iter().any(|v| v == "1.0.0"), "{probe:?}");
    assert!(probe.banner.as_ref().is_some_and(|b| b.starts_with("CNI loopback plugin")));
    assert!(crate::runtime::known_keys(file).is_none(), "it describes no keys");
}

#[test]
fn plugins_from_before_version_are_taken_for_0_1_0() {
    let stage = Stage::new()
        .plugin("old", r#"echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1"#)
        .plugin("bad", "exit 1");
    let bin = stage.scratch.path().join("bin");
    assert_eq!(crate::runtime::probe(&bin.join("old")).unwrap().versions, ["0.1.0"]);
    let error = crate::runtime::probe(&bin.join("bad")).unwrap_err();
    assert!(error.msg.starts_with("ask ") && error.msg.contains("for its versions: netplugin"));
}

#[test]
fn gc_goes_on_past_a_missing_plugin_and_says_so() {
    let stage = two();
    let list = list("1.1.0", &["one", "two"]);
    stage.runtime().add(&list, &container().in_netns("/gone")).unwrap();
    fs::remove_file(stage.scratch.path().join("bin/one")).unwrap();
    let error = stage.runtime().gc(&list, &Valid::Only(vec![])).unwrap_err();
    assert!(error.msg.contains("(gc): failed to find plugin \"one\""), "{error}");
    assert_eq!(stage.verbs(), ["one ADD", "two ADD", "two DEL", "two GC"]);
}

#[test]
fn a_version_that_a_plugin_refuses_comes_with_where_to_look() {
    let stage = Stage::new()
        .plugin("one", r#"echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1"#);
    let error = stage.runtime().add(&list("1.0.0", &["one"]), &container()).unwrap_err();
    assert_eq!(error.code, 1);
    assert!(error.hint().is_some_and(|hint| hint.starts_with("`cais validate` says")), "{error}");
}
