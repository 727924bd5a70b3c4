use bridges::config::{Config, Gateway, Vlans};
use bridges::plan::Layer3;
use cni::{AddResult, Args, Error, Ip, Route};
use types::Cidr;

use crate::config;

fn parse_with(args: &str, text: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"bridge"{text}}}"#);
    let network = cni::Config::parse(text.as_bytes())?;
    config::parse(&network, &Args::strict(args, &["MAC"])?)
}

fn parse(text: &str) -> Result<Config, Error> {
    parse_with("", text)
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn answer(addresses: &[(&str, Option<&str>)], routes: &[&str]) -> AddResult {
    let ip = |(address, gateway): &(&str, Option<&str>)| Ip {
        interface: None,
        address: cidr(address),
        gateway: gateway.map(|gw| gw.parse().unwrap()),
    };
    AddResult {
        ips: addresses.iter().map(ip).collect(),
        routes: routes.iter().map(|dst| Route::via(cidr(dst), None)).collect(),
        ..AddResult::default()
    }
}

#[test]
fn an_empty_configuration_is_a_plain_switch_called_cni0() {
    let config = parse("").unwrap();
    assert_eq!(config.bridge.as_str(), "cni0");
    assert_eq!(config.gateway, Gateway::None);
    assert_eq!((config.mtu, config.vlans, config.ipam), (None, None, None));
    assert_eq!(parse(r#","bridge":"","mtu":0,"vlan":0,"ipam":{"type":""}"#), parse(""));
}

#[test]
fn the_runtimes_mac_wins_over_args_and_those_over_the_environment() {
    let mac = |args, text| parse_with(args, text).unwrap().mac.map(|mac| mac.to_string());
    let env = "MAC=c2:00:00:00:00:01";
    assert_eq!(mac(env, "").as_deref(), Some("c2:00:00:00:00:01"));
    let args = r#","args":{"cni":{"mac":"c2:00:00:00:00:02"}}"#;
    assert_eq!(mac(env, args).as_deref(), Some("c2:00:00:00:00:02"));
    let all = r#","runtimeConfig":{"mac":"c2:00:00:00:00:03"},"args":{"cni":{"mac":"c2:00:00:00:00:02"}}"#;
    assert_eq!(mac(env, all).as_deref(), Some("c2:00:00:00:00:03"));
}

#[test]
fn trunks_are_the_union_of_their_ranges() {
    let vlans = |text: &str| parse(&format!(",\"vlanTrunk\":{text}")).unwrap().vlans;
    let trunk = |ranges: &[(u16, u16)]| {
        let trunk = ranges.iter().map(|(first, last)| *first..=*last).collect();
        Some(Vlans { access: None, trunk: Some(trunk), keep_default: false })
    };
    assert_eq!(vlans("[]"), trunk(&[]));
    let text = r#"[{"id":7},{"minID":100,"maxID":110},{"minID":105,"maxID":120,"id":121}]"#;
    assert_eq!(vlans(text), trunk(&[(7, 7), (100, 121)]));
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (r#""mtu":"1500""#, 6, "key \"mtu\": expected an integer, found the string \"1500\""),
        (r#""vlan":4095"#, 7, "key \"vlan\": 4095 is outside 0..4094"),
        (r#""vlan":-1"#, 7, "key \"vlan\": -1 is outside 0..4094"),
        (r#""vlanTrunk":[{"id":0}]"#, 7, "key \"vlanTrunk[0].id\": 0 is outside 1..4094"),
        (
            r#""vlanTrunk":[{"minID":5}]"#,
            7,
            "key \"vlanTrunk[0]\": minID and maxID should be configured simultaneously, maxID is missing",
        ),
        (
            r#""vlanTrunk":[{"minID":5,"maxID":4}]"#,
            7,
            "key \"vlanTrunk[0]\": minID 5 is greater than maxID 4",
        ),
        (
            r#""bridge":"a/b""#,
            7,
            "key \"bridge\": interface name contains / or : or whitespace characters",
        ),
        (
            r#""isGateway":"yes""#,
            6,
            "key \"isGateway\": expected true or false, found the string \"yes\"",
        ),
        (
            r#""hairpinMode":true,"promiscMode":true"#,
            7,
            "cannot set hairpin mode and promiscuous mode at the same time",
        ),
        (
            r#""disableContainerInterface":true,"ipam":{"type":"static"}"#,
            7,
            "cannot use IPAM when DisableContainerInterface flag is set",
        ),
        (r#""ipMasqBackend":"pf""#, 7, "key \"ipMasqBackend\": unknown backend \"pf\""),
        (
            r#""runtimeConfig":{"mac":"01:00:5e:00:00:01"}"#,
            7,
            "key \"runtimeConfig.mac\": address 01:00:5e:00:00:01: a device needs a unicast MAC address",
        ),
        (
            r#""dns":{"nameservers":"1.1.1.1"}"#,
            6,
            "key \"dns.nameservers\": expected a list, found the string \"1.1.1.1\"",
        ),
    ];
    for (text, code, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
}

#[test]
fn an_empty_list_in_dns_replaces_what_ipam_gives_and_an_empty_object_does_not() {
    assert!(parse(r#","dns":{"search":[]}"#).unwrap().dns.is_some());
    assert!(parse(r#","dns":{}"#).unwrap().dns.is_none());
}

#[test]
fn gateways_are_the_first_host_unless_ipam_names_one() {
    let config = parse(r#","isGateway":true"#).unwrap();
    let ips = [("10.1.0.5/16", None), ("fd00::5/64", Some("fd00::ff"))];
    let plan = Layer3::new(&config, answer(&ips, &[])).unwrap();
    assert_eq!(plan.gateways, [cidr("10.1.0.1/16"), cidr("fd00::ff/64")]);
    assert!(plan.result.routes.is_empty());
    let error = Layer3::new(&config, answer(&[("10.0.0.1/32", None)], &[])).unwrap_err();
    assert_eq!(error.msg, "10.0.0.1/32 has no room for a gateway");
}

#[test]
fn each_family_gets_one_default_route_and_twice_the_same_route_is_one() {
    let config = parse(r#","isDefaultGateway":true"#).unwrap();
    let ips = [("10.1.0.5/16", None), ("10.2.0.5/16", None), ("fd00::5/64", None)];
    let routes = |given: &[&str]| {
        let plan = Layer3::new(&config, answer(&ips, given)).unwrap();
        plan.result.routes.iter().map(|r| r.dst.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(routes(&[]), ["0.0.0.0/0", "::/0"]);
    assert_eq!(
        routes(&["0.0.0.0/0", "10.9.0.0/16", "10.9.0.0/16"]),
        ["0.0.0.0/0", "10.9.0.0/16", "::/0"]
    );
}

#[test]
fn ipam_without_an_address_is_an_error() {
    let error = Layer3::new(&parse("").unwrap(), AddResult::default()).unwrap_err();
    assert_eq!(error.msg, "IPAM plugin returned missing IP config");
}
