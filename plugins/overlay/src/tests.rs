use cni::{Args, Config as Network, Error};

use crate::config::{Config, Etcd, Store};

fn parse(keys: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion": "1.1.0", "name": "blue", "type": "overlay"{keys}}}"#);
    Config::parse(&Network::parse(text.as_bytes()).unwrap(), &Args::default())
}

const STORE: &str = r#", "store": {"type": "static", "peers": "/etc/blue.json"}"#;

#[test]
fn what_is_not_said_is_what_is_usual() {
    let config = parse(STORE).unwrap();
    let Store::Static { peers, host: None } = &config.store else { panic!("{config:?}") };
    assert_eq!(peers.to_str(), Some("/etc/blue.json"));
    assert!(config.masquerade && config.mtu.is_none());
    assert_eq!(config.quarantine.as_secs(), 30);
    let etcd = parse(r#", "store": {"type": "etcd", "endpoints": ["https://192.0.2.1:2379"]}"#);
    let Store::Etcd(Etcd { store: Some(store), create: None }) = etcd.unwrap().store else {
        panic!("it is another store")
    };
    assert!(store.get().contains("192.0.2.1"), "{store}");
    let own = parse(r#", "store": {"type": "etcd"}, "create": {"pools": []}"#).unwrap().store;
    assert!(matches!(own, Store::Etcd(Etcd { store: None, create: Some(_) })), "{own:?}");
}

#[test]
fn what_cannot_be_is_named() {
    for (keys, says) in [
        ("", "key \"store\": missing"),
        (r#", "store": {}"#, "unknown store \"\""),
        (r#", "store": {"type": "consul"}"#, "unknown store \"consul\""),
        (r#", "store": {"type": "static"}"#, "key \"store.peers\": missing"),
        (
            r#", "store": {"type": "static", "peers": "blue.json"}"#,
            "\"blue.json\" is no whole path",
        ),
        (r#", "store": {"type": "etcd", "peers": "/a"}"#, "cannot use store.peers with"),
        (r#", "store": {"type": "etcd"}, "hostId": "a""#, "cannot use hostId with"),
        (&format!(r#"{STORE}, "hostId": "A""#), "a host's id has 1 to 64 lower-case"),
        (&format!(r#"{STORE}, "mtu": 12"#), "MTU 12 is outside"),
        (&format!(r#"{STORE}, "ipMasq": "yes""#), "ipMasq"),
        (&format!(r#"{STORE}, "quarantine": -1"#), "quarantine"),
    ] {
        let error = parse(keys).unwrap_err();
        assert!(error.msg.contains(says), "{keys}: {} does not say {says}", error.msg);
    }
}
