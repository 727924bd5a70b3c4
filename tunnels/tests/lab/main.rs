//! The data path against the running kernel, judged from outside by iproute2 and nft.
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod guard;
mod repair;

use kernel::netlink::Socket;
use netns_fixtures::{Lab, Namespace};
use peers::{Limits, StaticFile, accept};
use tunnels::{Change, Desired, Error, Underlays};

/// Two hosts and a third that nobody made.
const FILE: &str = r#"{"v": 1, "vni": 4103, "pools": ["10.77.0.0/16", "fd77::/48"], "hosts": [
    {"id": "a", "underlay": "10.99.0.1", "blocks": ["10.77.1.0/24", "fd77:0:0:1::/64"]},
    {"id": "b", "underlay": "10.99.0.2", "blocks": ["10.77.2.0/24", "fd77:0:0:2::/64"]},
    {"id": "c", "underlay": "10.99.0.3", "blocks": ["10.77.3.0/24", "fd77:0:0:3::/64"]}]}"#;

/// What host `id` has to have by `file`.
fn desired(socket: &Socket, file: &str, id: &str) -> Desired {
    let file = StaticFile::parse(file.as_bytes()).unwrap();
    let network = file.network("blue".parse().unwrap());
    let own = file.find(Some(&id.parse().unwrap()), &[]).unwrap();
    let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
    assert_eq!(accepted.refused, []);
    Desired::new(&network, own, &accepted, &Underlays::read(socket).unwrap()).unwrap()
}

/// Reconciles host `id` within its namespace.
fn reconcile(host: &Namespace, file: &str, id: &str) -> Result<Vec<Change>, Error> {
    host.within(|| {
        let socket = Socket::open("a host").unwrap();
        tunnels::reconcile(&socket, &desired(&socket, file, id))
    })
}

/// Two hosts with a wire, and the network on the first.
fn two_hosts(lab: &Lab) -> (Namespace, Namespace) {
    let (a, b) = lab.two_hosts();
    reconcile(&a, FILE, "a").unwrap();
    (a, b)
}
