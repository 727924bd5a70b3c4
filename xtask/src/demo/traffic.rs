//! What the processes in the containers do: they answer with their name, and ask each other.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PORT: u16 = 7_000;

/// How long a packet may take on one bridge.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a peer prints when it can be asked.
pub(super) const READY: &str = "ready";

/// Answers every TCP connection and every datagram with `name`, for ever.
pub(super) fn answer_as(name: &str) -> Result<()> {
    // On Linux the unspecified IPv6 address takes IPv4 as well.
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let datagrams = UdpSocket::bind(any).with_context(|| format!("bind UDP {any}"))?;
    let connections = TcpListener::bind(any).with_context(|| format!("listen on TCP {any}"))?;
    println!("{READY}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut asked = [0; 64];
            while let Ok((_, from)) = datagrams.recv_from(&mut asked) {
                // Who does not get an answer says so.
                let _ = datagrams.send_to(name.as_bytes(), from);
            }
        });
        for connection in connections.incoming() {
            let _ = connection.and_then(|mut stream| stream.write_all(name.as_bytes()));
        }
    });
    Ok(())
}

/// Asks each of `peers`, written `name=address`, over TCP and UDP, and prints a line for each
/// answer. Fails after asking all when one did not answer with its name.
pub(super) fn talk_to(peers: &[&str]) -> Result<()> {
    let mut silent = Vec::new();
    for peer in peers {
        let (name, address) = peer.split_once('=').context("a peer is name=address")?;
        let address: IpAddr = address.parse().with_context(|| format!("read {address}"))?;
        let address = SocketAddr::from((address, PORT));
        for (protocol, answer) in [("TCP", ask_tcp(address)), ("UDP", ask_udp(address))] {
            match answer {
                Ok(answer) if answer == name => println!("{protocol} {address} {name}"),
                Ok(answer) => silent.push(format!("{protocol} {address} is {answer}, not {name}")),
                Err(error) => silent.push(format!("{name} over {protocol}: {error:#}")),
            }
        }
    }
    if !silent.is_empty() {
        bail!("{}", silent.join("; "));
    }
    Ok(())
}

fn ask_tcp(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("read from {address}"))?;
    Ok(answer)
}

fn ask_udp(address: SocketAddr) -> Result<String> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let target = match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(_) => address,
    };
    socket.send_to(b"who?", target).with_context(|| format!("send to {address}"))?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).with_context(|| format!("hear from {address}"))?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
