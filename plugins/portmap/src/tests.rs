use cni::Config as Network;
use netfilter::{HostAddress, Mapping, Masquerade, Protocol};

use crate::config::Config;

fn parse(keys: &str) -> Result<Config, cni::Error> {
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"web","type":"portmap"{comma}{keys}}}"#);
    Config::parse(&Network::parse(text.as_bytes()).unwrap())
}

fn mapped(list: &str) -> Result<Vec<Mapping>, cni::Error> {
    parse(&format!(r#""runtimeConfig":{{"portMappings":[{list}]}}"#)).map(|config| config.mappings)
}

fn ports(host: u16, container: u16, count: u16) -> Mapping {
    let host_port = host;
    Mapping {
        protocol: Protocol::Tcp,
        host: HostAddress::Any,
        host_port,
        container_port: container,
        count,
    }
}

#[test]
fn ports_in_a_row_that_are_the_same_on_both_sides_are_one_mapping() {
    let list: Vec<String> = [(81, 81), (8080, 80), (80, 80), (8081, 81), (82, 82), (90, 90)]
        .map(|(host, inside)| format!(r#"{{"hostPort":{host},"containerPort":{inside}}}"#))
        .into();
    let expected = [ports(8080, 80, 1), ports(8081, 81, 1), ports(80, 80, 3), ports(90, 90, 1)];
    assert_eq!(mapped(&list.join(",")).unwrap(), expected);
}

#[test]
fn protocols_addresses_and_keys_are_read_in_any_case() {
    let list = r#"{"HostPort":80,"ContainerPort":81,"Protocol":"UDP","HostIP":"192.0.2.1"},
                  {"hostPort":80,"containerPort":81,"protocol":"sctp","hostIP":"::"},
                  {"hostPort":80,"containerPort":81,"protocol":"","hostIP":""}"#;
    let found = mapped(list).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].protocol, Protocol::Udp);
    assert_eq!(found[0].host.to_string(), "192.0.2.1");
    assert_eq!(found[1].host.to_string(), "::");
    assert_eq!(found[2].host, HostAddress::Any);
}

#[test]
fn of_mappings_that_lead_to_one_port_the_widest_is_kept() {
    let list = |hosts: &[&str]| {
        let of = |host| format!(r#"{{"hostPort":80,"containerPort":81,"hostIP":"{host}"}}"#);
        hosts.iter().map(of).collect::<Vec<_>>().join(",")
    };
    for (given, kept) in [
        (&["", "192.0.2.1", "::"][..], &["any"][..]),
        (&["192.0.2.1", "::", "0.0.0.0", "192.0.2.1"], &["::", "0.0.0.0"]),
        (&["192.0.2.1", "2001:db8::1", ""], &["any"]),
        (&["192.0.2.1", "192.0.2.2"], &["192.0.2.1", "192.0.2.2"]),
    ] {
        let found = mapped(&list(given)).unwrap();
        let found: Vec<String> = found.iter().map(|mapping| mapping.host.to_string()).collect();
        assert_eq!(found, kept, "{given:?}");
    }
}

#[test]
fn wrong_values_are_named_by_their_key() {
    for (list, why) in [
        (r#"{"hostPort":0,"containerPort":80}"#, "runtimeConfig.portMappings[0].hostPort"),
        (r#"{"hostPort":70000,"containerPort":80}"#, "runtimeConfig.portMappings[0].hostPort"),
        (r#"{"hostPort":80}"#, "a mapping needs a containerPort"),
        (r#"{"hostPort":80,"containerPort":80,"protocol":"icmp"}"#, "unknown protocol \"icmp\""),
        (r#"{"hostPort":80,"containerPort":80,"hostIP":"x"}"#, "invalid IP address: x"),
        (
            r#"{"hostPort":80,"containerPort":80},{"hostPort":80,"containerPort":81}"#,
            "host port 80/tcp leads to container port 80 already",
        ),
        (
            r#"{"hostPort":80,"containerPort":80,"hostIP":"::1"},{"hostPort":80,"containerPort":81}"#,
            "host port 80/tcp leads to container port 80 already",
        ),
    ] {
        let error = mapped(list).unwrap_err();
        assert_eq!(error.code, 7, "{list}");
        assert!(error.msg.contains(why), "{list}: {}", error.msg);
    }
}

#[test]
fn conditions_take_the_words_of_either_program() {
    let shown = |key: &str, words: &str| -> Result<Vec<String>, cni::Error> {
        let config = parse(&format!(r#""{key}":[{words}]"#))?;
        let list = if key.ends_with('4') { config.conditions_v4 } else { config.conditions_v6 };
        Ok(list.iter().map(ToString::to_string).collect())
    };
    let iptables = r#""!","-s","10.0.0.0/8","-d","192.0.2.1","-i","eth+","!","-p","tcp""#;
    assert_eq!(
        shown("conditionsV4", iptables).unwrap(),
        ["! -s 10.0.0.0/8", "-d 192.0.2.1/32", "-i eth+", "! -p 6"]
    );
    let nft = r#""ip6 saddr != fd00::/8","iifname","\"eth0\"","oifname","!=","wlan*""#;
    assert_eq!(shown("conditionsV6", nft).unwrap(), ["! -s fd00::/8", "-i eth0", "! -o wlan*"]);
    for (key, words, why) in [
        ("conditionsV4", r#""-m","tcp""#, "unknown word \"-m\""),
        ("conditionsV4", r#""tcp","dport","80""#, "unknown word \"tcp\""),
        ("conditionsV4", r#""ip6","saddr","::1""#, "unknown word \"ip6\""),
        ("conditionsV4", r#""-s""#, "a value is missing after -s"),
        ("conditionsV4", r#""-s","fd00::/8""#, "is no IPv4 network"),
        ("conditionsV6", r#""-i","a/b""#, "is no name of a link"),
    ] {
        let error = shown(key, words).unwrap_err();
        assert_eq!(error.code, 7, "{words}");
        assert!(error.msg.contains(why) && error.msg.contains(key), "{words}: {}", error.msg);
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    for (keys, why) in [
        (r#""markMasqBit":3,"externalSetMarkChain":"X""#, "Cannot specify"),
        (r#""backend":"nftables","markMasqBit":3"#, "options of backend"),
        (r#""backend":"pf""#, "unrecognized backend \"pf\""),
        (r#""markMasqBit":32"#, "markMasqBit"),
        (r#""onListener":"x""#, "none of warn, error"),
    ] {
        let error = parse(keys).unwrap_err();
        assert_eq!(error.code, 7, "{keys}");
        assert!(error.msg.contains(why), "{keys}: {}", error.msg);
    }
    assert_eq!(parse(r#""snat":false,"masqAll":true"#).unwrap().masquerade, Masquerade::Nobody);
    assert_eq!(parse(r#""masqAll":true"#).unwrap().masquerade, Masquerade::All);
    assert_eq!(parse("").unwrap().masquerade, Masquerade::Neighbours);
}
