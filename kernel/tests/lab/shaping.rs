use std::process::Command;

use kernel::link::{Dev, Ifb, Veth};
use kernel::netlink::Socket;
use kernel::tc::{self, Bucket, Class, End, Filter, Handle, Match, Qdisc, Queue};
use serde_json::Value;
use types::Mtu;

use crate::isolation::{cidr, dev, here, ip_link, isolated, name};

const ROOT: Handle = Handle::new(1, 0);
const ARRIVING: Handle = Handle::new(0xffff, 0);

/// Two links, and a third that packets can be sent to.
fn links(socket: &Socket) -> (Dev, Dev) {
    socket.run(&Veth::new(name("v0"), name("v1")).up().create()).unwrap();
    let mtu = Mtu::try_from(1400).unwrap();
    socket.run(&Ifb::new(name("bwp0")).mtu(mtu).up().create()).unwrap();
    (dev(socket, "v0"), dev(socket, "bwp0"))
}

fn tc(arguments: &str) -> Value {
    let output = Command::new("tc").arg("-j").args(arguments.split(' ')).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn tbf(bytes_per_second: u64, burst_bytes: u32, limit_bytes: u32) -> Qdisc {
    let bucket = Bucket { bytes_per_second, burst_bytes };
    Qdisc { parent: Handle::ROOT, handle: ROOT, queue: Queue::Tbf { bucket, limit_bytes } }
}

#[test]
fn a_token_bucket_is_as_tc_shows_it_and_reads_as_it_was_made() {
    isolated(|| {
        let socket = here();
        let (v0, ifb) = links(&socket);
        assert_eq!(ip_link("bwp0")["linkinfo"]["info_kind"], "ifb");
        assert_eq!(ip_link("bwp0")["mtu"], 1400);
        assert_eq!(tc::qdisc(&socket, &v0, Handle::ROOT).unwrap(), None);
        let made = tbf(6_250_000, 65_536, 221_786);
        socket.run(&made.add(&v0)).unwrap();
        let seen = &tc("qdisc show dev v0 root")[0];
        assert_eq!(seen["options"]["rate"], 6_250_000);
        // What is left after tc and the kernel have rounded.
        let burst = seen["options"]["burst"].as_u64().unwrap();
        assert!((65_500..=65_536).contains(&burst), "{burst}");
        let read = tc::qdisc(&socket, &v0, Handle::ROOT).unwrap().unwrap();
        assert_eq!((read.parent, read.handle), (made.parent, made.handle));
        let Queue::Tbf { bucket, limit_bytes } = read.queue else { panic!("{read:?}") };
        assert_eq!((bucket.ticks(), limit_bytes), (163_828, 221_786));
        let within = Qdisc {
            parent: Handle::new(1, 1),
            handle: Handle::new(2, 0),
            queue: Queue::Bfifo { limit_bytes: 9000 },
        };
        socket.run(&within.add(&v0)).unwrap();
        assert_eq!(tc::qdisc(&socket, &v0, within.parent).unwrap(), Some(within));
        let again = socket.run(&made.add(&v0)).unwrap_err();
        assert!(again.is_exists(), "{again}");
        socket.run(&made.del(&v0)).unwrap();
        assert_eq!(tc::qdisc(&socket, &v0, Handle::ROOT).unwrap(), None);
        let again = socket.run(&made.del(&v0)).unwrap_err();
        assert!(again.is_invalid(), "{again}");

        for (fast, burst) in [(5_000_000_000, 65_536), (1000, 1_000_000), (125, u32::MAX)] {
            socket.run(&tbf(fast, burst, 100_000).add(&ifb)).unwrap();
            let seen = &tc("qdisc show dev bwp0 root")[0]["options"];
            assert_eq!(seen["rate"], fast, "{seen}");
            let read = tc::qdisc(&socket, &ifb, Handle::ROOT).unwrap().unwrap();
            let Queue::Tbf { bucket, .. } = read.queue else { panic!("{read:?}") };
            assert_eq!(bucket.bytes_per_second, fast);
            socket.run(&made.del(&ifb)).unwrap();
        }
    });
}

#[test]
fn classes_and_filters_are_as_tc_shows_them_and_read_as_they_were_made() {
    isolated(|| {
        let socket = here();
        let (v0, ifb) = links(&socket);
        let htb = Qdisc {
            parent: Handle::ROOT,
            handle: ROOT,
            queue: Queue::Htb { default: 0x30, direct_packets: 1000 },
        };
        let class = Class {
            handle: Handle::new(1, 0x30),
            bucket: Bucket { bytes_per_second: 6_250_000, burst_bytes: 65_536 },
        };
        socket.run_all(&[htb.add(&v0), class.add(&v0)]).unwrap();
        let shown = Command::new("tc").args(["class", "show", "dev", "v0"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("class htb 1:30 root"), "{shown}");
        assert!(shown.contains("rate 50Mbit ceil 50Mbit burst 64Kb cburst 64Kb"), "{shown}");
        assert_eq!(tc::qdisc(&socket, &v0, Handle::ROOT).unwrap(), Some(htb));
        let read = tc::class(&socket, &v0, class.handle).unwrap().unwrap();
        assert_eq!(read.handle, class.handle);
        assert_eq!(read.bucket.ticks(), class.bucket.ticks());
        assert_eq!(tc::class(&socket, &v0, Handle::new(1, 0x31)).unwrap(), None);

        assert_eq!(tc::filters(&socket, &v0, ARRIVING).unwrap(), []);
        assert_eq!(tc::qdisc(&socket, &v0, Handle::INGRESS).unwrap(), None);
        let ingress = Qdisc { parent: Handle::INGRESS, handle: ARRIVING, queue: Queue::Ingress };
        let filter = |priority, matches, redirect| Filter {
            parent: ARRIVING,
            priority,
            handle: 0,
            matches: Some(matches),
            class: Handle::new(1, 1),
            redirect,
        };
        let to = |network| Match::Network(End::Destination, cidr(network));
        let made = [
            filter(1, to("10.1.0.0/16"), None),
            filter(2, to("2001:db8:8000::/33"), Some(ifb.index)),
            filter(3, Match::All, Some(ifb.index)),
        ];
        socket.run(&ingress.add(&v0)).unwrap();
        socket.run_all(&made.clone().map(|one| one.add(&v0))).unwrap();
        assert_eq!(tc::qdisc(&socket, &v0, Handle::INGRESS).unwrap(), Some(ingress.clone()));
        let read = tc::filters(&socket, &v0, ARRIVING).unwrap();
        let plain = |filter: &Filter| Filter { handle: 0, ..filter.clone() };
        assert_eq!(read.iter().map(plain).collect::<Vec<_>>(), made);
        let shown = tc("filter show dev v0 parent ffff:").to_string();
        for words in ["10.1.0.0/16", "\"to_dev\":\"bwp0\""] {
            assert!(shown.contains(words) || shown.contains("a010000"), "{words}: {shown}");
        }
        socket.run(&read[1].del(&v0)).unwrap();
        assert_eq!(tc::filters(&socket, &v0, ARRIVING).unwrap().len(), 2);
        // What a clsact of others calls the same place.
        let arriving = Handle::new(0xffff, 0xfff2);
        socket.run(&ingress.del(&v0)).unwrap();
        Command::new("tc").args(["qdisc", "add", "dev", "v0", "clsact"]).status().unwrap();
        let mut one = made[0].clone();
        one.parent = arriving;
        socket.run(&one.add(&v0)).unwrap();
        let read = tc::filters(&socket, &v0, arriving).unwrap();
        assert_eq!(read.iter().map(plain).collect::<Vec<_>>(), [one]);
        let clsact = tc::qdisc(&socket, &v0, Handle::INGRESS).unwrap().unwrap();
        assert_eq!(clsact.queue, Queue::Other("clsact".into()));
    });
}
