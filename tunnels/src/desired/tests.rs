use peers::{Limits, StaticFile, accept};

use super::*;

const FILE: &str = r#"{"v": 1, "vni": 4103, "pools": ["10.77.0.0/16", "fd77::/48"], "hosts": [
    {"id": "a", "underlay": ["192.0.2.11", "2001:db8::11"],
     "blocks": ["10.77.1.0/24", "fd77:0:0:1::/64", "10.77.9.0/24"]},
    {"id": "b", "underlay": "192.0.2.12", "mtu": 1400, "blocks": ["10.77.2.0/24"]},
    {"id": "c", "underlay": "2001:db8::13", "mtu": 9000,
     "blocks": ["10.77.3.0/24", "fd77:0:0:3::/64", "10.77.4.0/24"]}]}"#;

fn desired(mtu: Option<u32>) -> Result<Desired, Error> {
    let file = StaticFile::parse(FILE.as_bytes()).unwrap();
    let mut network = file.network("blue".parse().unwrap());
    network.mtu = mtu.map(|mtu| Mtu::try_from(mtu).unwrap());
    let own = &file.hosts[0];
    let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
    assert_eq!(accepted.refused, []);
    let links = [("192.0.2.11", 1500), ("2001:db8::11", 1500)];
    let links = links.map(|(ip, mtu)| (ip.parse().unwrap(), mtu)).into_iter().collect();
    Desired::new(&network, own, &accepted, &links)
}

#[test]
fn each_family_of_the_underlay_has_a_device_with_its_own_mtu() {
    let desired = desired(None).unwrap();
    let seen: Vec<(&str, u32)> =
        desired.ends.iter().map(|end| (end.device.as_str(), end.mtu.get())).collect();
    assert_eq!(seen, [("ov-001007", 1450), ("ov6-001007", 1430)]);
    assert_eq!(desired.mtu.get(), 1430);
}

#[test]
fn a_host_with_a_smaller_underlay_gets_its_own_mtu_on_the_way() {
    let desired = desired(None).unwrap();
    let remotes: Vec<&Remote> = desired.ends.iter().flat_map(|end| &end.remotes).collect();
    let mtus: Vec<Option<u32>> = remotes.iter().map(|remote| remote.blocks[0].mtu).collect();
    assert_eq!(mtus, [Some(1350), None], "1400 less 50; 9000 is more than ours");
}

#[test]
fn the_first_block_of_a_family_names_the_next_hop() {
    let desired = desired(None).unwrap();
    let ways: Vec<String> = desired.ends[1].remotes[0]
        .blocks
        .iter()
        .map(|via| format!("{} via {}", via.block, via.hop))
        .collect();
    assert_eq!(
        ways,
        [
            "10.77.3.0/24 via 10.77.3.0",
            "fd77:0:0:3::/64 via fd77:0:0:3::",
            "10.77.4.0/24 via 10.77.3.0"
        ]
    );
}

#[test]
fn every_block_of_this_host_has_a_gateway_and_each_family_an_address() {
    let desired = desired(None).unwrap();
    let texts = |all: &[Cidr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&desired.gateways), ["10.77.1.1/24", "fd77:0:0:1::1/64", "10.77.9.1/24"]);
    let own = texts(&desired.ends[0].addresses);
    assert_eq!(own, ["10.77.1.1/32", "fd77:0:0:1::1/128"]);
}

#[test]
fn an_mtu_that_is_given_counts_for_all() {
    let desired = desired(Some(1300)).unwrap();
    assert_eq!(desired.mtu.get(), 1300);
    assert!(desired.ends.iter().all(|end| end.remotes[0].blocks[0].mtu.is_none()));
}

#[test]
fn what_is_to_be_hidden_is_never_sent_in_the_clear() {
    let file = StaticFile::parse(FILE.as_bytes()).unwrap();
    let network =
        Network { encryption: Encryption::Wireguard, ..file.network("blue".parse().unwrap()) };
    let accepted = accept(&network, &file.hosts[0], &file.hosts, &file.blocks, Limits::STATIC);
    let links = Underlays::default();
    let error = Desired::new(&network, &file.hosts[0], &accepted, &links).unwrap_err();
    assert_eq!(error.to_string(), "make network blue: encryption is not supported");
}

#[test]
fn an_address_that_the_host_lacks_is_named() {
    let file = StaticFile::parse(FILE.as_bytes()).unwrap();
    let network = file.network("blue".parse().unwrap());
    let accepted = accept(&network, &file.hosts[0], &file.hosts, &file.blocks, Limits::STATIC);
    let error = Desired::new(&network, &file.hosts[0], &accepted, &Underlays::default());
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "make network blue: no link of this host has the underlay address 192.0.2.11");
}
