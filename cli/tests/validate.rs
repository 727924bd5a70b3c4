use crate::stage::Stage;

/// A plugin that describes its keys and checks its configuration, as those of this suite do.
const DESCRIBED: &str = r#"#!/bin/sh
case "$1" in
--print-schema)
  echo '{"plugin":"own","keys":[{"path":"type"},{"path":"name"},{"path":"cniVersion"},{"path":"mtu"},{"path":"bridge"},{"path":"ipam"},{"path":"capabilities"},{"path":"ranges"},{"path":"ranges[][].subnet"}]}' ;;
--validate)
  case "$(cat)" in *'"mtu":"big"'*)
    echo '{"code":6,"msg":"key \"mtu\": expected an integer, found the string \"big\"","details":"hint: write a number"}'; exit 1 ;;
  esac ;;
*) [ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' ;;
esac
exit 0
"#;

const OLD: &str = r#"#!/bin/sh
echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'
"#;

fn stage() -> Stage {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    for (kind, script) in [("own", DESCRIBED), ("old", OLD)] {
        let file = stage.file(&format!("bin/{kind}"), script);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    stage
}

#[track_caller]
fn report(stage: &Stage, name: &str, text: &str, code: i32) -> String {
    stage.file(name, text);
    stage.cais(&format!("validate ./{name}")).failed(code).stdout
}

#[test]
fn everything_wrong_is_named_with_its_place_and_what_was_meant() {
    let text = r#"{
  "cniVersion": "1.1.0",
  "name": "web",
  "disableGc": true,
  "plugins": [
    { "type": "own", "mtu": "big",
      "brigde": "br0", "ranges": [[{ "subnett": "10.0.0.0/24" }]],
      "MTU": null },
    { "type": "old" },
    { "type": "gone" }
  ]
}"#;
    let stage = stage();
    let bin = stage.path().join("bin");
    let expected = format!(
        "./web.conflist:6:22: warning: key `plugins[0].mtu` is written again in line 8; the last one counts
./web.conflist:4:3: warning: unknown key `disableGc`: did you mean `disableGC`?
hint: keys of the list itself are taken to the letter, upper and lower case too
./web.conflist:8:7: error: own: key \"mtu\": expected an integer, found the string \"big\"
hint: write a number
./web.conflist:7:7: warning: own: unknown key `brigde`; it is ignored
hint: did you mean `bridge`?
./web.conflist:7:38: warning: own: unknown key `ranges[0][0].subnett`; it is ignored
hint: did you mean `subnet`?
./web.conflist:10:7: error: failed to find plugin \"gone\" in path [{}]
hint: install gone in one of these directories
./web.conflist:2:3: error: old does not speak version \"1.1.0\"; it speaks 0.4.0, 1.0.0
./web.conflist:2:3: note: cniVersion is \"1.1.0\"; 1.0.0 is the newest that all plugins speak
hint: write \"cniVersion\": \"1.0.0\"
./web.conflist: not valid
",
        bin.display()
    );
    assert_eq!(report(&stage, "web.conflist", text, 1), expected);
}

#[test]
fn a_good_list_is_valid_and_says_nothing_else() {
    let text = r#"{"cniVersion":"1.1.0","name":"web","plugins":[{"type":"own","mtu":1400}],"nerdctlID":"x"}"#;
    assert_eq!(report(&stage(), "web.conflist", text, 0), "./web.conflist: valid\n");
}

#[test]
fn faults_of_syntax_and_structure_have_their_place() {
    let stage = stage();
    let first = |text: &str| {
        let report = report(&stage, "x.conflist", text, 1);
        report.lines().next().unwrap().to_owned()
    };
    assert_eq!(first("{\n \"name\": oops }"), "./x.conflist:2:10: error: expected value");
    assert_eq!(
        first("{\n \"name\": 7, \"plugins\": [] }"),
        "./x.conflist:2:2: error: error parsing configuration list: key \"name\": expected a string, found the number 7"
    );
    assert_eq!(
        first("{\"name\":\"n\",\"plugins\":[\n{\"typ\":\"own\"}]}"),
        "./x.conflist:2:1: error: error parsing configuration list: key \"plugins[0]\": missing 'type'"
    );
    assert!(first("").starts_with("./x.conflist:1:1: error: EOF"), "{}", first(""));
}

#[test]
fn a_list_under_the_name_of_a_single_configuration_is_to_be_renamed() {
    let list = r#"{"cniVersion":"1.1.0","name":"web","plugins":[{"type":"own"}]}"#;
    let report = report(&stage(), "web.conf", list, 1);
    assert!(report.contains("runtimes take this file for a single plugin\nhint: rename it so that it ends in .conflist"), "{report}");
}

#[test]
fn drop_ins_are_judged_in_their_own_files() {
    let stage = stage();
    stage.file("web/10.conf", "{ \"type\": \"own\",\n  \"mut\": 1 }");
    let list = r#"{"cniVersion":"1.1.0","name":"web","plugins":[{"type":"own"}]}"#;
    let report = report(&stage, "web.conflist", list, 0);
    assert!(report.contains("web/10.conf:2:3: warning: own: unknown key `mut`"), "{report}");
}

#[test]
fn a_network_is_found_by_name_and_json_has_it_all() {
    let stage = stage();
    stage.file(
        "net.d/web.conflist",
        r#"{"cniVersion":"0.4.0","name":"web","plugins":[{"type":"own"}]}"#,
    );
    let answer = stage.cais("validate web --json").ok().json();
    assert_eq!((&answer["valid"], &answer["cniVersion"]), (&true.into(), &"1.1.0".into()));
    assert_eq!(answer["findings"][0]["severity"], "note");
    stage.cais("validate wbe").failed(1).says(&["hint: known are web"]);
}
