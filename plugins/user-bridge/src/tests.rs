use cni::{Args, Error};
use netfilter::{Class, HostAddress};
use types::Family;

use crate::config::{ARGS, Config};
use crate::registry::id;
use crate::subnets::Place;

fn parse_with(args: &str, keys: &str) -> Result<Config, Error> {
    let comma = if keys.is_empty() { "" } else { "," };
    let text =
        format!(r#"{{"cniVersion":"1.1.0","name":"web","type":"user-bridge"{comma}{keys}}}"#);
    let network = cni::Config::parse(text.as_bytes())?;
    Config::parse(&network, &Args::strict(args, ARGS)?)
}

fn parse(keys: &str) -> Result<Config, Error> {
    parse_with("", keys)
}

#[test]
fn an_empty_configuration_is_a_strict_network_that_is_masqueraded() {
    let config = parse("").unwrap();
    assert_eq!((config.apart.class, config.apart.icc), (Class::Strict, true));
    assert!(config.has_gateway && config.masquerade);
    assert_eq!((config.metric, config.bridge, config.mtu), (Some(100), None, None));
    let places: Vec<Place> = config.subnets.iter().map(|wanted| wanted.place).collect();
    assert_eq!(places, [Place::Picked(Family::V4, None)]);
}

#[test]
fn each_family_without_a_subnet_is_picked_where_it_is_wanted() {
    let v6 = "fd00::/64".parse().unwrap();
    let (any4, any6) = (Place::Picked(Family::V4, None), Place::Picked(Family::V6, None));
    for (keys, expected) in [
        (r#""ipv6":true"#, vec![any4, any6]),
        (r#""ipv4":false,"ipv6":true"#, vec![any6]),
        (r#""subnet":"fd00::/64""#, vec![any4, Place::Given(v6)]),
        (r#""subnet":"fd00::/64","ipv4":false"#, vec![Place::Given(v6)]),
        (r#""subnet":"0.0.0.0/26""#, vec![Place::Picked(Family::V4, Some(26))]),
    ] {
        let config = parse(keys).unwrap();
        let places: Vec<Place> = config.subnets.iter().map(|wanted| wanted.place).collect();
        assert_eq!(places, expected, "{keys}");
    }
}

#[test]
fn the_metric_follows_from_the_priority() {
    let metric = |keys: &str| parse(keys).unwrap().metric;
    assert_eq!(metric(r#""gwPriority":99"#), Some(1));
    assert_eq!(metric(r#""gwPriority":-5"#), Some(105));
    assert_eq!(metric(r#""metric":7"#), Some(7));
    assert_eq!(metric(r#""noDefaultRoute":true"#), None);
    assert_eq!(parse(r#""gwPriority":100"#).unwrap_err().code, 7);
}

#[test]
fn the_networks_binding_is_for_ports_without_an_address() {
    let hosts = |binding: &str| {
        let ports = r#"{"hostPort":1,"containerPort":1},{"hostPort":2,"containerPort":2,"hostIP":"192.0.2.9"}"#;
        let keys =
            format!(r#""hostBinding":"{binding}","runtimeConfig":{{"portMappings":[{ports}]}}"#);
        let config = parse(&keys).unwrap();
        let host = |port| config.mappings.iter().find(|one| one.host_port == port).unwrap().host;
        assert_eq!(host(2), HostAddress::One("192.0.2.9".parse().unwrap()));
        host(1)
    };
    assert_eq!(hosts(""), HostAddress::Any);
    assert_eq!(hosts("0.0.0.0"), HostAddress::Any);
    assert_eq!(hosts("::"), HostAddress::All(Family::V6));
    assert_eq!(hosts("192.0.2.1"), HostAddress::One("192.0.2.1".parse().unwrap()));
}

#[test]
fn one_family_has_its_own_gateway_mode_and_two_need_the_same() {
    let class = |keys: &str| parse(keys).map(|config| config.apart.class);
    assert_eq!(class(r#""gatewayMode4":"routed""#), Ok(Class::Routed));
    // There is no IPv6 in it.
    assert_eq!(class(r#""gatewayMode6":"routed""#), Ok(Class::Strict));
    assert_eq!(class(r#""ipv6":true,"gatewayMode":"nat-unprotected""#), Ok(Class::Unprotected));
    let error = class(r#""ipv6":true,"gatewayMode6":"routed""#).unwrap_err();
    assert!(error.msg.contains("routed for IPv6 and nat for IPv4"), "{}", error.msg);
}

#[test]
fn an_id_never_changes_between_versions() {
    let id = id(&"web".parse().unwrap());
    assert_eq!(id.len(), 64);
    assert!(id.starts_with("f7c5ee56c6dc"), "{id}");
}
