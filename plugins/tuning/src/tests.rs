use cni::Version;

use super::*;
use crate::attributes::Attributes;

fn network(members: &str) -> Network {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"tuning"{members}}}"#);
    Network::parse(text.as_bytes()).unwrap()
}

fn parse_with(members: &str, args: &str) -> Result<Config, Error> {
    Config::parse(&network(members), &Args::strict(args, ARGS)?)
}

fn parse(members: &str) -> Result<Config, Error> {
    parse_with(members, "")
}

fn refusal(members: &str) -> Error {
    parse(members).map(|config| panic!("{members} was taken as {config:?}")).unwrap_err()
}

/// Names and values, in their order.
fn sysctls(members: &str) -> Vec<(String, String)> {
    let config = parse(members).unwrap();
    config.sysctls.into_iter().map(|sysctl| (sysctl.name, sysctl.value)).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_configuration_without_a_key_asks_for_nothing() {
    for members in ["", r#","promisc":false,"mtu":0,"mac":"","sysctl":{},"allmulti":null"#] {
        let config = parse(members).unwrap();
        assert!(config.is_empty(), "{members}");
        assert!(config.data_dir.ends_with("run/cni/tuning"));
    }
}

#[test]
fn sysctls_keep_the_order_of_the_document() {
    let members = r#","sysctl":{"net.z":"1","net.a":"2","net.m":null,"net/b":"3"}"#;
    assert_eq!(sysctls(members), pairs(&[("net.z", "1"), ("net.a", "2"), ("net/b", "3")]));
}

#[test]
fn args_change_values_in_their_place_and_add_new_ones_at_the_end() {
    let members = r#","sysctl":{"net.z":"1","net.a":"2"},
        "args":{"cni":{"sysctl":{"net.y":"9","net/z":"7"}}}"#;
    assert_eq!(sysctls(members), pairs(&[("net/z", "7"), ("net.a", "2"), ("net.y", "9")]));
}

#[test]
fn sysctls_of_args_do_not_need_any_in_the_configuration() {
    let members = r#","args":{"cni":{"sysctl":{"net.y":"9"}}}"#;
    assert_eq!(sysctls(members), pairs(&[("net.y", "9")]));
}

#[test]
fn a_sysctl_that_is_written_twice_is_refused_in_any_spelling() {
    for second in ["net.ipv4.conf.all.x", "net/ipv4/conf/all/x"] {
        let error = refusal(&format!(r#","sysctl":{{"net.ipv4.conf.all.x":"1","{second}":"0"}}"#));
        assert_eq!(error.code, 7);
        let text = format!("duplicated sysctl key: {second:?}");
        assert!(error.msg.starts_with("key \"sysctl.") && error.msg.ends_with(&text), "{error}");
        assert_eq!(error.hint(), Some("write each sysctl once"));
    }
}

#[test]
fn sysctls_outside_of_net_and_values_that_are_no_text_are_refused() {
    for name in ["kernel.pid_max", "net", "net/../kernel/pid_max", "net..x", "/proc/sys/net/x", ""]
    {
        let error = refusal(&format!(r#","sysctl":{{"{name}":"1"}}"#));
        assert_eq!(error.code, 7, "{name}");
        assert!(error.msg.contains(&format!("invalid net sysctl key: {name:?}: ")), "{error}");
    }
    for value in ["1", "true", "[]", "{}"] {
        assert_eq!(refusal(&format!(r#","sysctl":{{"net.x":{value}}}"#)).code, 6, "{value}");
    }
}

#[test]
fn the_strongest_place_gives_the_address() {
    let places = [
        (r#","args":{"cni":{"mac":"02:00:00:00:00:04"}}"#, ""),
        (r#","runtimeConfig":{"mac":"02:00:00:00:00:03"}"#, ""),
        ("", "MAC=02:00:00:00:00:02"),
        (r#","mac":"02:00:00:00:00:01""#, ""),
    ];
    for strongest in 0..places.len() {
        let members: String = places[strongest..].iter().map(|(members, _)| *members).collect();
        let args: String = places[strongest..].iter().map(|(_, args)| *args).collect();
        let mac = parse_with(&members, &args).unwrap().attributes.mac.unwrap();
        assert_eq!(mac.to_string(), format!("02:00:00:00:00:0{}", 4 - strongest));
    }
    let taken_back = r#","args":{"cni":{"mac":""}},"mac":"02:00:00:00:00:01""#;
    assert!(parse(taken_back).unwrap().is_empty());
}

#[test]
fn args_are_stronger_also_when_they_take_something_back() {
    let attributes = |members: &str| parse(members).unwrap().attributes;
    let weak = r#","mtu":1400,"promisc":true,"allmulti":true,"txQLen":5"#;
    let all = Attributes {
        mac: None,
        promisc: Some(true),
        mtu: Some(1400),
        allmulti: Some(true),
        txqlen: Some(5),
    };
    assert_eq!(attributes(weak), all);
    let strong = r#","args":{"cni":{"mtu":0,"promisc":false,"allmulti":false,"txQLen":0}}"#;
    let less = Attributes { allmulti: Some(false), txqlen: Some(0), ..Attributes::default() };
    assert_eq!(attributes(&format!("{weak}{strong}")), less);
}

#[test]
fn what_no_interface_can_have_is_refused_by_name() {
    for (members, key) in [
        (r#","mtu":67"#, "mtu"),
        (r#","mtu":65536"#, "mtu"),
        (r#","mtu":-1"#, "mtu"),
        (r#","txQLen":-1"#, "txQLen"),
        (r#","txQLen":4294967296"#, "txQLen"),
        (r#","mac":"01:00:5e:00:00:01""#, "mac"),
        (r#","runtimeConfig":{"mac":"zz"}"#, "runtimeConfig.mac"),
        (r#","args":{"cni":{"mtu":1}}"#, "args.cni.mtu"),
    ] {
        let error = refusal(members);
        assert_eq!(error.code, 7, "{members}");
        assert!(error.msg.starts_with(&format!("key \"{key}\": ")), "{error}");
    }
    let error = parse_with("", "MAC=zz").unwrap_err();
    assert_eq!(error.code, 4);
    assert_eq!(error.msg, "CNI_ARGS MAC=zz: address zz: invalid MAC address");
}

#[test]
fn without_a_result_of_an_earlier_plugin_there_is_nothing_to_work_on() {
    let error = chained::prev_result(&network(""), "tuning").unwrap_err();
    assert_eq!((error.code, error.msg.as_str()), (7, "Required prevResult missing"));
    assert!(error.hint().is_some_and(|hint| hint.contains("behind")), "{error}");
}

#[test]
fn a_result_that_the_version_cannot_say_is_refused_before_anything_is_done() {
    let text = r#"{"cniVersion":"0.2.0","name":"n","prevResult":{}}"#;
    let network = Network::parse(text.as_bytes()).unwrap();
    assert_eq!(network.version(), Version::V0_2_0);
    let error = chained::prev_result(&network, "tuning").unwrap_err();
    assert_eq!((error.code, error.hint()), (7, Some("set cniVersion to 0.3.1 or later")));
}

#[test]
fn del_reads_data_dir_as_far_as_it_can() {
    let dir = |members: &str| config::data_dir_for_del(&network(members));
    assert_eq!(dir(r#","dataDir":"/x","mtu":"wrong""#), std::path::Path::new("/x"));
    for unusable in [r#","dataDir":5"#, r#","dataDir":"""#, ""] {
        assert!(dir(unusable).ends_with("run/cni/tuning"), "{unusable}");
    }
}

#[test]
fn every_key_of_the_table_is_read_and_named_when_it_is_of_the_wrong_kind() {
    for key in KEYS {
        let error = refusal(&format!(",{}", nested(key.path)));
        assert_eq!(error.code, 6, "{}", key.path);
        assert!(error.msg.starts_with(&format!("key \"{}\": expected", key.path)), "{}", error.msg);
    }
}

/// The members of an object in which the key at `path` is an empty list, which none of them is.
fn nested(path: &str) -> String {
    match path.split_once('.') {
        Some((first, rest)) => format!(r#""{first}":{{{}}}"#, nested(rest)),
        None => format!(r#""{path}":[]"#),
    }
}
