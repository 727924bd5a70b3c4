//! What a published port costs its clients: connections from another machine, beside ports that
//! are published already.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kernel::netns::Netns;
use nix::libc::linger;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::in_turns;
use super::published::{Published, Publisher};
use crate::call::{Sample, Subject};
use crate::host::{Host, SUBNET};
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

/// Ours beside ours on a host without any other port.
const FLAT: Goal = Goal::Ratio(1.1);

/// Connections of one sample: fewer than a queue of std's listeners holds, so that nobody needs to
/// accept in the meantime, and all of it happens in the client's system calls.
const CONNECTIONS: usize = 100;

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

const HOST_PORT: u16 = 8_080;
const CONTAINER_PORT: u16 = 80;
const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A client on a wire to a host, and who listens in the host's container.
struct Client {
    netns: Netns,
    listener: TcpListener,
    to: SocketAddr,
}

/// Time for [`CONNECTIONS`] connections through the port that was published last.
pub(crate) fn through_a_port(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let held: [u16; 3] = if options.smoke { [0, 5, 20] } else { [0, 1_000, 10_000] };
    let clients = |publisher| -> Result<Vec<Client>> {
        held.into_iter().map(|held| Client::of_port(options, scratch, publisher, held)).collect()
    };
    let (ours, go) = (clients(Publisher::Ours(None))?, clients(Publisher::Go)?);
    let direct = Client::direct(options, scratch)?;
    let subjects = [&ours[0], &ours[1], &ours[2], &go[0], &go[1], &go[2], &direct];
    let series = in_turns(&subjects, &["connect"], options.runs)?.swap_remove(0);
    let [direct, none] = [&series[6], &series[0]];
    for (level, held) in held.into_iter().enumerate() {
        let what = format!("{CONNECTIONS} connections, {held} other ports");
        report.pair(&what, &series[level], &series[3 + level], Goal::None);
        report.pair(&format!("{what}, beside no NAT"), &series[level], direct, Goal::None);
        if held > 0 {
            report.pair(&format!("{what}, beside none"), &series[level], none, FLAT);
        }
    }
    Ok(())
}

impl Client {
    /// Of a port that is published after `held` others.
    fn of_port(
        options: &Options,
        scratch: &Scratch,
        publisher: Publisher,
        held: u16,
    ) -> Result<Client> {
        let published = Published::new(options, scratch, ("connect", publisher, held))?;
        published.portmap(&[(HOST_PORT, CONTAINER_PORT)]).call("ADD")?;
        Client::of(&published.host, (HOST_ADDRESS, HOST_PORT).into())
    }

    /// Of the container itself, on a host that tracks connections and does no more.
    fn direct(options: &Options, scratch: &Scratch) -> Result<Client> {
        let host = Host::new(&options.ours, "connect-direct", scratch)?;
        let attached = host.plugin("bridge", &host.bridge(false)).result()?;
        let address = attached["ips"][0]["address"].as_str().unwrap_or_default();
        let address: Ipv4Addr = address.split('/').next().unwrap_or_default().parse()?;
        host.namespace
            .run("/usr/sbin/iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")?;
        Client::of(&host, (address, CONTAINER_PORT).into())
    }

    /// Puts a client on a wire to `host`, which knows the way to its containers.
    fn of(host: &Host, to: SocketAddr) -> Result<Client> {
        let client = Container::new(&format!("{}-x", host.namespace.name))?;
        host.namespace
            .run(&format!("ip link add wire type veth peer name eth0 netns {}", client.name))?;
        host.namespace.run(&format!("ip address add {HOST_ADDRESS}/24 dev wire"))?;
        host.namespace.run("ip link set wire up")?;
        client.run(&format!("ip address add {CLIENT_ADDRESS}/24 dev eth0"))?;
        client.run("ip link set eth0 up")?;
        client.run(&format!("ip route add {SUBNET} via {HOST_ADDRESS}"))?;
        let listener = Netns::open(&host.container.path)?
            .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, CONTAINER_PORT)))?
            .context("listen in the container")?;
        let seconds = i64::try_from(PATIENCE.as_secs())?;
        setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::seconds(seconds))?;
        let client = Client { netns: Netns::open(&client.path)?, listener, to };
        // The first also asks for the neighbours' addresses.
        client.call("connect")?;
        Ok(client)
    }

    /// Connects again and again. The thread's own time holds that of the whole way of the packets,
    /// since they go it while they are sent.
    fn connect(&self) -> Result<Sample> {
        // Without goodbye, which is not what is measured and leaves ports in TIME_WAIT.
        let abrupt = linger { l_onoff: 1, l_linger: 0 };
        let before = getrusage(UsageWho::RUSAGE_THREAD)?;
        let started = Instant::now();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect_timeout(&self.to, PATIENCE)
                .with_context(|| format!("connect to {}", self.to))?;
            setsockopt(&stream, sockopt::Linger, &abrupt)?;
        }
        let wall = started.elapsed();
        Ok(Sample::between(&before, &getrusage(UsageWho::RUSAGE_THREAD)?, wall))
    }
}

impl Subject for Client {
    fn call(&self, _: &str) -> Result<Sample> {
        let sample = self.netns.run(|| self.connect())??;
        for number in 0..CONNECTIONS {
            self.listener.accept().with_context(|| {
                format!("only {number} of {CONNECTIONS} connections to {} arrived", self.to)
            })?;
        }
        Ok(sample)
    }
}
