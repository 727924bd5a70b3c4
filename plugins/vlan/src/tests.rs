use cni::Error;
use kernel::link::VlanProtocol;
use sublinks::config::{Config, Place};

use crate::config;
use crate::link::Vlan;

fn parse(text: &str) -> Result<(Config, Vlan, String), Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"vlan"{text}}}"#);
    config::parse(&cni::Config::parse(text.as_bytes())?)
}

/// With master and IPAM.
fn complete(text: &str) -> Result<(Config, Vlan, String), Error> {
    parse(&format!(r#","master":"eth0","ipam":{{"type":"static"}}{text}"#))
}

#[test]
fn without_an_id_it_is_0_of_the_usual_tag() {
    let (config, vlan, ipam) = complete("").unwrap();
    assert_eq!(config.master.name.as_ref().unwrap().as_str(), "eth0");
    assert_eq!((config.master.place, config.mtu), (Place::Host, None));
    assert_eq!(vlan, Vlan { id: None, protocol: VlanProtocol::Dot1Q, mtu: None });
    assert_eq!(ipam, "static");
    let nothing = r#","vlanId":0,"protocol":"","mtu":0,"linkInContainer":false"#;
    assert_eq!(complete(nothing), complete(""));
}

#[test]
fn every_id_and_both_tags_can_be_had() {
    for number in [1, 50, 4094] {
        let vlan = complete(&format!(r#","vlanId":{number}"#)).unwrap().1;
        assert_eq!(vlan.id.unwrap().get(), number);
    }
    let protocol = |name: &str| complete(&format!(r#","protocol":"{name}""#)).unwrap().1.protocol;
    assert_eq!(protocol("802.1q"), VlanProtocol::Dot1Q);
    assert_eq!(protocol("802.1ad"), VlanProtocol::Dot1Ad);
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""vlanId":4095"#, 7, "key \"vlanId\": 4095 is outside 0..4094"),
        (r#""vlanId":-1"#, 7, "key \"vlanId\": -1 is outside 0..4094"),
        (r#""protocol":"802.3""#, 7, "key \"protocol\": unknown vlan protocol: \"802.3\""),
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (r#""master":"""#, 7, "key \"master\" is required by vlan"),
        (r#""ipam":{}"#, 7, "key \"ipam.type\" is required by vlan"),
    ];
    for (text, code, msg) in cases {
        let error = complete(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
    assert!(parse("").unwrap_err().msg.contains("\"master\""));
}
