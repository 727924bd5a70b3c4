use cni::{AddResult, Args, Error, Ip, Route};
use kernel::link::Dev;
use types::Cidr;

use crate::config::{self, Config};
use crate::plan::Layer3;

fn parse_with(args: &str, text: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"ptp"{text}}}"#);
    config::parse(&cni::Config::parse(text.as_bytes())?, &Args::lenient(args))
}

fn parse(text: &str) -> Result<Config, Error> {
    parse_with("", &format!(r#","ipam":{{"type":"static"}}{text}"#))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// What IPAM may answer: addresses with their gateways.
fn answer(ips: &[(&str, &str)]) -> AddResult {
    let ip = |(address, gateway): &(&str, &str)| Ip {
        address: cidr(address),
        gateway: gateway.parse().ok(),
        interface: None,
    };
    AddResult { ips: ips.iter().map(ip).collect(), ..AddResult::default() }
}

fn plan(ips: &[(&str, &str)]) -> Result<Layer3, Error> {
    Layer3::new(&parse("").unwrap(), answer(ips))
}

/// Destination, next hop and source of each route of the container.
fn inside(plan: &Layer3) -> Vec<String> {
    let word = |ip: Option<std::net::IpAddr>| ip.map_or("-".to_owned(), |ip| ip.to_string());
    let routes = plan.inside(&Dev::new(7, "eth0"));
    routes.iter().map(|r| format!("{} {} {}", r.dst, word(r.gw), word(r.src))).collect()
}

#[test]
fn the_least_configuration_names_an_ipam_plugin() {
    let config = parse("").unwrap();
    assert_eq!((config.masquerade, config.mtu, config.mac), (false, None, None));
    assert_eq!(config.ipam, "static");
    let nothing = r#","ipMasqBackend":"","mtu":0,"dns":{},"runtimeConfig":{"mac":""}"#;
    assert_eq!(parse(nothing), Ok(config));
    for none in ["", r#","ipam":{}"#, r#","ipam":{"type":""}"#] {
        let error = parse_with("", none).unwrap_err();
        assert_eq!((error.code, &*error.msg), (7, "key \"ipam.type\" is required by ptp"));
    }
}

#[test]
fn of_cni_args_the_mac_alone_is_looked_at() {
    let ipam = r#","ipam":{"type":"static"}"#;
    let mac = |args| parse_with(args, ipam).unwrap().mac.map(|mac| mac.to_string());
    assert_eq!(mac("nonsense;A=B;MAC=c2:00:00:00:00:01").as_deref(), Some("c2:00:00:00:00:01"));
    assert_eq!(mac("mac=c2:00:00:00:00:01"), None);
    let error = parse_with("MAC=x", ipam).unwrap_err();
    assert_eq!(error.code, 4, "{error}");
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (r#""ipMasqBackend":"pf""#, 7, "key \"ipMasqBackend\": unknown backend \"pf\""),
        (
            r#""ipMasq":"yes""#,
            6,
            "key \"ipMasq\": expected true or false, found the string \"yes\"",
        ),
        (
            r#""runtimeConfig":{"mac":"01:00:5e:00:00:01"}"#,
            7,
            "key \"runtimeConfig.mac\": address 01:00:5e:00:00:01: a device needs a unicast MAC address",
        ),
    ];
    for (text, code, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
}

#[test]
fn a_gateway_is_on_the_wire_and_its_subnet_behind_it() {
    let plan = plan(&[("10.1.0.5/24", "10.1.0.1"), ("fd00::5/64", "fe80::1")]).unwrap();
    assert_eq!(
        inside(&plan),
        [
            "10.1.0.1/32 - 10.1.0.5",
            "10.1.0.0/24 10.1.0.1 10.1.0.5",
            "fe80::1/128 - fd00::5",
            "fd00::/64 fe80::1 fd00::5",
        ]
    );
    assert_eq!(plan.gateways, [cidr("10.1.0.1/32"), cidr("fe80::1/128")]);
    assert_eq!(plan.peers, [cidr("10.1.0.5/32"), cidr("fd00::5/128")]);
    assert!(plan.result.ips.iter().all(|ip| ip.interface == Some(1)));
}

#[test]
fn what_two_addresses_share_is_made_once() {
    let ips =
        [("10.1.0.5/24", "10.1.0.1"), ("10.1.0.6/24", "10.1.0.1"), ("10.1.0.7/24", "10.1.0.2")];
    let plan = plan(&ips).unwrap();
    assert_eq!(
        inside(&plan),
        ["10.1.0.1/32 - 10.1.0.5", "10.1.0.0/24 10.1.0.1 10.1.0.5", "10.1.0.2/32 - 10.1.0.7"]
    );
    assert_eq!(plan.gateways, [cidr("10.1.0.1/32"), cidr("10.1.0.2/32")]);
    assert_eq!(plan.peers.len(), 3);
}

#[test]
fn a_subnet_of_one_address_has_no_route_of_its_own() {
    let plan = plan(&[("10.1.0.5/32", "169.254.1.1")]).unwrap();
    assert_eq!(inside(&plan), ["169.254.1.1/32 - 10.1.0.5"]);
}

#[test]
fn what_ipam_must_not_answer_is_refused() {
    let msg = |ips: &[(&str, &str)]| plan(ips).unwrap_err().msg;
    assert_eq!(msg(&[]), "IPAM plugin returned missing IP config");
    let cases = [
        ("", "the IPAM plugin gave it no gateway"),
        ("fd00::1", "its gateway fd00::1 is of another family"),
        ("10.1.0.5", "it is its own gateway"),
    ];
    for (gateway, why) in cases {
        assert_eq!(msg(&[("10.1.0.5/24", gateway)]), format!("route to 10.1.0.5/24: {why}"));
    }
}

#[test]
fn twice_the_same_route_is_one() {
    let route = Route::via(cidr("0.0.0.0/0"), None);
    let ipam =
        AddResult { routes: vec![route.clone(), route], ..answer(&[("10.1.0.5/24", "10.1.0.1")]) };
    assert_eq!(Layer3::new(&parse("").unwrap(), ipam).unwrap().result.routes.len(), 1);
}
