//! What it is for: containers find each other. All else about answers is in `tests/dns`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_fixtures::{Container, lab_with_plugins};
use serde_json::json;

use super::{add_with, dnsname, eth0, named_with};
use crate::battery::Family;
use crate::chain::Chain;
use crate::under_test::with_keys;
use crate::uplink::bridge;

/// Asks for the IPv4 address of `name` within `container`, at `server`.
#[track_caller]
pub(crate) fn resolved(container: &Container, server: &str, name: &str) -> Option<Ipv4Addr> {
    let server = SocketAddr::new(server.parse::<IpAddr>().unwrap(), 53);
    let mut query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend(b"\x00\x00\x01\x00\x01");
    let reply = container.within(|| {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => "0.0.0.0:0".parse().unwrap(),
            SocketAddr::V6(_) => "[::]:0".parse().unwrap(),
        };
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.connect(server).unwrap();
        socket.send(&query).unwrap();
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).map_err(|e| format!("{server} about {name}: {e}"))?;
        Ok::<_, String>(reply[..length].to_vec())
    });
    let reply = reply.unwrap();
    assert_eq!(reply[..2], query[..2], "{reply:?}");
    // One record, whose data ends the message unless there is more than the question asked for.
    let answers = u16::from_be_bytes([reply[6], reply[7]]);
    assert!(answers <= 1, "{reply:?}");
    let address: [u8; 4] = reply[reply.len() - 4..].try_into().unwrap();
    (answers == 1).then(|| address.into())
}

#[test]
fn containers_find_each_other_at_their_gateway_and_at_127_0_0_11() {
    lab_with_plugins(|lab| {
        for (resolver, servers) in
            [("auto", &["10.1.0.1", "fd00:1::1", "127.0.0.11"][..]), ("netns", &["127.0.0.11"])]
        {
            let chain = named_with(lab, Family::Dual, &json!({ "resolver": resolver }));
            let named = |name: &str| {
                let c = lab.container(&format!("{name}-{resolver}"));
                c.run("ip link set dev lo up");
                add_with(&chain, &c, &format!("K8S_POD_NAME={name}"));
                c.settle();
                c
            };
            let (web, db) = (named("web"), named("db"));
            lab.host().settle();
            let address: Ipv4Addr =
                db.addresses("eth0")[0].split('/').next().unwrap().parse().unwrap();
            for server in servers {
                for name in ["db", "DB.dns.podman", "db.net"] {
                    assert_eq!(resolved(&web, server, name), Some(address), "{server}: {name}");
                }
            }
            chain.del(eth0(&db));
            for server in servers {
                assert_eq!(resolved(&web, server, "db"), None, "{server}");
            }
            chain.del(eth0(&web));
        }
    });
}

#[test]
fn a_container_on_two_networks_finds_names_of_both_until_it_leaves_one() {
    lab_with_plugins(|lab| {
        let first = named_with(lab, Family::V4, &json!({}));
        // Its default route is there already.
        let second = with_keys(
            bridge(Family::V4, 2),
            &json!({ "isDefaultGateway": false, "isGateway": true }),
        );
        let second = Chain::new(lab, &[second, dnsname()]).network("other");
        let [both, web, db] = ["both", "web", "db"].map(|name| lab.container(name));
        both.run("ip link set dev lo up");
        let eth1 = eth0(&both).ifname("eth1");
        first.add(eth0(&both));
        second.add(eth1);
        first.add(eth0(&web));
        second.add(eth0(&db));
        [&both, &web, &db].into_iter().for_each(|c| c.settle());
        let found = |name| resolved(&both, "127.0.0.11", name).map(|address| address.octets()[1]);
        assert_eq!((found("web"), found("db")), (Some(1), Some(2)));
        first.del(eth0(&both));
        assert!(second.check(eth1).is_ok());
        assert_eq!((found("web.net"), found("db")), (None, Some(2)));
        second.del(eth1);
        assert!(!both.run("nft list tables").contains("cais"), "a table is left");
    });
}
