use std::net::IpAddr;
use std::time::{Duration, Instant};

use kernel::link::{self, Dev, Veth};
use kernel::netlink::Socket;
use kernel::netns::{self, Netns};
use kernel::sysctl::Key;
use kernel::{addr, announce, neigh};
use types::MacAddr;

use crate::isolation::{cidr, dev, here, ip, isolated, mac, name};

const OLD: &str = "02:00:00:00:00:99";

/// A neighbour that knows old Ethernet addresses of a container, and the container.
struct Pair {
    host: Socket,
    veth0: Dev,
    container: Netns,
    inside: Socket,
    eth0: Dev,
    mac: MacAddr,
}

fn pair() -> Pair {
    let (host, container) = (here(), netns::create_unnamed().unwrap());
    let mac = mac("02:00:00:00:00:02");
    let veth = Veth::new(name("veth0"), name("eth0")).up().peer_mac(mac).peer_netns(&container);
    host.run(&veth.create()).unwrap();
    let inside = container.socket().unwrap();
    let (veth0, eth0) = (dev(&host, "veth0"), dev(&inside, "eth0"));
    host.run_all(&[addr::add(&veth0, cidr("10.0.0.1/24")), addr::add(&veth0, cidr("fd00::1/64"))])
        .unwrap();
    inside
        .run_all(&[
            addr::add(&eth0, cidr("10.0.0.2/24")),
            addr::add(&eth0, cidr("fd00::2/64")),
            link::set(&eth0).up().request(),
        ])
        .unwrap();
    link::wait_until_operational(&host, &veth0, Duration::from_secs(10)).unwrap();
    ip(&format!("neigh replace 10.0.0.2 lladdr {OLD} nud stale dev veth0"));
    ip(&format!("neigh replace fd00::2 lladdr {OLD} nud stale dev veth0"));
    Pair { host, veth0, container, inside, eth0, mac }
}

impl Pair {
    /// Looks until the neighbour knows the new address behind `ip`.
    #[track_caller]
    fn assert_learnt(&self, ip: &str) {
        let ip: IpAddr = ip.parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let known = neigh::list(&self.host, &self.veth0).unwrap();
            let entry = known.iter().find(|neigh| neigh.ip == ip);
            if entry.is_some_and(|neigh| neigh.mac == Some(self.mac)) {
                return;
            }
            assert!(Instant::now() < deadline, "{ip} is still {entry:?}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_gratuitous_arp_replaces_what_neighbours_know() {
    isolated(|| {
        let pair = pair();
        let sent = pair
            .container
            .run(|| announce::gratuitous_arp(&pair.eth0, pair.mac, "10.0.0.2".parse().unwrap()));
        sent.unwrap().unwrap();
        pair.assert_learnt("10.0.0.2");
    });
}

#[test]
fn an_unsolicited_advertisement_replaces_what_neighbours_know() {
    isolated(|| {
        let pair = pair();
        let sent = pair
            .container
            .run(|| announce::unsolicited_na(&pair.eth0, pair.mac, "fd00::2".parse().unwrap()));
        sent.unwrap().unwrap();
        pair.assert_learnt("fd00::2");
    });
}

#[test]
fn the_kernel_announces_all_addresses_of_a_link_when_asked() {
    isolated(|| {
        let pair = pair();
        pair.container
            .run(|| {
                let eth0 = name("eth0");
                Key::conf_v4(&eth0, "arp_notify").write("1").unwrap();
                Key::conf_v6(&eth0, "ndisc_notify").write("1").unwrap();
            })
            .unwrap();
        pair.inside.run(&announce::by_kernel(&pair.eth0, pair.mac)).unwrap();
        pair.assert_learnt("10.0.0.2");
        pair.assert_learnt("fd00::2");
    });
}

#[test]
fn an_announcement_on_a_missing_link_says_what_and_where() {
    isolated(|| {
        let gone = Dev::new(4711, "gone0");
        let error =
            announce::gratuitous_arp(&gone, mac(OLD), "10.0.0.2".parse().unwrap()).unwrap_err();
        assert!(
            error.to_string().starts_with("announce 10.0.0.2 on gone0: No such device"),
            "{error}"
        );
    });
}
