use cni::Config as Network;
use forwarded::Backend;
use netfilter::claim::Ingress;

use crate::config::Config;

fn parse(keys: &str) -> Result<Config, cni::Error> {
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"web","type":"firewall"{comma}{keys}}}"#);
    Config::parse(&Network::parse(text.as_bytes()).unwrap())
}

#[test]
fn an_unknown_backend_lets_the_host_choose_as_the_reference_does() {
    for (keys, backend) in [
        ("", Backend::Chosen),
        (r#""backend":"""#, Backend::Chosen),
        (r#""backend":"what""#, Backend::Chosen),
        (r#""backend":"iptables""#, Backend::Chains),
        (r#""backend":"firewalld""#, Backend::Firewalld),
        (r#""backend":"nftables""#, Backend::Nobody),
    ] {
        assert_eq!(parse(keys).unwrap().backend, backend, "{keys}");
    }
}

#[test]
fn what_is_left_out_is_the_references() {
    let config = parse(r#""iptablesAdminChainName":"","firewalldZone":"""#).unwrap();
    assert_eq!(config.admin_chain, "CNI-ADMIN");
    assert_eq!(config.zone.to_string(), "trusted");
    assert_eq!(config.ingress, Ingress::Open);
}

#[test]
fn wrong_values_are_named_by_their_key() {
    for (keys, why) in [
        (r#""ingressPolicy":"closed""#, "unknown ingress policy: \"closed\""),
        (r#""iptablesAdminChainName":"FORWARD""#, "\"FORWARD\" is no name of a chain"),
        (r#""iptablesAdminChainName":"a b""#, "\"a b\" is no name of a chain"),
        (r#""iptablesAdminChainName":"12345678901234567890123456789""#, "is no name of a chain"),
    ] {
        let error = parse(keys).unwrap_err();
        assert_eq!(error.code, 7, "{keys}");
        assert!(error.msg.contains(why), "{keys}: {}", error.msg);
    }
}

#[test]
fn a_policy_needs_the_bridge_in_the_result() {
    assert_eq!(parse("").unwrap().bridge().unwrap(), None);
    let error = parse(r#""ingressPolicy":"isolated""#).unwrap().bridge().unwrap_err();
    assert!(error.msg.contains("has no bridge"), "{}", error.msg);
    let result = r#""ingressPolicy":"same-bridge","prevResult":{"cniVersion":"1.1.0",
        "interfaces":[{"name":"cni0","mac":"02:00:00:00:00:01"}],"ips":[]}"#;
    assert_eq!(parse(result).unwrap().bridge().unwrap(), Some("cni0".parse().unwrap()));
}
