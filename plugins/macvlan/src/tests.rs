use cni::{Args, Error};
use kernel::link::MacvlanMode;
use sublinks::config::{Config, Place};

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
