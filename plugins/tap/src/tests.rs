use cni::{Args, Error};

use crate::config::{self, Config};

fn parse_with(args: &str, text: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"tap"{text}}}"#);
    let network = cni::Config::parse(text.as_bytes())?;
    config::parse(&network, &Args::strict(args, &["MAC"])?)
}

fn parse(text: &str) -> Result<Config, Error> {
    parse_with("", text)
}

#[test]
fn an_empty_configuration_is_a_tap_of_one_queue_and_nobodys() {
    let config = parse("").unwrap();
    assert!(!config.multi_queue);
    assert_eq!((config.mtu, config.mac, config.bridge.as_ref()), (None, None, None));
    assert_eq!((config.owner, config.group, config.context.as_ref()), (None, None, None));
    let nothing = r#","multiQueue":false,"mtu":0,"mac":"","owner":null,"group":null,
        "selinuxContext":"","bridge":"","ipam":{"type":""}"#;
    assert_eq!(parse(nothing).unwrap(), config);
}

#[test]
fn root_is_an_owner_as_others_are() {
    let config = parse(r#","owner":0,"group":4294967294"#).unwrap();
    assert_eq!((config.owner, config.group), (Some(0), Some(4_294_967_294)));
}

#[test]
fn of_all_places_for_a_mac_the_key_is_the_weakest_and_the_runtime_the_strongest() {
    let mac = |args, text: &str| {
        parse_with(args, text).unwrap().mac.map(|mac| mac.to_string()).unwrap_or_default()
    };
    let key = r#","mac":"c2:00:00:00:00:00""#;
    assert_eq!(mac("", key), "c2:00:00:00:00:00");
    let env = "MAC=c2:00:00:00:00:01";
    assert_eq!(mac(env, key), "c2:00:00:00:00:01");
    let all = format!(r#"{key},"runtimeConfig":{{"mac":"c2:00:00:00:00:03"}}"#);
    assert_eq!(mac(env, &all), "c2:00:00:00:00:03");
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""mtu":67"#, 7, "key \"mtu\": MTU 67 is outside 68..65535 bytes"),
        (r#""mtu":65522"#, 7, "key \"mtu\": a tap has at most 65521 bytes, not 65522"),
        (r#""owner":-1"#, 7, "key \"owner\": -1 is outside 0..4294967294"),
        (r#""group":4294967295"#, 7, "key \"group\": 4294967295 is outside 0..4294967294"),
        (
            r#""bridge":"a/b""#,
            7,
            "key \"bridge\": interface name contains / or : or whitespace characters",
        ),
        (
            r#""selinuxContext":"container_t""#,
            7,
            "key \"selinuxContext\": that is no SELinux context",
        ),
        (r#""multiQueue":1"#, 6, "key \"multiQueue\": expected true or false, found the number 1"),
    ];
    for (text, code, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert_eq!((error.code, error.msg.as_str()), (code, msg), "{text}");
    }
}
