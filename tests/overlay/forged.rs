//! Packets that pretend to come from containers elsewhere.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_fixtures::{Namespace, lab_with_plugins};

use super::{Resident, Town, Underlay, blue};

/// For so long a packet is waited for that is to arrive.
const ARRIVES: Duration = Duration::from_secs(2);
/// For so long one that is not.
const DOES_NOT: Duration = Duration::from_millis(300);

/// The port that a container listens at.
const INSIDE: u16 = 7777;

/// A UDP packet from `from` to the victim's socket, in a frame, in VXLAN.
struct Forged<'a> {
    vni: u32,
    /// From the device's address on the victim's host.
    to_mac: [u8; 6],
    from: IpAddr,
    victim: &'a Resident<'a>,
}

impl Forged<'_> {
    fn bytes(&self) -> Vec<u8> {
        let to = *self
            .victim
            .addresses()
            .iter()
            .find(|to| to.is_ipv4() == self.from.is_ipv4())
            .expect("the victim has both families");
        let mut bytes = vec![0x08, 0, 0, 0];
        bytes.extend((self.vni << 8).to_be_bytes());
        bytes.extend(self.to_mac);
        bytes.extend([0x02, 0, 0, 0, 0, 0x66]);
        bytes.extend(packet(self.from, to));
        bytes
    }

    /// Sends it from `sender` to the underlay address of the victim's host.
    fn send(&self, sender: &Namespace) {
        let town = self.victim.town;
        let to: IpAddr = town.address(self.victim.number).parse().unwrap();
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let bytes = self.bytes();
        sender.within(|| {
            let socket = UdpSocket::bind(any).unwrap();
            socket.send_to(&bytes, SocketAddr::new(to, 4789)).unwrap();
        });
    }
}

/// Ethertype and IP packet with `UDP` and the payload `forged`.
fn packet(from: IpAddr, to: IpAddr) -> Vec<u8> {
    const PAYLOAD: &[u8] = b"forged";
    let length = (8 + PAYLOAD.len()) as u16;
    let mut udp =
        [INSIDE.to_be_bytes(), INSIDE.to_be_bytes(), length.to_be_bytes(), [0; 2]].concat();
    udp.extend(PAYLOAD);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + length).to_be_bytes());
            header.extend([0, 1, 0, 0, 64, 17, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [vec![0x08, 0x00], header, udp].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let ends = [from.octets(), to.octets()].concat();
            let pseudo =
                [&ends[..], &u32::from(length).to_be_bytes(), &[0, 0, 0, 17], &udp].concat();
            let sum = checksum(&pseudo);
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([17, 64]);
            header.extend(ends);
            [vec![0x86, 0xdd], header, udp].concat()
        }
        _ => panic!("{from} and {to} are of different families"),
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or_default()));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded + (folded >> 16)) as u16)
}

/// A socket in a container.
struct Ear(UdpSocket);

impl Ear {
    fn open(place: &Namespace) -> Self {
        Self(place.within(|| UdpSocket::bind(("::", INSIDE)).unwrap()))
    }

    /// Whether something comes within `limit`.
    fn hears(&self, limit: Duration) -> bool {
        self.0.set_read_timeout(Some(limit)).unwrap();
        self.0.recv_from(&mut [0; 64]).is_ok()
    }
}

fn mac(host: &Namespace, device: &str) -> [u8; 6] {
    let link = host.link(device).unwrap_or_else(|| panic!("no {device}"));
    let text = link["address"].as_str().unwrap().to_owned();
    let bytes: Vec<u8> = text.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Forges from a stranger and from a peer that lies, with the guard and without.
fn forgeries_reach_nobody(underlay: Underlay) {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 3, underlay);
        let victim = town.resident(1, "c1", &blue());
        let _peer = town.resident(2, "c2", &blue());
        let stranger = town.plug_in("stranger", 66);
        let device = if underlay == Underlay::V4 { "ov-001007" } else { "ov6-001007" };
        let to_mac = mac(town.host(1), device);
        let ear = Ear::open(&victim.container);
        let forged = |from: &str| {
            let from = from.parse().unwrap();
            Forged { vni: 4103, to_mac, from, victim: &victim }
        };
        // Addresses of the second host and of the third, whose routes lead back by the tunnel.
        let cases = [
            ("a stranger, IPv4", &stranger, "10.77.2.99"),
            ("a stranger, IPv6", &stranger, "fd77:0:0:2::99"),
            ("a peer with another's address, IPv4", town.host(2), "10.77.3.99"),
            ("a peer with another's address, IPv6", town.host(2), "fd77:0:0:3::99"),
        ];
        for own in ["10.77.2.99", "fd77:0:0:2::99"] {
            forged(own).send(town.host(2));
            assert!(ear.hears(ARRIVES), "a peer with an address of its own, {own}");
        }
        for (who, sender, from) in cases {
            forged(from).send(sender);
            assert!(!ear.hears(DOES_NOT), "{who} reaches a container");
        }
        let rules = town.host(1).run("nft list table inet cais-overlay");
        let chain = if underlay == Underlay::V4 { "over4" } else { "over6" };
        let of_chain = rules.split(&format!("chain {chain}")).nth(1).unwrap();
        assert!(of_chain.contains("counter packets 4"), "all were dropped there: {rules}");
        // Whatever else keeps them out would make this case worth nothing.
        town.host(1).run("nft delete table inet cais-overlay");
        for (who, sender, from) in cases {
            forged(from).send(sender);
            assert!(ear.hears(ARRIVES), "{who}: without the guard it arrives");
        }
    });
}

#[test]
fn packets_of_strangers_and_of_peers_that_lie_reach_nobody() {
    forgeries_reach_nobody(Underlay::V4);
}

#[test]
fn packets_of_strangers_and_of_peers_that_lie_reach_nobody_over_ipv6() {
    forgeries_reach_nobody(Underlay::V6);
}

#[test]
fn frames_that_are_not_ip_and_packets_without_their_headers_are_dropped() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let victim = town.resident(1, "c1", &blue());
        let mut arp = vec![0x08, 0, 0, 0, 0, 0x10, 0x07, 0];
        arp.extend([0xff; 6]);
        arp.extend([0x02, 0, 0, 0, 0, 0x66, 0x08, 0x06]);
        arp.extend([0; 28]);
        for bytes in [&arp[..], &arp[..18], &arp[..6]] {
            town.host(2).within(|| {
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                socket.send_to(bytes, (town.address(1).as_str(), 4789)).unwrap();
            });
        }
        let rules = town.host(1).run("nft list table inet cais-overlay");
        let dropped = |chain: &str| {
            let of_chain = rules.split(&format!("chain {chain}")).nth(1).unwrap();
            let count = of_chain.split("counter packets ").nth(1).unwrap();
            count.split(' ').next().unwrap().to_owned()
        };
        assert_eq!((dropped("over4"), dropped("tunnelled")), ("2".into(), "1".into()), "{rules}");
        victim.check();
    });
}

#[test]
fn networks_of_others_on_the_same_port_are_left_alone() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let _a = town.resident(1, "c1", &blue());
        for (number, other) in [(1, 2), (2, 1)] {
            let host = town.host(number);
            host.run(&format!(
                "ip link add dev theirs type vxlan id 9 dstport 4789 local 10.99.0.{number} \
                 remote 10.99.0.{other}"
            ));
            host.run(&format!("ip addr add 10.55.0.{number}/24 dev theirs"));
            host.run("ip link set dev theirs up");
        }
        town.host(2).assert_reaches_at(town.host(1), "10.55.0.1".parse().unwrap());
    });
}

#[test]
fn a_container_cannot_send_tunnel_packets_in_its_hosts_name() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let victim = town.resident(1, "c1", &blue());
        let attacker = town.resident(2, "c2", &blue());
        let to_mac = mac(town.host(1), "ov-001007");
        let ear = Ear::open(&victim.container);
        let neighbour = "10.77.2.99".parse().unwrap();
        let forged = Forged { vni: 4103, to_mac, from: neighbour, victim: &victim };
        forged.send(&attacker.container);
        assert!(!ear.hears(DOES_NOT), "masqueraded, it looks like the host's");
        town.host(2).run("nft delete table inet cais-overlay");
        forged.send(&attacker.container);
        assert!(ear.hears(ARRIVES), "without the guard on its own host it arrives");
    });
}
