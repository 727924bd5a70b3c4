use super::Scratch;
use crate::error::Error;
use crate::runtime::{NetworkList, directory};

fn conflist(name: &str, plugin: &str) -> String {
    format!(r#"{{"cniVersion":"1.0.0","name":"{name}","plugins":[{{"type":"{plugin}"}}]}}"#)
}

fn find(scratch: &Scratch, name: &str) -> Result<NetworkList, Error> {
    directory::find(&[scratch.path().to_owned()], &name.parse().unwrap())
}

fn kinds(list: &NetworkList) -> Vec<&str> {
    list.plugins().iter().map(|plugin| plugin.kind.as_str()).collect()
}

#[test]
fn lists_come_first_and_each_kind_in_the_order_of_bytes() {
    let scratch = Scratch::new();
    scratch.write("10.json", r#"{"name":"n","type":"json"}"#);
    scratch.write("05.conf", r#"{"name":"n","type":"conf"}"#);
    assert_eq!(kinds(&find(&scratch, "n").unwrap()), ["conf"]);
    scratch.write("a.conflist", &conflist("n", "lower"));
    scratch.write("Z.conflist", &conflist("n", "upper"));
    scratch.write("0/ignored.conflist", &conflist("n", "folder"));
    scratch.write("0.conflist.bak", "not JSON");
    std::fs::create_dir(scratch.path().join("0.conflist")).unwrap();
    assert_eq!(kinds(&find(&scratch, "n").unwrap()), ["upper"]);
    let all = directory::all(&[scratch.path().to_owned()]).unwrap();
    let files: Vec<_> = all.iter().map(|(f, _)| f.file_name().unwrap().to_owned()).collect();
    assert_eq!(files, ["Z.conflist", "a.conflist", "05.conf", "10.json"]);
}

#[test]
fn a_broken_file_before_the_match_is_an_error_that_names_it() {
    let scratch = Scratch::new();
    scratch.write("10-good.conflist", &conflist("n", "x"));
    scratch.write("20-broken.conflist", "{\n  \"name\": oops\n}");
    assert!(find(&scratch, "n").is_ok(), "the match comes first");
    let error = find(&scratch, "other").unwrap_err();
    assert!(
        error.msg.contains("20-broken.conflist: error parsing configuration list: "),
        "{error}"
    );
    assert!(error.msg.ends_with("line 2 column 11"), "{error}");
}

#[test]
fn a_list_under_the_name_of_a_single_configuration_is_told_its_name() {
    let scratch = Scratch::new();
    let file = scratch.write("10-n.conf", &conflist("n", "x"));
    let error = find(&scratch, "n").unwrap_err();
    assert!(
        error.msg.ends_with("10-n.conf: error parsing configuration: missing 'type'"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("ends in .conflist"));
    assert_eq!(kinds(&directory::load(&file).unwrap()), ["x"], "a path is what it holds");
}

#[test]
fn unknown_names_get_the_known_ones_as_a_hint() {
    let scratch = Scratch::new();
    assert!(find(&scratch, "n").unwrap_err().msg.starts_with("no net configurations found in "));
    scratch.write("x.conflist", &conflist("web", "x"));
    let error = find(&scratch, "wbe").unwrap_err();
    assert!(error.msg.starts_with("no net configuration with name \"wbe\" in "), "{error}");
    assert_eq!(error.hint(), Some("known are web"));
    let nowhere = [scratch.path().join("missing")];
    assert!(directory::find(&nowhere, &"n".parse().unwrap()).is_err());
}

#[test]
fn the_drop_in_folder_adds_its_plugins_in_the_order_of_bytes() {
    let scratch = Scratch::new();
    scratch.write("n.conflist", &conflist("n", "first"));
    scratch.write("n/20.conf", r#"{"type":"third"}"#);
    let second = scratch.write("n/10.conf", r#"{"type":"second"}"#);
    scratch.write("n/00.json", r#"{"type":"ignored"}"#);
    let list = find(&scratch, "n").unwrap();
    assert_eq!(kinds(&list), ["first", "second", "third"]);
    assert_eq!(list.plugins()[1].drop_in.as_deref(), Some(second.as_path()));
    assert_eq!(list.text(), conflist("n", "first").as_bytes(), "the text has no drop-ins");

    scratch.write("n.conflist", r#"{"name":"n"}"#);
    assert_eq!(kinds(&find(&scratch, "n").unwrap()), ["second", "third"]);
    let only = r#"{"name":"n","loadOnlyInlinedPlugins":true,"plugins":[{"type":"first"}]}"#;
    scratch.write("n.conflist", only);
    assert_eq!(kinds(&find(&scratch, "n").unwrap()), ["first"]);
}

#[test]
fn one_broken_drop_in_fails_the_network_and_is_named() {
    let scratch = Scratch::new();
    scratch.write("n.conflist", &conflist("n", "first"));
    scratch.write("n/10.conf", r#"{"typ":"x"}"#);
    let error = find(&scratch, "n").unwrap_err();
    assert!(error.msg.ends_with("n/10.conf: missing 'type'"), "{error}");
}

#[test]
fn a_name_that_leaves_the_directory_is_refused_at_load() {
    let scratch = Scratch::new();
    scratch.write("n.conflist", r#"{"name":"../n"}"#);
    let error = find(&scratch, "n").unwrap_err();
    assert!(error.msg.contains("key \"name\": must start with a letter or digit"), "{error}");
}
