//! Single packets, and who has seen them. What is kept out must not arrive even once, so packets
//! are counted where they arrive and not by their answers.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_fixtures::Namespace;
use serde_json::Value;

/// Ends a case in which something that should arrive does not.
const DEADLINE: Duration = Duration::from_secs(5);
/// For what does not answer: the packet is sent at the beginning of it, and nothing is read from
/// how long it takes.
const NO_PATIENCE: Duration = Duration::from_millis(1);
/// Port of what has to get through in any case.
const CONTROL: u16 = 90;

/// What came by in a namespace, before its packet filter said anything about it.
pub(super) struct Seen {
    /// `from to protocol port`, `from to ping`.
    lines: BTreeSet<String>,
}

/// Begins to note what comes by in `namespace`, and what it sends itself.
pub(super) fn watch(namespace: &Namespace, is_v4: bool) {
    let (kind, ip, ping) = match is_v4 {
        true => ("ipv4_addr", "ip", "icmp type echo-request"),
        false => ("ipv6_addr", "ip6", "icmpv6 type echo-request"),
    };
    let rules = format!(
        "meta l4proto {{ tcp, udp }} add @seen {{ {ip} saddr . {ip} daddr . meta l4proto . th dport }}
         {ping} add @pings {{ {ip} saddr . {ip} daddr }}"
    );
    let text = format!(
        "table inet probe {{
           set seen {{ type {kind} . {kind} . inet_proto . inet_service; flags dynamic; size 65535; }}
           set pings {{ type {kind} . {kind}; flags dynamic; size 65535; }}
           chain in {{ type filter hook prerouting priority -310; {rules}
 }}
           chain out {{ type filter hook output priority -310; {rules}
 }}
         }}"
    );
    let file = format!("/run/probe-{}.nft", namespace.name());
    fs::write(&file, text).unwrap();
    namespace.run(&format!("nft -f {file}"));
}

impl Seen {
    /// All that was noted so far.
    pub(super) fn by(namespace: &Namespace) -> Self {
        let mut lines = BTreeSet::new();
        for set in ["seen", "pings"] {
            let listed = namespace.json(&format!("nft -j list set inet probe {set}"));
            collect(&listed, &mut lines);
        }
        Self { lines }
    }

    pub(super) fn has(&self, from: IpAddr, to: IpAddr, kind: Kind) -> bool {
        self.lines.contains(&format!("{from} {to}{}", kind.suffix()))
    }
}

/// Elements are `{"concat": ["10.0.0.1", "10.0.0.2", "tcp", 80]}`, wherever in the document.
fn collect(value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => match members.get("concat").and_then(Value::as_array) {
            Some(parts) => {
                let words = parts.iter().map(|part| match part {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                lines.insert(words.collect::<Vec<_>>().join(" "));
            }
            None => members.values().for_each(|member| collect(member, lines)),
        },
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, lines)),
        _ => {}
    }
}

/// A kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp(u16),
    Udp(u16),
    Ping,
}

impl Kind {
    fn suffix(self) -> String {
        match self {
            Self::Tcp(port) => format!(" tcp {port}"),
            Self::Udp(port) => format!(" udp {port}"),
            Self::Ping => String::new(),
        }
    }
}

/// Listens for TCP at `ports` of `namespace` until dropped; the kernel takes connections by itself.
pub(super) fn listen(namespace: &Namespace, at: IpAddr, ports: &[u16]) -> Vec<TcpListener> {
    let any: IpAddr = if at.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
    namespace.within(|| {
        let bind = |port: &u16| TcpListener::bind((any, *port));
        ports.iter().map(bind).collect::<Result<_, _>>().unwrap()
    })
}

/// Sends one packet; gives back whether it was answered, where answers are of the kind's nature and
/// `patient`. UDP is not answered.
pub(super) fn send(from: &Namespace, to: IpAddr, kind: Kind, patient: bool) -> bool {
    let deadline = if patient { DEADLINE } else { NO_PATIENCE };
    match kind {
        Kind::Tcp(port) => {
            from.within(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), deadline).is_ok())
        }
        Kind::Udp(port) => {
            let any: IpAddr = if to.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
            from.within(|| {
                let socket = UdpSocket::bind((any, 0)).unwrap();
                // A refusal that an earlier datagram met is told here as well.
                let _ = socket.send_to(b"probe", (to, port));
            });
            false
        }
        Kind::Ping => {
            let seconds = deadline.as_secs_f32();
            let ping = from.try_run(&format!("ping -n -c 1 -W {seconds} {to}"));
            assert_ne!(ping.status.code(), Some(2), "{}: {ping:?}", from.name());
            ping.status.success()
        }
    }
}

/// Claims that a connection from `from` reaches `to`, an address of `place`. What was sent on that
/// way before has then arrived, or never will.
#[track_caller]
pub(super) fn control(from: &Namespace, place: &Namespace, to: IpAddr) {
    let listeners = listen(place, to, &[CONTROL]);
    assert!(
        send(from, to, Kind::Tcp(CONTROL), true),
        "{} does not reach {} ({to})",
        from.name(),
        place.name()
    );
    drop(listeners);
}
