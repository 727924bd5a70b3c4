//! Tracked connections, made and judged by conntrack(8).

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use kernel::conntrack::{Filter, count, flush};
use kernel::netlink::Socket;

use crate::isolation::{cidr, isolated};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

const HOST: &str = "192.0.2.1";
const CLIENT: &str = "198.51.100.7";
const CONTAINER: &str = "10.88.0.2";
const OLD: &str = "10.88.0.9";

/// More than are copied instead of walking four times.
const MANY: usize = 16_000;

fn here() -> Socket {
    Socket::open_netfilter("the test's namespace").unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Ports of the client, one for each entry, so that entries are told apart by them.
type Name = u16;

/// The line that makes an entry: `from` to `to` on `port`, answered by `by` towards `back`.
fn entry(name: Name, protocol: &str, [from, to, by, back]: [&str; 4], port: u16) -> String {
    let state = match protocol {
        "tcp" => " --state ESTABLISHED",
        "sctp" => " --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
        _ => "",
    };
    format!(
        "-I -p {protocol} -s {from} -d {to} --sport {name} --dport {port} -r {by} \
         -q {back} --reply-port-src {port} --reply-port-dst {name} --timeout 600{state}\n"
    )
}

/// Makes entries, all of them or the case fails.
#[track_caller]
fn track(lines: &str) {
    let mut program = Command::new("conntrack")
        .args(["-R", "/proc/self/fd/0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("conntrack(8) is needed");
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Names of all entries that conntrack(8) lists, in order.
#[track_caller]
fn tracked() -> Vec<Name> {
    let mut names = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let output = Command::new("conntrack").args(["-L", "-f", family]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        names.extend(text.lines().map(|line| {
            let port = line.split_once("sport=").expect(line).1;
            port.split(' ').next().unwrap().parse::<Name>().unwrap()
        }));
    }
    names.sort_unstable();
    names
}

/// Whether the kernel tracks so many; a line says if it does not.
fn is_room_for_a_crowd() -> bool {
    let most = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap();
    let most: usize = most.trim_end().parse().unwrap();
    if most <= MANY + 100 {
        println!("skipped: this kernel tracks no more than {most} connections");
    }
    most > MANY + 100
}

/// Connections that have nothing to do with any filter of this file, `MANY` of them.
fn crowd() -> String {
    let mut lines = String::new();
    for number in 0..MANY {
        let from = format!("203.0.113.{}", number % 250 + 1);
        let path = [&from, "203.0.113.254", "203.0.113.254", &from];
        lines.push_str(&entry(40_000, "udp", path, u16::try_from(number + 1_000).unwrap()));
    }
    lines
}

/// Everything but the crowd.
fn tracked_beside_the_crowd() -> Vec<Name> {
    let (crowd, rest): (Vec<_>, Vec<_>) = tracked().into_iter().partition(|&name| name == 40_000);
    assert_eq!(crowd.len(), MANY, "none of the crowd is gone");
    rest
}

fn around_a_published_port() -> String {
    let direct = [CLIENT, HOST, HOST, CLIENT];
    let ours = [CLIENT, HOST, CONTAINER, CLIENT];
    let theirs = [CLIENT, HOST, OLD, CLIENT];
    let forwarded = [CLIENT, "203.0.113.53", "203.0.113.53", CLIENT];
    let v6 = ["2001:db8::7", "2001:db8::1", "2001:db8::1", "2001:db8::7"];
    [
        entry(1, "udp", direct, 5000),
        entry(2, "udp", theirs, 5009),
        entry(3, "udp", ours, 5000),
        entry(4, "udp", forwarded, 5000),
        entry(5, "tcp", direct, 5000),
        entry(6, "udp", theirs, 5010),
        entry(7, "sctp", theirs, 5000),
        entry(8, "udp", v6, 5000),
        entry(9, "tcp", ours, 5000),
        entry(10, "udp", ours, 4999),
    ]
    .concat()
}

/// What a publication of the host's ports 5000–5009 wants forgotten.
fn stale(protocol: u8) -> Filter {
    Filter::to_ports(protocol, 5000..=5009)
        .destination(cidr("127.0.0.0/8"))
        .destination(cidr("192.0.2.1/32"))
        .reply_source_not(ip(CONTAINER))
}

#[test]
fn publishing_forgets_what_was_translated_to_others_and_nothing_that_is_only_forwarded() {
    isolated(|| {
        track(&around_a_published_port());
        assert_eq!(tracked(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(flush(&here(), &[stale(UDP), stale(SCTP)]).unwrap(), 3);
        assert_eq!(tracked(), [3, 4, 5, 6, 8, 9, 10]);
        assert_eq!(flush(&here(), &[stale(UDP), stale(SCTP)]).unwrap(), 0);
    });
}

#[test]
fn unpublishing_forgets_only_what_was_translated_to_the_container() {
    isolated(|| {
        track(&around_a_published_port());
        let ours = Filter::to_ports(UDP, 5000..=5009).reply_source(ip(CONTAINER));
        assert_eq!(flush(&here(), &[ours]).unwrap(), 1);
        assert_eq!(tracked(), [1, 2, 4, 5, 6, 7, 8, 9, 10]);
    });
}

fn around_a_container() -> String {
    let (far, inside) = ("203.0.113.9", "2001:db8:88::2");
    [
        entry(1, "tcp", [CONTAINER, far, far, HOST], 443),
        entry(2, "udp", [CLIENT, CONTAINER, OLD, CLIENT], 53),
        entry(3, "tcp", [CLIENT, HOST, CONTAINER, CLIENT], 80),
        entry(4, "sctp", [OLD, far, far, CONTAINER], 9),
        entry(5, "tcp", [CLIENT, HOST, OLD, CLIENT], 80),
        entry(6, "udp", [inside, "2001:db8::9", "2001:db8::9", inside], 53),
    ]
    .concat()
}

#[test]
fn detaching_forgets_the_container_s_address_in_every_position() {
    isolated(|| {
        track(&around_a_container());
        assert_eq!(flush(&here(), &[Filter::of(ip(CONTAINER))]).unwrap(), 4);
        assert_eq!(tracked(), [5, 6]);
        assert_eq!(flush(&here(), &[Filter::of(ip("2001:db8:88::2"))]).unwrap(), 1);
        assert_eq!(tracked(), [5]);
    });
}

#[test]
fn in_a_long_table_the_kernel_selects_and_the_same_is_forgotten() {
    isolated(|| {
        if !is_room_for_a_crowd() {
            return;
        }
        track(&crowd());
        track(&around_a_container());
        let both = [Filter::of(ip(CONTAINER)), Filter::of(ip("2001:db8:88::2"))];
        assert_eq!(flush(&here(), &both).unwrap(), 5);
        assert_eq!(tracked_beside_the_crowd(), [5]);

        track(&around_a_published_port().replace("--sport 5 ", "--sport 55 "));
        assert_eq!(flush(&here(), &[stale(UDP), stale(SCTP)]).unwrap(), 3);
        assert_eq!(tracked_beside_the_crowd(), [3, 4, 5, 6, 8, 9, 10, 55]);
        // One port and one address: everything that the kernel can be asked for.
        let narrow = Filter::to_ports(UDP, 5000..=5000)
            .source(ip(CLIENT))
            .destination(cidr("192.0.2.1/32"))
            .reply_source(ip(CONTAINER));
        assert_eq!(flush(&here(), &[narrow]).unwrap(), 1);
        assert_eq!(tracked_beside_the_crowd(), [4, 5, 6, 8, 9, 10, 55]);
    });
}

#[test]
fn more_entries_than_fit_one_send_are_all_forgotten() {
    isolated(|| {
        let mut lines = String::new();
        for name in 1..=1_000 {
            let _ = write!(lines, "{}", entry(name, "udp", [CLIENT, HOST, OLD, CLIENT], 53));
        }
        track(&lines);
        let filter = Filter::answered_by(ip(OLD)).protocol(UDP).ports(53..=53);
        assert_eq!(flush(&here(), &[filter]).unwrap(), 1_000);
        assert_eq!(count(&here()).unwrap(), 0);
    });
}

#[test]
fn of_two_zones_only_the_entry_that_matches_goes() {
    isolated(|| {
        let line = |by: &str, zone| {
            let line = entry(1, "udp", [CLIENT, HOST, by, CLIENT], 53);
            line.replace('\n', &format!(" --zone {zone}\n"))
        };
        track(&[line(CONTAINER, 7), line(OLD, 8)].concat());
        assert_eq!(flush(&here(), &[Filter::answered_by(ip(OLD))]).unwrap(), 1);
        let output = Command::new("conntrack").arg("-L").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().count() == 1 && text.contains("zone=7"), "{text}");
    });
}

#[test]
fn without_filters_nothing_is_forgotten() {
    isolated(|| {
        track(&around_a_published_port());
        assert_eq!(flush(&here(), &[]).unwrap(), 0);
        assert_eq!(count(&here()).unwrap(), 10);
        // One that began in another namespace is not ours.
        let elsewhere = kernel::netns::create_unnamed().unwrap();
        let other = elsewhere.run(here).unwrap();
        assert_eq!(flush(&other, &[Filter::to_ports(TCP, 0..=65_535)]).unwrap(), 0);
        assert_eq!(tracked().len(), 10);
    });
}

#[test]
fn a_client_that_never_pauses_follows_the_new_rule_after_the_flush() {
    isolated(|| {
        run("ip link set lo up");
        run("nft add table ip t");
        run("nft add chain ip t out { type nat hook output priority -100 ; }");
        // Without any rule that translates, the kernel tracks nothing.
        run("nft add rule ip t out udp dport 9 dnat to 127.0.0.2:9");
        let server = |address: &str| {
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        };
        let (host, container) = (server("127.0.0.1:5353"), server("127.0.0.2:6000"));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |word: &str| client.send_to(word.as_bytes(), "127.0.0.1:5353").unwrap();
        let heard = |by: &UdpSocket| {
            let mut buffer = [0; 16];
            let length = by.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };

        send("before");
        assert_eq!(heard(&host), "before");
        run("nft add rule ip t out udp dport 5353 dnat to 127.0.0.2:6000");
        send("stale");
        assert_eq!(heard(&host), "stale");
        let filter = Filter::to_ports(UDP, 5353..=5353).reply_source_not(ip("127.0.0.2"));
        assert_eq!(flush(&here(), std::slice::from_ref(&filter)).unwrap(), 1);
        send("published");
        assert_eq!(heard(&container), "published");
        // What follows the rule is left alone.
        assert_eq!(flush(&here(), &[filter]).unwrap(), 0);
    });
}

#[track_caller]
fn run(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
