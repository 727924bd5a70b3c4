//! Configuration, wire and conversation, without a network.

use std::net::Ipv4Addr;
use std::time::Duration;

use cni::{Args, Config as Network};
use serde_json::json;
use types::{Attachment, MacAddr};

use crate::config::{self, Config, Spec};
use crate::exchange::{Client, Exchange, Heard, Patience, release};
use crate::frame::{self, Way};
use crate::lease::Lease;
use crate::options;
use crate::wire::{Kind, Message, Options, option};

const MAC: MacAddr = MacAddr::from_bytes([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: MacAddr = MacAddr::from_bytes([2, 0, 0, 0, 0, 9]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 10);

fn network(ipam: &serde_json::Value) -> Network {
    let text = json!({ "cniVersion": "1.1.0", "name": "lan", "ipam": ipam }).to_string();
    Network::parse(text.as_bytes()).unwrap()
}

fn parse(ipam: &serde_json::Value) -> Result<Config, cni::Error> {
    config::parse(&network(ipam))
}

fn key() -> Attachment {
    Attachment {
        network: "lan".parse().unwrap(),
        container: "c1".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

fn spec(ipam: &serde_json::Value, args: &str) -> Spec {
    parse(ipam).unwrap().spec(&key(), &Args::lenient(args)).unwrap()
}

#[test]
fn the_client_id_is_that_of_the_reference_and_can_be_another() {
    let id = |spec: &Spec| spec.provide.iter().find(|(n, _)| *n == 61).unwrap().1.clone();
    assert_eq!(id(&spec(&json!({}), "")), b"\0c1/lan/eth0");
    let provide = json!({ "provide": [{ "option": "dhcp-client-identifier", "value": "x" }] });
    assert_eq!(id(&spec(&provide, "")), b"x");
    let long = "c".repeat(300).parse().unwrap();
    assert_eq!(options::client_id("lan", &long, "eth0").len(), 255);
}

#[test]
fn an_argument_wins_over_a_value_and_nothing_is_provided_without_either() {
    let ipam = json!({ "provide": [{ "option": "12", "value": "a", "fromArg": "NAME" }] });
    let name = |args: &str| spec(&ipam, args).provide.last().unwrap().1.clone();
    assert_eq!(name("NAME=b=c"), b"b=c");
    assert_eq!(name("OTHER=b"), b"a");
    let ipam = json!({ "provide": [{ "option": "12", "fromArg": "NAME" }] });
    assert_eq!(spec(&ipam, "").provide.len(), 1);
}

#[test]
fn what_is_asked_for_is_listed_once_and_in_order() {
    let asked = |request| spec(&json!({ "request": request }), "").request;
    assert_eq!(asked(json!([])), [121, 33, 3, 1, 6, 15, 119, 26]);
    assert_eq!(asked(json!([{ "option": "42" }, { "option": "3" }]))[..4], [42, 3, 121, 33]);
    assert_eq!(asked(json!([{ "option": "42", "skipDefault": true }])), [42]);
    assert_eq!(asked(json!([{ "skipDefault": true }])), [1, 3, 15, 6]);
}

#[test]
fn a_wrong_configuration_is_named() {
    let text = |ipam| parse(&ipam).unwrap_err().msg;
    assert_eq!(
        text(json!({ "provide": [{ "option": "53", "value": "x" }] })),
        "key \"ipam.provide[0]\": option 53 is not for configurations to give"
    );
    assert_eq!(
        text(json!({ "request": [{ "option": "256" }] })),
        "key \"ipam.request[0].option\": 256 is no option: a number up to 255, or a name"
    );
    assert_eq!(
        text(json!({ "provide": [{}] })),
        "key \"ipam.provide[0]\": an entry needs an option"
    );
    let without = Network::parse(br#"{"cniVersion":"1.1.0","name":"lan"}"#).unwrap();
    assert_eq!(config::parse(&without).unwrap_err().msg, "IPAM config missing 'ipam' key");
}

fn client() -> Client {
    let provide = vec![(61, b"\0id".to_vec())];
    Client { mac: MAC, spec: Spec { provide, request: vec![1, 3] }, broadcast: false }
}

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(10),
    resend_most: Duration::from_secs(62),
    total: Duration::from_secs(208),
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server's frame.
fn answer(kind: Kind, xid: u32, more: &[(u8, &[u8])]) -> Vec<u8> {
    let mut message = Message::new(kind, xid, MAC);
    message.options.set(option::SERVER, SERVER.octets());
    message.options.set(option::SUBNET_MASK, [255, 255, 255, 0]);
    message.options.set(option::LEASE_TIME, 1000_u32.to_be_bytes());
    for (number, value) in more {
        message.options.set(*number, *value);
    }
    let mut bytes = message.encode();
    bytes[0] = 2; // a reply
    bytes[16..20].copy_from_slice(&ADDRESS.octets());
    from_server(&bytes)
}

/// The frame that a server would send: ours with the ports the other way round.
fn from_server(message: &[u8]) -> Vec<u8> {
    let way = Way { from_mac: SERVER_MAC, from: SERVER, to_mac: MAC, to: ADDRESS };
    let mut frame = frame::encode(&way, message);
    frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
    frame
}

/// Where a frame goes, and what it says.
fn read(frame: &[u8]) -> (Ipv4Addr, Ipv4Addr, [u8; 6], u8, Vec<u8>) {
    let address = |at: usize| Ipv4Addr::from(*frame[at..].first_chunk::<4>().unwrap());
    let kind = frame[42 + 240 + 2];
    (address(26), address(30), *frame.first_chunk().unwrap(), kind, frame[42..].to_vec())
}

fn lease(options: &[(u8, &[u8])]) -> Lease {
    let mut exchange = Exchange::discover(None, 7, at(100));
    let _ = exchange.send(&client(), &PATIENCE, at(100));
    assert_eq!(exchange.hear(&answer(Kind::Offer, 7, options), &client(), at(100)), Heard::Offer);
    let _ = exchange.send(&client(), &PATIENCE, at(100));
    match exchange.hear(&answer(Kind::Ack, 7, options), &client(), at(101)) {
        Heard::Granted(lease) => lease,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_is_asked_for_in_two_steps_and_taken_from_who_offered_it() {
    let mut exchange = Exchange::discover(None, 7, at(100));
    let (from, to, mac, kind, _) = read(&exchange.send(&client(), &PATIENCE, at(100)));
    assert_eq!((from, to), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    assert_eq!((mac, kind), ([0xff; 6], 1));
    for (other, why) in [
        (answer(Kind::Offer, 8, &[]), "another conversation"),
        (answer(Kind::Ack, 7, &[]), "nothing was asked"),
        (answer(Kind::Offer, 7, &[(option::SERVER, b"")]), "no server"),
    ] {
        assert_eq!(exchange.hear(&other, &client(), at(100)), Heard::Nothing, "{why}");
    }
    assert_eq!(exchange.hear(&answer(Kind::Offer, 7, &[]), &client(), at(100)), Heard::Offer);
    assert_eq!(exchange.due(), at(100));
    let (_, to, _, kind, message) = read(&exchange.send(&client(), &PATIENCE, at(100)));
    assert_eq!((to, kind), (Ipv4Addr::BROADCAST, 3));
    let has = |bytes: &[u8]| message.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&[50, 4, 10, 9, 0, 10]) && has(&[54, 4, 10, 9, 0, 1]) && has(b"\x3d\x03\0id"));
    let other = answer(Kind::Ack, 7, &[(option::SERVER, &[10, 9, 0, 2])]);
    assert_eq!(exchange.hear(&other, &client(), at(100)), Heard::Nothing, "another server");
    assert_eq!(exchange.hear(&answer(Kind::Nak, 7, &[]), &client(), at(100)), Heard::Refused);
}

#[test]
fn an_offer_that_is_not_kept_leads_to_another_search() {
    let mut exchange = Exchange::discover(None, 7, at(100));
    let _ = exchange.send(&client(), &PATIENCE, at(100));
    exchange.hear(&answer(Kind::Offer, 7, &[]), &client(), at(100));
    let _ = exchange.send(&client(), &PATIENCE, at(100));
    assert_eq!(read(&exchange.send(&client(), &PATIENCE, at(109))).3, 3);
    assert_eq!(read(&exchange.send(&client(), &PATIENCE, at(110))).3, 1);
}

#[test]
fn questions_are_sent_twice_as_late_each_time_up_to_the_most() {
    let mut exchange = Exchange::discover(None, 0, at(0));
    let mut waits = Vec::new();
    for _ in 0..10 {
        let now = exchange.due();
        let _ = exchange.send(&client(), &PATIENCE, now);
        waits.push((exchange.due() - now).as_millis());
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 62000, 62000, 62000]);
}

#[test]
fn renewal_goes_to_the_server_alone_and_rebinding_to_all() {
    let lease = lease(&[]);
    assert_eq!(
        (lease.renew_at(), lease.rebind_at(), lease.ends_at()),
        (at(600), at(975), at(1100))
    );
    let mut renewal = Exchange::prolong(&lease, 7, at(600));
    let (from, to, mac, kind, message) = read(&renewal.send(&client(), &PATIENCE, at(600)));
    assert_eq!((from, to, mac, kind), (ADDRESS, SERVER, SERVER_MAC.bytes(), 3));
    assert_eq!(message[12..16], ADDRESS.octets());
    assert!(!message.windows(6).any(|window| window == [54, 4, 10, 9, 0, 1]));
    let mut rebinding = Exchange::prolong(&lease, 7, at(975));
    let (from, to, mac, _, _) = read(&rebinding.send(&client(), &PATIENCE, at(975)));
    assert_eq!((from, to, mac), (ADDRESS, Ipv4Addr::BROADCAST, [0xff; 6]));
    let other = answer(Kind::Ack, 7, &[(option::SERVER, &[10, 9, 0, 2])]);
    assert_eq!(renewal.hear(&other, &client(), at(976)), Heard::Nothing);
    let Heard::Granted(prolonged) = rebinding.hear(&other, &client(), at(976)) else { panic!() };
    assert_eq!((prolonged.server(), prolonged.ends_at()), (Some([10, 9, 0, 2].into()), at(1975)));
}

#[test]
fn a_release_goes_from_the_address_to_the_server() {
    let frame = release(&lease(&[]), &client(), 7).unwrap();
    let (from, to, mac, kind, message) = read(&frame);
    assert_eq!((from, to, mac, kind), (ADDRESS, SERVER, SERVER_MAC.bytes(), 7));
    assert_eq!(message[12..16], ADDRESS.octets());
}

#[test]
fn times_are_in_order_whatever_the_server_says() {
    let time = |seconds: u32| seconds.to_be_bytes();
    let times = |t1, t2| {
        let lease = lease(&[(58, &time(t1)), (59, &time(t2))]);
        [lease.renew_at(), lease.rebind_at(), lease.ends_at()].map(|at| at.as_secs() - 100)
    };
    assert_eq!(times(10, 20), [10, 20, 1000]);
    assert_eq!(times(30, 20), [20, 20, 1000]);
    assert_eq!(times(2000, 3000), [500, 875, 1000]);
    assert_eq!(lease(&[(51, &time(0))]).ends_at(), at(102));
    assert_eq!(lease(&[(51, b"")]).ends_at(), at(100 + 3600));
}

fn routes(options: &[(u8, &[u8])]) -> Vec<String> {
    let result = lease(options).result(0).unwrap();
    let gw = |route: &cni::Route| route.gw.map_or("-".to_owned(), |gw| gw.to_string());
    result.routes.iter().map(|r| format!("{} {} {:?}", r.dst, gw(r), r.scope)).collect()
}

#[test]
fn routes_come_from_one_option_or_from_the_others() {
    let router: (u8, &[u8]) = (3, &[10, 9, 0, 1, 10, 9, 0, 2]);
    let fixed: (u8, &[u8]) = (33, &[10, 0, 0, 0, 10, 9, 0, 3, 192, 168, 1, 7, 10, 9, 0, 4]);
    assert_eq!(
        routes(&[router, fixed]),
        ["10.0.0.0/8 10.9.0.3 None", "192.168.1.0/24 10.9.0.4 None", "0.0.0.0/0 10.9.0.1 None"]
    );
    let classless: (u8, &[u8]) = (121, &[24, 10, 8, 1, 10, 9, 0, 5, 32, 10, 7, 0, 1, 0, 0, 0, 0]);
    assert_eq!(
        routes(&[router, fixed, classless]),
        ["10.8.1.0/24 10.9.0.5 None", "10.7.0.1/32 0.0.0.0 Some(253)"]
    );
    assert_eq!(routes(&[(121, &[24, 10, 8, 1, 10, 9, 0, 5, 33, 1, 2, 3, 4, 5])]).len(), 1);
    assert_eq!(routes(&[]), [""; 0]);
}

#[test]
fn names_are_read_compressed_and_as_far_as_they_are_whole() {
    let search = |bytes: &[u8]| lease(&[(119, bytes)]).result(0).unwrap().dns.search;
    // RFC 3397 §2: eng.apple.com. and marketing.apple.com.
    let example = b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04";
    assert_eq!(search(example), ["eng.apple.com", "marketing.apple.com"]);
    assert_eq!(search(b"\x01a\0\x03b"), ["a"]);
    assert_eq!(search(b"\xc0\x00"), [""; 0], "a name that is itself");
    assert_eq!(search(b"\x03a\nb\0"), [""; 0], "a line of its own in resolv.conf");
}

#[test]
fn a_mask_that_is_none_gives_no_address() {
    let has_address = |mask: &[u8]| lease(&[(1, mask)]).result(0).is_some();
    assert!(has_address(&[255, 255, 254, 0]));
    assert!(!has_address(&[255, 0, 255, 0]));
    assert!(!has_address(&[255, 255, 0]));
}

#[test]
fn long_options_are_split_and_put_together_and_overloaded_fields_are_read() {
    let mut message = Message::new(Kind::Offer, 7, MAC);
    message.options.set(119, vec![7; 300]);
    let mut bytes = message.encode();
    bytes[0] = 2;
    assert_eq!(Message::parse(&bytes).unwrap().options.get(119).unwrap(), [7; 300]);
    let mut message = Message::new(Kind::Offer, 7, MAC);
    message.options.set(option::OVERLOAD, [1]);
    let mut bytes = message.encode();
    bytes[0] = 2;
    bytes[108..114].copy_from_slice(&[15, 3, b'l', b'a', b'n', 255]);
    assert_eq!(Message::parse(&bytes).unwrap().options.text(15), Some("lan"));
    assert_eq!(Options::default().text(15), None);
}

#[test]
fn torn_frames_and_messages_are_none() {
    let frame = answer(Kind::Offer, 7, &[]);
    assert_eq!(frame::decode(&frame).unwrap().0, SERVER_MAC);
    for length in 0..frame.len() {
        assert_eq!(frame::decode(&frame[..length]), None, "cut at {length}");
    }
    let message = frame::decode(&frame).unwrap().1.to_vec();
    for length in 0..message.len() {
        let _ = Message::parse(&message[..length]);
    }
    let mut other = frame;
    other[24] ^= 1; // a checksum of IP that is wrong
    assert_eq!(frame::decode(&other), None);
}

#[test]
fn what_is_said_and_remembered_comes_back() {
    let key: crate::control::Key = (&key()).into();
    let spec = spec(&json!({}), "");
    let what = crate::store::What {
        netns: "/run/netns/c1".to_owned(),
        inode: 7,
        boot: "b".to_owned(),
        mac: MAC.bytes(),
        mtu: 1500,
        priority: 0,
        spec: spec.clone(),
        lease: Some(lease(&[])),
    };
    let entry = crate::store::Entry { key: key.attachment().unwrap(), what };
    let text = crate::store::text(&entry);
    assert_eq!(crate::store::parse(&text), Some(entry));
    for length in 0..text.len() {
        assert_eq!(crate::store::parse(&text[..length]), None, "cut at {length}");
    }
    let reply = crate::control::Reply::Lease { lease: Box::new(lease(&[])) };
    let text = serde_json::to_vec(&reply).unwrap();
    assert_eq!(serde_json::from_slice::<crate::control::Reply>(&text).unwrap(), reply);
}

/// Else fuzzers would begin with nothing.
#[test]
fn what_fuzzers_begin_with_is_understood() {
    macro_rules! corpus {
        ($name:literal) => {
            &include_bytes!(concat!("../../../fuzz/corpus/", $name))[..]
        };
    }
    for (frame, kind) in
        [(corpus!("dhcp_frame/offer"), Kind::Offer), (corpus!("dhcp_frame/ack"), Kind::Ack)]
    {
        let message = Message::parse(frame::decode(frame).unwrap().1).unwrap();
        assert_eq!((message.kind, message.xid, message.chaddr), (kind, 7, MAC));
        let result = Lease::of(&message, SERVER_MAC, at(0)).result(0).unwrap();
        assert_eq!(result.dns.search, ["eng.lan", "a.lan"]);
    }
    let entry = crate::store::parse(corpus!("dhcp_entry/lease")).unwrap();
    assert!(entry.what.lease.unwrap().result(0).is_some());
    for request in [corpus!("dhcp_request/add"), corpus!("dhcp_request/del")] {
        serde_json::from_slice::<crate::control::Request>(request).unwrap();
    }
}
