use cni::{Config, Error, Plugin};

use crate::{HostLocal, Static};

fn network(version: &str, ipam: &str, rest: &str) -> Config {
    let text = format!(r#"{{"cniVersion":"{version}","name":"n","ipam":{ipam}{rest}}}"#);
    Config::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn refusal(plugin: &dyn Plugin, config: &Config) -> (u32, String) {
    let Error { code, msg, .. } = plugin.validate(config).expect_err("a refusal");
    (code, msg)
}

#[test]
fn host_local_takes_ranges_in_every_form() {
    let forms = [
        (r#"{"subnet":"10.1.0.0/16","rangeStart":"","gateway":null}"#, ""),
        (r#"{"ranges":[[{"subnet":"10.1.0.0/16"}],[{"SUBNET":"fd00::/64","ipRange":"x"}]]}"#, ""),
        ("{}", r#","runtimeConfig":{"ipRanges":[[{"subnet":"10.1.0.0/16"}]]}"#),
        ("{}", r#","runtimeConfig":{"ipRanges":[{"Subnet":"10.1.0.0/16","RangeStart":""}]}"#),
        (
            r#"{"subnet":"10.1.0.0/16","exclude":["10.1.0.5","10.1.1.0/24","10.1.2.1-10.1.2.9"]}"#,
            "",
        ),
    ];
    for (ipam, rest) in forms {
        assert_eq!(HostLocal.validate(&network("1.1.0", ipam, rest)), Ok(()), "{ipam}{rest}");
    }
}

#[test]
fn host_local_says_which_key_is_wrong() {
    let cases = [
        ("{}", 7, "key \"ipam\": no IP ranges specified"),
        (r#"{"ranges":[[]]}"#, 7, "key \"ipam\": invalid range set 0: empty range set"),
        (r#"{"ranges":[[{}]]}"#, 7, "key \"ipam.ranges[0][0]\": a range needs a subnet"),
        (r#"{"ranges":{}}"#, 6, "key \"ipam.ranges\": expected a list, found an object"),
        (r#"{"ranges":[7]}"#, 6, "key \"ipam.ranges[0]\": expected a list, found the number 7"),
        (
            r#"{"ranges":[[{"subnet":"10.1.0.0"}]]}"#,
            7,
            "key \"ipam.ranges[0][0].subnet\": invalid CIDR address: 10.1.0.0",
        ),
        (
            r#"{"subnet":"10.1.0.0/16","gateway":"x"}"#,
            7,
            "key \"ipam.gateway\": invalid IP address: x",
        ),
        (
            r#"{"subnet":"10.1.0.0/16","quarantine":-1}"#,
            7,
            "key \"ipam.quarantine\": -1 is outside 0..604800",
        ),
        (
            r#"{"subnet":"10.1.0.0/16","exclude":["10.1.0.9-10.1.0.1"]}"#,
            7,
            "key \"ipam.exclude[0]\": \"10.1.0.9-10.1.0.1\" is no address, no network and no range FIRST-LAST of addresses of one family",
        ),
        (
            r#"{"subnet":"10.1.0.0/16","routes":[{"gw":"10.1.0.1"}]}"#,
            7,
            "key \"ipam.routes[0]\": a route needs a dst",
        ),
    ];
    for (ipam, code, msg) in cases {
        let told = refusal(&HostLocal, &network("1.1.0", ipam, ""));
        assert_eq!(told, (code, msg.to_owned()), "{ipam}");
    }
}

#[test]
fn two_sets_of_a_family_need_version_0_3() {
    let two = r#"{"ranges":[[{"subnet":"10.1.0.0/16"}],[{"subnet":"10.2.0.0/16"}]]}"#;
    let msg = "CNI version 0.2.0 does not support more than 1 address per family";
    assert_eq!(refusal(&HostLocal, &network("0.2.0", two, "")), (7, msg.to_owned()));
    assert_eq!(HostLocal.validate(&network("0.3.0", two, "")), Ok(()));
    let two = r#"{"addresses":[{"address":"10.1.0.2/16"},{"address":"10.2.0.2/16"}]}"#;
    assert_eq!(refusal(&Static, &network("0.2.0", two, "")), (7, msg.to_owned()));
}

#[test]
fn a_missing_resolv_conf_is_told_by_its_path() {
    let ipam = r#"{"subnet":"10.1.0.0/16","resolvConf":"/nowhere/resolv.conf"}"#;
    let (code, msg) = refusal(&HostLocal, &network("1.1.0", ipam, ""));
    assert_eq!(code, 5);
    assert!(msg.starts_with("read resolvConf /nowhere/resolv.conf: "), "{msg}");
}

#[test]
fn static_says_which_key_is_wrong() {
    let cases = [
        (r#"{"addresses":[{}]}"#, "", 7, "key \"ipam.addresses[0]\": an entry needs an address"),
        (
            r#"{"addresses":[{"address":"10.1.0.2"}]}"#,
            "",
            7,
            "key \"ipam.addresses[0].address\": invalid CIDR address: 10.1.0.2",
        ),
        (
            "{}",
            r#","runtimeConfig":{"ips":["10.1.0.2"]}"#,
            7,
            "key \"runtimeConfig.ips[0]\": invalid CIDR address: 10.1.0.2",
        ),
        (
            r#"{"dns":{"domain":7}}"#,
            "",
            6,
            "key \"ipam.dns.domain\": expected a string, found the number 7",
        ),
    ];
    for (ipam, rest, code, msg) in cases {
        let told = refusal(&Static, &network("1.1.0", ipam, rest));
        assert_eq!(told, (code, msg.to_owned()), "{ipam}{rest}");
    }
    assert_eq!(Static.validate(&network("1.1.0", "{}", "")), Ok(()));
}
