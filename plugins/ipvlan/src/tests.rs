use attach::ipam::Addresses as _;
use cni::{AddResult, Error, Interface, Ip};
use kernel::link::{IpvlanFlag, IpvlanMode};
use sublinks::config::{Config, Place};

use crate::chain::{self, Previous};
use crate::config;
use crate::link::Ipvlan;

fn parse(text: &str) -> Result<(Config, Ipvlan), Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"ipvlan"{text}}}"#);
    config::parse(&cni::Config::parse(text.as_bytes())?)
}

#[test]
fn an_empty_configuration_is_mode_l2_on_the_link_of_the_default_route() {
    let (config, ipvlan) = parse("").unwrap();
    assert_eq!((&config.master.name, config.master.place), (&None, Place::Host));
    assert_eq!((config.mtu, config.mac, &config.ipam), (None, None, &None));
    assert_eq!(ipvlan, Ipvlan { mode: IpvlanMode::L2, flag: IpvlanFlag::Bridge });
    let nothing = r#","master":"","mode":"","flag":"","mtu":0,"linkInContainer":false,
        "ipam":{"type":""}"#;
    assert_eq!(parse(nothing), parse(""));
}

#[test]
fn modes_and_flags_go_by_the_names_that_iproute2_has() {
    let parsed = |mode: &str, flag: &str| {
        let ipvlan = parse(&format!(r#","mode":"{mode}","flag":"{flag}""#)).unwrap().1;
        (ipvlan.mode, ipvlan.flag)
    };
    assert_eq!(parsed("l2", "bridge"), (IpvlanMode::L2, IpvlanFlag::Bridge));
    assert_eq!(parsed("l3", "private"), (IpvlanMode::L3, IpvlanFlag::Private));
    assert_eq!(parsed("l3s", "vepa"), (IpvlanMode::L3s, IpvlanFlag::Vepa));
}

/// The kernel has the master's for all of them.
#[test]
fn no_place_for_a_mac_is_read() {
    let everywhere = r#","mac":"x","args":{"cni":{"mac":"x"}},"runtimeConfig":{"mac":"x"}"#;
    assert_eq!(parse(everywhere), parse(""));
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""mode":"l4""#, 7, "key \"mode\": unknown ipvlan mode: \"l4\""),
        (r#""flag":"hub""#, 7, "key \"flag\": unknown ipvlan flag: \"hub\""),
        (r#""mode":3"#, 6, "key \"mode\": expected a string, found the number 3"),
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (
            r#""master":"a/b""#,
            7,
            "key \"master\": interface name contains / or : or whitespace characters",
        ),
    ];
    for (text, code, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
    let error = parse(r#","mode":"l4""#).unwrap_err();
    assert!(error.to_string().contains("use one of l2, l3, l3s"), "{error}");
}

fn result(interfaces: &[&str], addresses: &[&str]) -> AddResult {
    let interface = |name: &&str| Interface { name: (*name).into(), ..Interface::default() };
    let ip =
        |address: &&str| Ip { interface: None, address: address.parse().unwrap(), gateway: None };
    AddResult {
        interfaces: interfaces.iter().map(interface).collect(),
        ips: addresses.iter().map(ip).collect(),
        ..AddResult::default()
    }
}

#[test]
fn the_master_of_a_chain_is_the_single_named_interface_before() {
    assert_eq!(chain::master(&result(&["ens5"], &[])).unwrap().as_str(), "ens5");
    for (interfaces, why) in [
        (&[][..], "lacks a single named interface: it has 0"),
        (&["a", "b"], "lacks a single named interface: it has 2"),
        (&[""], "the interface \"\" of prevResult cannot be it: "),
        (&["a/b"], "the interface \"a/b\" of prevResult cannot be it: "),
    ] {
        let error = chain::master(&result(interfaces, &[])).unwrap_err();
        assert!(error.code == 7 && error.msg.contains(why), "{error}");
    }
}

#[test]
fn without_ipam_the_addresses_are_those_of_the_plugin_before() {
    let previous = Previous::of(Some(result(&["ens5"], &["10.1.0.5/16"]))).unwrap();
    assert!(previous.is_in_process());
    for none in [None, Some(result(&["ens5"], &[]))] {
        let error = Previous::of(none).err().unwrap();
        let text = "key \"ipam.type\" is missing, and there is no prevResult with addresses";
        assert_eq!((error.code, error.msg.as_str()), (7, text));
    }
}
