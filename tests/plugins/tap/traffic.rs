//! What it is all for: frames between the namespace and the program behind the tap.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use netns_fixtures::Container;
use serde_json::json;

use super::{attached, lab_with_taps, with, with_addresses};

/// How long a frame may take. It is there to end a test, not to measure.
const DEADLINE: Duration = Duration::from_secs(2);

const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const BROADCAST: [u8; 6] = [0xff; 6];

/// The machine behind a tap: 10.1.0.9 at 02:00:00:00:00:09.
struct Machine {
    queue: std::fs::File,
    frames: Receiver<Vec<u8>>,
}

impl Machine {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const IP: [u8; 4] = [10, 1, 0, 9];

    /// Opens the queue of the container's tap.
    fn behind(container: &Container) -> Self {
        let queue = container.within(|| kernel::link::open_tap(&"eth0".parse().unwrap())).unwrap();
        let (sender, frames) = channel();
        let mut reader = queue.try_clone().unwrap();
        // It ends with the tap, or with the case's process.
        thread::spawn(move || {
            let mut frame = [0; 2048];
            while let Ok(length) = reader.read(&mut frame) {
                if sender.send(frame[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { queue, frames }
    }

    fn send(&mut self, to: &[u8], kind: [u8; 2], payload: &[u8]) {
        let frame = [to, &Self::MAC, &kind, payload].concat();
        self.queue.write_all(&frame).expect("the tap takes a frame");
    }

    /// The payload of the first frame of `kind` of which `is_meant` holds, and who sent it.
    #[track_caller]
    fn receive(&self, kind: [u8; 2], is_meant: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Vec<u8>) {
        let end = Instant::now() + DEADLINE;
        let mut others = Vec::new();
        while let Ok(frame) =
            self.frames.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            if frame[12..14] == kind && is_meant(&frame[14..]) {
                return (frame[14..].to_vec(), frame[6..12].to_vec());
            }
            others.push(frame);
        }
        panic!("no such frame within 2 s, but {others:x?}");
    }
}

/// RFC 826: request (1) or reply (2) of an Ethernet and IPv4 address to another.
fn arp(operation: u8, (mac, ip): (&[u8], &[u8]), (to_mac, to_ip): (&[u8], &[u8])) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation], mac, ip, to_mac, to_ip].concat()
}

/// An IPv4 packet with a UDP datagram that goes without a checksum (RFC 768).
fn udp(
    (from, from_port): ([u8; 4], u16),
    (to, to_port): ([u8; 4], u16),
    payload: &[u8],
) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let total = length(28 + payload.len());
    let mut header = [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, 17, 0, 0], &from, &to].concat();
    let sum: u32 = header.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    let ports = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
    [header, ports, length(8 + payload.len()).to_vec(), vec![0, 0], payload.to_vec()].concat()
}

const CONTAINER: [u8; 4] = [10, 1, 0, 5];

#[test]
fn what_the_namespace_sends_comes_out_of_the_tap_and_what_is_written_to_it_arrives() {
    lab_with_taps(|lab| {
        let c = attached(lab, "c1", &with_addresses(&["10.1.0.5/24"]));
        let mut machine = Machine::behind(&c);
        let socket = c.within(|| UdpSocket::bind("10.1.0.5:4000")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send_to(b"hello", "10.1.0.9:5000").unwrap();
        // Who has 10.1.0.9?
        let asks = |arp: &[u8]| arp[7] == 1 && arp[24..28] == Machine::IP;
        let (_, asker) = machine.receive(ARP, asks);
        let reply = arp(2, (&Machine::MAC, &Machine::IP), (&asker, &CONTAINER));
        machine.send(&asker, ARP, &reply);
        let (packet, _) = machine.receive(IPV4, |packet| packet[9] == 17);
        assert_eq!((&packet[12..16], &packet[16..20]), (&CONTAINER[..], &Machine::IP[..]));
        assert_eq!(&packet[28..], b"hello");

        machine.send(&asker, IPV4, &udp((Machine::IP, 5000), (CONTAINER, 4000), b"welcome"));
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], from.to_string().as_str()),
            (&b"welcome"[..], "10.1.0.9:5000")
        );
    });
}

#[test]
fn a_machine_behind_a_tap_on_a_bridge_reaches_what_is_on_the_bridge() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev br0 type bridge");
        c.run("ip addr add 10.1.0.5/24 dev br0");
        c.run("ip link set dev br0 up");
        lab.add("tap", &c, &with(super::layer2(), "bridge", json!("br0")));
        let mut machine = Machine::behind(&c);
        c.wait_until_up("br0");
        let asked = arp(1, (&Machine::MAC, &Machine::IP), (&[0; 6], &CONTAINER));
        machine.send(&BROADCAST, ARP, &asked);
        let (_, answerer) = machine.receive(ARP, |arp| arp[7] == 2 && arp[14..18] == CONTAINER);
        let shown: Vec<String> = answerer.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(c.link("br0").unwrap()["address"], shown.join(":"));
    });
}
