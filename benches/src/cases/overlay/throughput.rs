//! One stream of TCP between containers of two hosts: our network beside one made by hand, and with
//! the guard beside without.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use netns_fixtures::{Container, Namespace};

use super::town::{Site, Town};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Bytes of one write.
const CHUNK: usize = 128 * 1024;
/// Beside what is equal within the interval.
const EQUAL: Goal = Goal::RatioAtLeast(1.0);

/// Two containers on two hosts.
struct Path {
    from: Container,
    to: Container,
    address: IpAddr,
}

/// In turns, a second or so each.
pub(crate) fn throughput(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "stream");
    let hosts = (1..=6).map(|number| town.host(number)).collect::<Result<Vec<_>>>()?;
    let ours = ours(&town, &hosts[..2], "blue", "10.77.0.0/16")?;
    let open = self::ours(&town, &hosts[2..4], "open", "10.78.0.0/16")?;
    for host in &hosts[2..4] {
        // Else it would be back at once.
        host.kill_daemon()?;
        host.namespace.run("nft delete table inet cais-overlay");
    }
    let by_hand = by_hand(&town, &hosts[4..])?;
    let time = Duration::from_millis(if options.smoke { 50 } else { 700 });
    let paths = [&ours, &open, &by_hand];
    let mut series = [const { Vec::new() }; 3];
    for path in paths {
        path.gigabits(time)?;
    }
    for run in 0..options.runs.max(if options.smoke { 0 } else { 30 }).min(60) {
        for turn in 0..paths.len() {
            let subject = (run + turn) % paths.len();
            series[subject].push(paths[subject].gigabits(time)?);
        }
    }
    let [ours, open, by_hand] = &series;
    report.measured(("throughput, beside VXLAN by hand", "Gbit/s"), ours, by_hand, EQUAL);
    report.measured(("… with guard, beside without", "Gbit/s"), ours, open, EQUAL);
    report.measured(("… without guard, beside by hand", "Gbit/s"), open, by_hand, Goal::None);
    Ok(())
}

/// A network of ours.
fn ours(town: &Town, hosts: &[Site], network: &str, pool: &str) -> Result<Path> {
    let config = town.config(network, &[pool.to_owned()]);
    let mut added = Vec::new();
    for (place, host) in hosts.iter().enumerate() {
        let container = town.container(&format!("{network}-{place}"));
        let result = host.plugin("overlay", &container, &config).result()?;
        added.push((container, result));
    }
    let (to, result) = added.pop().context("there are two hosts")?;
    let (from, _) = added.pop().context("there are two hosts")?;
    let address = result["ips"][0]["address"].as_str().unwrap_or_default();
    let address = address.split('/').next().unwrap_or_default().parse()?;
    let path = Path { from, to, address };
    super::await_that("the hosts know each other", || path.gigabits(Duration::ZERO).is_ok())?;
    Ok(path)
}

/// The same by ip(8), bridge(8) and nft(8), masquerade included.
fn by_hand(town: &Town, hosts: &[Site]) -> Result<Path> {
    let container = |place: usize| town.container(&format!("hand-{place}"));
    let path = Path { from: container(0), to: container(1), address: "10.79.1.2".parse()? };
    for (place, (host, inside)) in hosts.iter().zip([&path.from, &path.to]).enumerate() {
        let (own, other) = (place, 1 - place);
        let number = |place: usize| place + 5;
        let host = &host.namespace;
        let lines = format!(
            "ip link add hand0 address 02:00:00:00:00:0{own} mtu 1450 type vxlan id 9 dstport 4789 \
             local 172.30.0.{own_number} nolearning\n\
             ip addr add 10.79.{own}.0/32 dev hand0\n\
             ip link set hand0 up\n\
             ip link add br0 mtu 1450 type bridge\n\
             ip addr add 10.79.{own}.1/24 dev br0\n\
             ip link set br0 up\n\
             bridge fdb add 02:00:00:00:00:0{other} dev hand0 dst 172.30.0.{other_number} self permanent\n\
             ip neigh add 10.79.{other}.0 lladdr 02:00:00:00:00:0{other} dev hand0 nud permanent\n\
             ip route add 10.79.{other}.0/24 via 10.79.{other}.0 dev hand0 onlink\n\
             nft add table ip hand\n\
             nft add chain ip hand out {{ type nat hook postrouting priority 100 ; }}\n\
             nft add rule ip hand out ip saddr 10.79.0.0/16 ip daddr != 10.79.0.0/16 masquerade\n\
             ip link add port0 mtu 1450 type veth peer name eth0 mtu 1450 netns {netns}\n\
             ip link set port0 master br0 up",
            own_number = number(own),
            other_number = number(other),
            netns = inside.path().display(),
        );
        lines.lines().for_each(|line| drop(host.run(line)));
        host.set_sysctl("ipv4/ip_forward", "1");
        set_up(inside, own);
    }
    super::await_that("the hosts know each other", || path.gigabits(Duration::ZERO).is_ok())?;
    Ok(path)
}

fn set_up(inside: &Namespace, own: usize) {
    inside.run(&format!("ip addr add 10.79.{own}.2/24 dev eth0"));
    inside.run("ip link set eth0 up");
    inside.run(&format!("ip route add default via 10.79.{own}.1"));
}

impl Path {
    /// Sends for a while; what arrives in a second.
    fn gigabits(&self, time: Duration) -> Result<f64> {
        let listener = self.to.within(|| TcpListener::bind((self.address, 0)))?;
        let target = listener.local_addr()?;
        let patience = Duration::from_secs(2);
        let mut sender = self.from.within(|| TcpStream::connect_timeout(&target, patience))?;
        let (mut receiver, _) = listener.accept()?;
        let received = thread::spawn(move || -> std::io::Result<(u64, Duration)> {
            let mut buffer = vec![0; CHUNK];
            let (begun, mut all) = (Instant::now(), 0);
            loop {
                match receiver.read(&mut buffer)? {
                    0 => return Ok((all, begun.elapsed())),
                    bytes => all += bytes as u64,
                }
            }
        });
        let chunk = vec![0; CHUNK];
        let begun = Instant::now();
        while begun.elapsed() < time {
            sender.write_all(&chunk)?;
        }
        drop(sender);
        let (bytes, took) = received.join().map_err(|_| anyhow!("the receiver panicked"))??;
        Ok(bytes as f64 * 8.0 / took.as_secs_f64() / 1e9)
    }
}
