//! `scale [HOSTS]`: what a network of so many hosts costs one of them, in a private namespace.
//!
//! `cargo run --release -p tunnels --example scale 1000`

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use kernel::link::{self, Bridge};
use kernel::netlink::Socket;
use kernel::{addr, lab};
use netfilter::tunnels::Guard;
use peers::{Accepted, Block, Host, Limits, Network, State, Underlay, Vni, accept};
use tunnels::{Desired, Underlays, reconcile};

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    lab::enter()?;
    let socket = Socket::open("a lab")?;
    socket.run(&link::set(&"lo".parse::<types::IfName>()?).up().request())?;
    socket.run(&Bridge::new("up0".parse()?).up().create())?;
    let up0 = link::get(&socket, &"up0".parse::<types::IfName>()?)?.dev;
    socket.run(&addr::add(&up0, "172.16.0.1/12".parse::<types::Cidr>()?))?;

    let pools = vec!["10.0.0.0/8".parse()?, "fd00::/32".parse()?];
    let network = Network::new("blue".parse()?, Vni::try_from(4103)?, pools);
    let (hosts, blocks) = records(&network, count)?;
    let (accepted, judged) =
        timed(|| Ok(accept(&network, &hosts[0], &hosts, &blocks, Limits::STORE)))?;
    assert!(accepted.refused.is_empty(), "{:?}", accepted.refused.first());
    let desired = |accepted: &Accepted| {
        Desired::new(&network, &hosts[0], accepted, &Underlays::read(&socket)?)
            .map_err(Box::<dyn Error>::from)
    };
    let all = desired(&accepted)?;
    let guard = Guard::open(Path::new("/run"))?;
    let (_, guarded) = timed(|| Ok(guard.keep(&all.tunnels())?))?;
    let (_, made) = timed(|| Ok(reconcile(&socket, &all)?))?;
    let (changes, compared) = timed(|| Ok(reconcile(&socket, &all)?))?;
    assert!(changes.is_empty(), "{changes:?}");
    let (_, kept) = timed(|| Ok(guard.keep(&all.tunnels())?))?;
    let mut fewer = accepted.clone();
    fewer.peers.pop();
    let fewer = desired(&fewer)?;
    let (_, left) = timed(|| Ok((reconcile(&socket, &fewer)?, guard.keep(&fewer.tunnels())?)))?;
    let (_, joined) = timed(|| Ok((reconcile(&socket, &all)?, guard.keep(&all.tunnels())?)))?;
    socket.run(&link::delete(&all.ends[0].device))?;
    let (_, rebuilt) = timed(|| Ok(reconcile(&socket, &all)?))?;
    for (what, took) in [
        ("records judged", judged),
        ("guard written", guarded),
        ("device and peers made", made),
        ("compared, nothing to do", compared),
        ("guard compared", kept),
        ("one host left", left),
        ("one host joined", joined),
        ("made again after the device was deleted", rebuilt),
    ] {
        println!("{:8.1} ms  {what}", took.as_secs_f64() * 1e3);
    }
    Ok(())
}

fn timed<T>(
    act: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<(T, Duration), Box<dyn Error>> {
    let start = Instant::now();
    Ok((act()?, start.elapsed()))
}

/// Hosts with a block of each family.
fn records(network: &Network, count: u32) -> Result<(Vec<Host>, Vec<Block>), Box<dyn Error>> {
    let (mut hosts, mut blocks) = (Vec::new(), Vec::new());
    for number in 0..count {
        let id: peers::HostId = format!("h{number}").parse()?;
        let v4 = Some(Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 1)) + number));
        hosts.push(Host { id: id.clone(), underlay: Underlay { v4, v6: None }, mtu: None });
        let mac = id.vtep_mac(network.vni);
        for cidr in [
            format!("10.{}.{}.0/24", number / 256, number % 256).parse()?,
            format!("fd00:0:{:x}::/64", number + 1).parse()?,
        ] {
            let (host, claimed) = (id.clone(), blocks.len() as u64);
            blocks.push(Block { cidr, host, mac, state: State::Active, claimed });
        }
    }
    Ok((hosts, blocks))
}
