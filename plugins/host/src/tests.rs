use super::*;
use crate::claim::WildcardV6;

fn parse(config: &str) -> Result<Config, Error> {
    Config::parse(&Network::parse(config.as_bytes()).unwrap(), WildcardV6::Both)
}

fn with_mappings(mappings: &str) -> Result<Vec<String>, Error> {
    let config = format!(
        r#"{{"cniVersion":"1.0.0","name":"h","runtimeConfig":{{"portMappings":{mappings}}}}}"#
    );
    parse(&config).map(|config| config.claims.iter().map(ToString::to_string).collect())
}

fn refusal(mappings: &str) -> Error {
    with_mappings(mappings).map(|claims| panic!("{mappings} was taken as {claims:?}")).unwrap_err()
}

#[test]
fn both_spellings_of_runtimes_are_read() {
    let claims = with_mappings(
        r#"[{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"},
            {"HostPort":53,"ContainerPort":53,"Protocol":"UDP","HostIP":""}]"#,
    );
    assert_eq!(claims.unwrap(), ["tcp 127.0.0.1:80", "udp *:53"]);
}

#[test]
fn what_is_left_out_has_a_default() {
    for none in ["null", "[]"] {
        assert_eq!(with_mappings(none).unwrap(), [""; 0], "{none}");
    }
    assert_eq!(parse(r#"{"cniVersion":"1.0.0","name":"h"}"#).unwrap().claims, []);
    let claims = with_mappings(r#"[{"hostPort":1},{"containerPort":2,"protocol":""}]"#);
    assert_eq!(claims.unwrap(), ["tcp *:1", "tcp *:2"]);
}

#[test]
fn host_addresses_are_one_address_a_family_or_both() {
    let claims = with_mappings(
        r#"[{"hostPort":1,"hostIP":"0.0.0.0"},{"hostPort":1,"hostIP":"::"},
            {"hostPort":1,"hostIP":"::ffff:10.0.0.1"},{"hostPort":1,"hostIP":"FD00::1"}]"#,
    );
    assert_eq!(claims.unwrap(), ["tcp 0.0.0.0:1", "tcp *:1", "tcp 10.0.0.1:1", "tcp [fd00::1]:1"]);
}

#[test]
fn the_same_port_twice_is_claimed_once() {
    assert_eq!(with_mappings(r#"[{"hostPort":1},{"containerPort":1}]"#).unwrap(), ["tcp *:1"]);
}

#[test]
fn a_port_that_would_have_to_be_mapped_is_refused_with_a_way_out() {
    let error = refusal(r#"[{"hostPort":8080,"containerPort":80}]"#);
    assert_eq!(error.code, 7);
    assert_eq!(
        error.msg,
        "key \"runtimeConfig.portMappings[0]\": host port 8080 and container port 80 differ"
    );
    assert_eq!(
        error.hint(),
        Some(
            "on the host's network the container binds its port itself: let its program listen \
             on 8080, or publish 80, or use a bridge network"
        )
    );
}

#[test]
fn ranges_and_impossible_ports_name_the_key_and_say_what_a_port_is() {
    let key = "key \"runtimeConfig.portMappings[0]";
    let cases = [
        (r#"[{"hostPort":0}]"#, 7, ".hostPort\": 0 is outside 1..65535"),
        (r#"[{"hostPort":65536}]"#, 7, ".hostPort\": 65536 is outside 1..65535"),
        (r#"[{"hostPort":-1}]"#, 7, ".hostPort\": -1 is outside 1..65535"),
        (r#"[{"hostPort":1,"containerPort":0}]"#, 7, ".containerPort\": 0 is outside 1..65535"),
        (
            r#"[{"hostPort":"80-90"}]"#,
            6,
            ".hostPort\": expected an integer, found the string \"80-90\"",
        ),
        (r#"[{"hostPort":80,"range":10}]"#, 7, ".range\": 10 ports in one mapping"),
        (r#"[{}]"#, 7, "\": a mapping needs a hostPort"),
    ];
    for (mappings, code, text) in cases {
        let error = refusal(mappings);
        assert_eq!((error.code, error.msg.as_str()), (code, &*format!("{key}{text}")));
        assert_eq!(error.hint(), Some(config::PORTS_HINT), "{mappings}");
    }
    assert_eq!(with_mappings(r#"[{"hostPort":1,"range":1}]"#).unwrap(), ["tcp *:1"]);
}

#[test]
fn unknown_protocols_addresses_and_kinds_are_refused() {
    let error = refusal(r#"[{"hostPort":1,"protocol":"icmp"}]"#);
    assert_eq!(error.code, 7);
    assert_eq!(
        error.msg,
        "key \"runtimeConfig.portMappings[0].protocol\": unknown protocol \"icmp\""
    );
    assert_eq!(error.hint(), Some("use tcp, udp or sctp"));
    assert_eq!(refusal(r#"[{"hostPort":1,"hostIP":"fe80::1%eth0"}]"#).code, 7);
    for mappings in ["{}", "[1]", "[null]", r#""80:80""#, r#"[{"hostPort":1,"protocol":6}]"#] {
        assert_eq!(refusal(mappings).code, 6, "{mappings}");
    }
}

#[test]
fn versions_without_a_word_for_no_address_are_refused_unless_there_is_one() {
    for version in ["0.1.0", "0.2.0"] {
        let error = parse(&format!(r#"{{"cniVersion":"{version}","name":"h"}}"#)).unwrap_err();
        assert_eq!((error.code, error.hint()), (7, Some("set cniVersion to 0.3.1 or later")));
        let chained = format!(
            r#"{{"cniVersion":"{version}","name":"h","prevResult":{{"ip4":{{"ip":"10.0.0.1/8"}}}}}}"#
        );
        assert_eq!(parse(&chained).unwrap().result.ips.len(), 1, "{version}");
    }
}

#[test]
fn gc_knows_an_attachment_by_container_and_interface_or_by_container_alone() {
    let holder = Attachment {
        network: "h".parse().unwrap(),
        container: "c".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    };
    let entry = |container: &str, ifname: Option<&str>| GcAttachment {
        container: container.parse().unwrap(),
        ifname: ifname.map(|name| name.parse().unwrap()),
    };
    assert!(is_listed(&holder, &[entry("x", None), entry("c", Some("eth0"))]));
    assert!(is_listed(&holder, &[entry("c", None)]));
    assert!(!is_listed(&holder, &[entry("c", Some("eth1")), entry("x", Some("eth0"))]));
    assert!(!is_listed(&holder, &[]));
}

#[test]
fn every_key_of_the_table_is_read_and_named_when_it_is_of_the_wrong_kind() {
    for key in KEYS {
        let config = format!(r#"{{"cniVersion":"1.0.0","name":"h",{}}}"#, nested(key.path));
        let error = parse(&config).expect_err(key.path);
        let path = key.path.replace("[]", "[0]");
        assert_eq!(error.code, 6, "{}", key.path);
        assert!(error.msg.starts_with(&format!("key \"{path}\": expected")), "{}", error.msg);
    }
}

/// The members of an object in which the key at `path` is an empty object.
fn nested(path: &str) -> String {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let inner = if rest.is_empty() { "{}".to_owned() } else { format!("{{{}}}", nested(rest)) };
    match first.strip_suffix("[]") {
        Some(list) => format!(r#""{list}":[{inner}]"#),
        None => format!(r#""{first}":{inner}"#),
    }
}
