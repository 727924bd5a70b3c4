//! Settings, places and what follows from them, without a host.

use std::net::{IpAddr, SocketAddrV4};

use cni::{Config, Dns, Error, Ip, code};
use names::Place;
use netfilter::loopback::Lead;

use crate::doors::{complete, lead, nameservers, resolvers};
use crate::plan::{Held, places};
use crate::settings::{Required, Resolver, Settings};

fn settings(keys: &str, args: &str) -> Result<Settings, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"web","type":"dnsname"{keys}}}"#);
    Settings::parse(&Config::parse(text.as_bytes()).unwrap(), args, "test")
}

fn names(keys: &str, args: &str) -> String {
    settings(keys, args).unwrap().names(&"0a".repeat(32).parse().unwrap()).to_string()
}

#[test]
fn a_configuration_without_keys_of_ours_is_complete() {
    assert_eq!(settings("", "").unwrap(), Settings::default());
    assert_eq!(names("", ""), "0a0a0a0a0a0a");
}

#[test]
fn all_keys_are_read() {
    let read = settings(
        r#","domainName":"DNS.podman.","servers":["192.0.2.1","[2001:db8::1]:5353"],
            "internal":true,"resolver":"netns","multiNetwork":"merge","gwPriority":-7,
            "dnsRequired":false,"args":{"cni":{"hostname":"Box"}},
            "runtimeConfig":{"aliases":["www"],
              "dns":{"servers":["192.0.2.2"],"searches":["a.example"],"options":["ndots:1"]}}"#,
        "IgnoreUnknown=1;K8S_POD_NAME=Web_1",
    );
    let expected = Settings {
        name: Some("web_1".parse().unwrap()),
        aliases: vec!["www".parse().unwrap()],
        hostname: Some("box".parse().unwrap()),
        suffix: Some("dns.podman".parse().unwrap()),
        servers: vec!["192.0.2.1".parse().unwrap(), "[2001:db8::1]:5353".parse().unwrap()],
        own_servers: vec!["192.0.2.2".parse().unwrap()],
        search: vec!["a.example".to_owned()],
        options: vec!["ndots:1".to_owned()],
        internal: true,
        resolver: Resolver::Container,
        merge: true,
        priority: -7,
        required: Required::No,
    };
    assert_eq!(read, Ok(expected));
}

#[test]
fn aliases_come_as_a_list_or_by_network_and_either_may_be_null() {
    for (aliases, expected) in [
        (r#"["www","App"]"#, "www, app, 0a0a0a0a0a0a"),
        (r#"{"web":["www"],"lan":["other"]}"#, "www, 0a0a0a0a0a0a"),
        (r#"{"lan":["other"]}"#, "0a0a0a0a0a0a"),
        (r#"{"web":null}"#, "0a0a0a0a0a0a"),
        ("null", "0a0a0a0a0a0a"),
        ("[]", "0a0a0a0a0a0a"),
        (r#"["*.Foo.local"]"#, "*.foo.local, 0a0a0a0a0a0a"),
    ] {
        let keys = format!(r#","runtimeConfig":{{"aliases":{aliases}}}"#);
        assert_eq!(names(&keys, ""), expected, "{aliases}");
    }
}

#[test]
fn an_alias_that_is_no_name_is_an_error_that_quotes_it() {
    let long = "x".repeat(64);
    for (aliases, says) in [
        (
            format!(r#"["www","{long}"]"#),
            format!("key \"runtimeConfig.aliases[1]\": alias \"{long}\" has a label of 64 bytes"),
        ),
        (
            r#"{"web":["a b"]}"#.to_owned(),
            "key \"runtimeConfig.aliases.web[0]\": alias \"a b\" has ' '".to_owned(),
        ),
    ] {
        let keys = format!(r#","runtimeConfig":{{"aliases":{aliases}}}"#);
        let error = settings(&keys, "").unwrap_err();
        assert_eq!(error.code, code::INVALID_CONFIG);
        assert!(error.msg.starts_with(&says), "{error}");
        assert!(error.hint().unwrap().contains("labels of letters"), "{error}");
    }
}

#[test]
fn what_is_asked_for_and_cannot_be_is_an_error_that_names_the_key() {
    for (keys, says) in [
        (r#""domainName":"a..b""#, "key \"domainName\": \"a..b\" has an empty label"),
        (r#""domainName":"*.b""#, "key \"domainName\": \"*.b\" stands for many names"),
        (r#""servers":["dns"]"#, "key \"servers[0]\": \"dns\" is no address of a name server"),
        (r#""resolver":"host""#, "key \"resolver\": \"host\" is none of auto, gateway, netns"),
        (r#""multiNetwork":"all""#, "key \"multiNetwork\": \"all\" is none of first, merge"),
        (r#""gwPriority":4294967296"#, "key \"gwPriority\": 4294967296 is outside"),
        (r#""args":{"cni":{"hostname":"a b"}}"#, "key \"args.cni.hostname\": \"a b\" has ' '"),
    ] {
        let error = settings(&format!(",{keys}"), "").unwrap_err();
        assert_eq!(error.code, code::INVALID_CONFIG, "{keys}");
        assert!(error.msg.starts_with(says), "{keys}: {error}");
    }
}

#[test]
fn a_container_name_that_dns_does_not_allow_keeps_nobody_from_starting() {
    for name in ["x".repeat(64), "*.a".to_owned(), "a b".to_owned(), String::new()] {
        let args = format!("K8S_POD_NAME={name}");
        assert_eq!(names(r#","runtimeConfig":{"aliases":["www"]}"#, &args), "www, 0a0a0a0a0a0a");
    }
}

#[test]
fn containerd_writes_its_dns_with_capitals_and_nulls() {
    let read = settings(
        r#","runtimeConfig":{"dns":{"Servers":["192.0.2.2"],"Searches":null,"Options":["rotate"]}}"#,
        "",
    )
    .unwrap();
    assert_eq!(read.own_servers, ["192.0.2.2".parse().unwrap()]);
    assert_eq!((read.search.len(), read.options.as_slice()), (0, &["rotate".to_owned()][..]));
    let nothing = r#","runtimeConfig":{"dns":{"Servers":null,"Searches":null,"Options":null}}"#;
    assert_eq!(settings(nothing, "").unwrap(), Settings::default());
}

#[test]
fn servers_that_a_runtime_copied_from_somewhere_are_left_out_where_they_are_none() {
    let keys = r#","runtimeConfig":{"dns":{"servers":["fe80::1%eth0","192.0.2.2"]}}"#;
    assert_eq!(settings(keys, "").unwrap().own_servers, ["192.0.2.2".parse().unwrap()]);
}

fn held(address: &str) -> Held {
    Held { link: "br-web".parse().unwrap(), index: 5, address: address.parse().unwrap() }
}

fn gateway(address: &str) -> Place {
    let (link, address) = ("br-web".parse().unwrap(), address.parse().unwrap());
    Place::Gateway { link, index: 5, address, port: names::PORT }
}

const WITHIN: Place = Place::Container { port: names::PORT };

#[test]
fn containers_ask_at_their_gateway_where_it_is_ours_and_within_otherwise() {
    let (v4, v6) = ("10.22.0.1", "fd00::1");
    let planned = |resolver, held: &[Held]| places(resolver, held, &[]).unwrap();
    let both = [held(v4), held(v6)];
    assert_eq!(planned(Resolver::Auto, &both), [gateway(v4), gateway(v6)]);
    assert_eq!(planned(Resolver::Gateway, &both), [gateway(v4), gateway(v6)]);
    assert_eq!(planned(Resolver::Container, &both), [WITHIN]);
    assert_eq!(planned(Resolver::Auto, &[]), [WITHIN]);
    // Nothing leads from 127.0.0.11 to an IPv6 address.
    assert_eq!(planned(Resolver::Auto, &[held(v6)]), [gateway(v6), WITHIN]);
}

#[test]
fn a_gateway_that_is_asked_for_and_is_not_ours_is_named() {
    let ip = Ip {
        interface: None,
        address: "10.22.0.2/24".parse().unwrap(),
        gateway: Some("10.22.0.254".parse().unwrap()),
    };
    let error = places(Resolver::Gateway, &[], &[&ip]).unwrap_err();
    assert_eq!(error.code, code::INVALID_CONFIG);
    assert!(error.msg.contains("has the gateway's address 10.22.0.254"), "{error}");
    assert!(error.hint().unwrap().contains("isGateway"), "{error}");
    let error = places(Resolver::Gateway, &[], &[]).unwrap_err();
    assert!(error.msg.contains("the container has no gateway"), "{error}");
}

#[test]
fn what_the_container_is_told_and_what_leads_there_follow_from_the_places() {
    let ips = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpAddr>>();
    let both = [gateway("fd00::1"), gateway("10.22.0.1").at_port(1020)];
    assert_eq!(nameservers(&both), ips(&["10.22.0.1", "fd00::1"]));
    assert_eq!(nameservers(&[WITHIN]), ips(&["127.0.0.11"]));
    assert_eq!(nameservers(&[gateway("fd00::1"), WITHIN]), ips(&["fd00::1"]));
    assert_eq!(nameservers(&[]), ips(&[]));

    let address = SocketAddrV4::new("10.22.0.1".parse().unwrap(), 1020);
    assert_eq!(lead(&both), Some(Lead::Gateway(address)));
    assert_eq!(lead(&[gateway("fd00::1"), WITHIN.at_port(1019)]), Some(Lead::Local(1019)));
    assert_eq!(lead(&[]), None);

    let redirected: Vec<_> = resolvers(&both).iter().map(|r| (r.address, r.port)).collect();
    assert_eq!(redirected, [("fd00::1".parse().unwrap(), 1021), (IpAddr::V4(*address.ip()), 1020)]);
    assert!(resolvers(&[WITHIN]).is_empty());
}

#[test]
fn what_plugins_before_said_of_name_service_stays_after_ours() {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let before = Dns {
        nameservers: texts(&["192.0.2.9", "10.22.0.1"]),
        domain: "example".to_owned(),
        search: texts(&["corp.example"]),
        options: texts(&["ndots:1"]),
    };
    let keys = r#","domainName":"dns.podman","runtimeConfig":{"dns":
        {"searches":["corp.example","b.example"],"options":["ndots:1","rotate"]}}"#;
    let settings = settings(keys, "").unwrap();
    let mut dns = before.clone();
    // A repeated call changes nothing more.
    for _ in 0..2 {
        complete(&mut dns, &settings, &[gateway("10.22.0.1")]);
        let expected = Dns {
            nameservers: texts(&["10.22.0.1", "192.0.2.9"]),
            domain: "example".to_owned(),
            search: texts(&["corp.example", "b.example", "dns.podman"]),
            options: texts(&["ndots:1", "rotate"]),
        };
        assert_eq!(dns, expected);
    }
}
