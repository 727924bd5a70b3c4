use cni::{AddResult, Args, Dns, Error, Ip, Route};
use kernel::link::MacvlanMode;
use sublinks::config::{Config, Place};
use sublinks::plan;
use types::Cidr;

use crate::config;
use crate::link::Macvlan;

fn parse_with(args: &str, text: &str) -> Result<(Config, Macvlan), Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"macvlan"{text}}}"#);
    let network = cni::Config::parse(text.as_bytes())?;
    config::parse(&network, &Args::strict(args, &["MAC"])?)
}

fn parse(text: &str) -> Result<(Config, Macvlan), Error> {
    parse_with("", text)
}

#[test]
fn an_empty_configuration_is_mode_bridge_on_the_link_of_the_default_route() {
    let (config, macvlan) = parse("").unwrap();
    assert_eq!((&config.master.name, config.master.place), (&None, Place::Host));
    assert_eq!((config.mtu, config.mac, &config.ipam), (None, None, &None));
    assert_eq!((macvlan.mode, macvlan.broadcast_queue), (MacvlanMode::Bridge, None));
    let nothing = r#","master":"","mode":"","mtu":0,"mac":"","bcqueuelen":0,"sources":[],
        "linkInContainer":false,"ipam":{"type":""}"#;
    assert_eq!(parse(nothing), parse(""));
}

#[test]
fn of_all_places_for_a_mac_the_key_is_the_weakest_and_the_runtime_the_strongest() {
    let mac = |args, text: &str| {
        parse_with(args, text).unwrap().0.mac.map(|mac| mac.to_string()).unwrap_or_default()
    };
    let key = r#","mac":"c2:00:00:00:00:00""#;
    assert_eq!(mac("", key), "c2:00:00:00:00:00");
    let env = "MAC=c2:00:00:00:00:01";
    assert_eq!(mac(env, key), "c2:00:00:00:00:01");
    let args = format!(r#"{key},"args":{{"cni":{{"mac":"c2:00:00:00:00:02"}}}}"#);
    assert_eq!(mac(env, &args), "c2:00:00:00:00:02");
    let all = format!(r#"{args},"runtimeConfig":{{"mac":"c2:00:00:00:00:03"}}"#);
    assert_eq!(mac(env, &all), "c2:00:00:00:00:03");
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (r#""mtu":-1"#, 7, "key \"mtu\": -1 is outside 0..4294967295"),
        (r#""mode":"hub""#, 7, "key \"mode\": unknown macvlan mode: \"hub\""),
        (
            r#""bcqueuelen":4294967296"#,
            7,
            "key \"bcqueuelen\": 4294967296 is outside 0..4294967295",
        ),
        (
            r#""master":"a/b""#,
            7,
            "key \"master\": interface name contains / or : or whitespace characters",
        ),
        (
            r#""mac":"01:00:5e:00:00:01""#,
            7,
            "key \"mac\": address 01:00:5e:00:00:01: a device needs a unicast MAC address",
        ),
        (
            r#""mode":"source""#,
            7,
            "key \"sources\": mode source without addresses would let nothing in",
        ),
        (r#""sources":["c2:00:00:00:00:01"]"#, 7, "key \"sources\": only mode source looks at it"),
        (
            r#""linkInContainer":"yes""#,
            6,
            "key \"linkInContainer\": expected true or false, found the string \"yes\"",
        ),
    ];
    for (text, code, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
    let error = parse(r#","mode":"source","sources":["c2:00:00:00:00:01","x"]"#).unwrap_err();
    assert!(error.msg.starts_with("key \"sources[1]\": "), "{error}");
}

fn answer(addresses: &[&str], routes: &[&str]) -> AddResult {
    let cidr = |text: &str| -> Cidr { text.parse().unwrap() };
    let ip = |address: &&str| Ip { interface: Some(7), address: cidr(address), gateway: None };
    AddResult {
        ips: addresses.iter().map(ip).collect(),
        routes: routes.iter().map(|dst| Route::via(cidr(dst), None)).collect(),
        dns: Dns { domain: "of-ipam".into(), ..Dns::default() },
        ..AddResult::default()
    }
}

#[test]
fn all_addresses_are_the_links_and_twice_the_same_route_is_one() {
    let (config, _) = parse("").unwrap();
    let routes = ["0.0.0.0/0", "10.9.0.0/16", "10.9.0.0/16"];
    let result = plan::result(&config, answer(&["10.1.0.5/16", "fd00::5/64"], &routes)).unwrap();
    assert!(result.ips.iter().all(|ip| ip.interface == Some(plan::LINK)));
    let shown: Vec<String> = result.routes.iter().map(|route| route.dst.to_string()).collect();
    assert_eq!(shown, ["0.0.0.0/0", "10.9.0.0/16"]);
}

#[test]
fn dns_is_that_of_ipam_unless_the_configuration_has_its_own() {
    let domain = |text: &str| {
        let (config, _) = parse(text).unwrap();
        plan::result(&config, answer(&["10.1.0.5/16"], &[])).unwrap().dns.domain
    };
    assert_eq!(domain(""), "of-ipam");
    assert_eq!(domain(r#","dns":{}"#), "of-ipam");
    assert_eq!(domain(r#","dns":{"domain":"own"}"#), "own");
    assert_eq!(domain(r#","dns":{"search":[]}"#), "");
}

#[test]
fn ipam_without_an_address_is_an_error() {
    let (config, _) = parse("").unwrap();
    let error = plan::result(&config, answer(&[], &[])).unwrap_err();
    assert_eq!(error.msg, "IPAM plugin returned missing IP config");
}
