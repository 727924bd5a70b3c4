//! The process: it reads the directory when it begins and when it is told to (SIGHUP), and ends when
//! there is nothing to listen for.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cni::keyed;
use names::{Place, Sockets};
use nix::ifaddrs::getifaddrs;
use nix::unistd;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

use super::{Args, READY, STAYS, files};
use crate::every::Every;
use crate::options::Options;
use crate::worker::Answering;

/// Starts the process that stays, and waits until it answers.
///
/// # Errors
/// When it cannot, after it said why on standard error.
pub fn run() -> io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(STAYS, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(READY.len() as u64).read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(());
    }
    let ended = child.wait()?;
    Err(io::Error::other(format!("the process that answers ended with {ended}")))
}

/// Answers until there is nothing to listen for.
///
/// # Errors
/// When the system refuses what is needed.
pub fn serve(args: &Args) -> io::Result<()> {
    unistd::setsid()?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let ended = runtime.block_on(answer(args));
    // Whoever finds it would signal whatever process has the number by then.
    let _ = fs::remove_file(args.dir.join("aardvark.pid"));
    ended
}

async fn answer(args: &Args) -> io::Result<()> {
    let mut told = signal(SignalKind::hangup())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let answering = Answering::new(&Options { idle_exit: None, ..Options::default() });
    if load(args, &answering)? == 0 {
        return Ok(());
    }
    answering.begin();
    let pid = format!("{}\n", std::process::id());
    let path = args.dir.join("aardvark.pid");
    keyed::replace(&path, &args.dir.join(".aardvark.pid.new"), pid.as_bytes(), 0o700)?;
    say_ready()?;
    tokio::select! {
        ended = async {
            loop {
                if told.recv().await.is_none() || load(args, &answering)? == 0 {
                    return Ok(());
                }
            }
        } => ended,
        () = answering.watch() => Ok(()),
        ended = tidy(&answering) => ended,
        _ = terminated.recv() => Ok(()),
    }
}

async fn tidy(answering: &Answering) -> io::Result<()> {
    let second = Every::new(Duration::from_secs(1))?;
    loop {
        second.over().await;
        answering.tidy(Instant::now());
    }
}

/// Tells whoever waits, and keeps nothing of what it gave.
fn say_ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(READY)?;
    stdout.flush()?;
    let nothing = fs::File::options().write(true).open("/dev/null")?;
    unistd::dup2_stdout(&nothing)?;
    unistd::dup2_stderr(&nothing)?;
    Ok(())
}

/// Knows what the directory says now, and nothing else. At how many addresses it listens.
fn load(args: &Args, answering: &Answering) -> io::Result<usize> {
    let links = links();
    let prefix = |address: IpAddr| {
        let default = if address.is_ipv4() { 24 } else { 64 };
        links.get(&address).map_or(default, |link| link.prefix)
    };
    let (networks, wrong) = files::read(&args.dir, args.suffix.as_ref(), prefix)?;
    wrong.iter().for_each(|why| eprintln!("aardvark-dns: {why}"));
    answering.know(networks.iter().flat_map(|network| &network.records));
    let mut wanted = Vec::new();
    for network in &networks {
        for address in &network.listen {
            let link = links.get(address);
            let place = Place::Gateway {
                link: link.map_or_else(lo, |link| link.name.parse().unwrap_or_else(|_| lo())),
                index: 0,
                address: *address,
                port: args.port,
            };
            wanted.push((network.key.clone(), place));
        }
    }
    for (key, place) in answering.listen_only(&wanted) {
        if let Place::Gateway { address, port, .. } = place {
            let sockets = Sockets::at(SocketAddr::new(address, port)).map_err(|error| {
                io::Error::new(error.kind(), format!("listen at {address} port {port}: {error}"))
            })?;
            answering.listen(key, place, sockets)?;
        }
    }
    Ok(wanted.len())
}

fn lo() -> types::IfName {
    "lo".parse().expect("lo is an interface name")
}

struct Link {
    name: String,
    prefix: u8,
}

/// The addresses of this host with their links.
fn links() -> HashMap<IpAddr, Link> {
    let mut all = HashMap::new();
    for found in getifaddrs().into_iter().flatten() {
        let address = found.address.as_ref();
        let mask = found.netmask.as_ref();
        let v4 = address.and_then(|a| a.as_sockaddr_in()).map(|a| IpAddr::V4(a.ip()));
        let v6 = address.and_then(|a| a.as_sockaddr_in6()).map(|a| IpAddr::V6(a.ip()));
        let ones_v4 = mask.and_then(|m| m.as_sockaddr_in()).map(|m| m.ip().to_bits().count_ones());
        let ones_v6 = mask.and_then(|m| m.as_sockaddr_in6()).map(|m| m.ip().to_bits().count_ones());
        if let (Some(address), Some(ones)) = (v4.or(v6), ones_v4.or(ones_v6)) {
            all.insert(address, Link { name: found.interface_name, prefix: ones as u8 });
        }
    }
    all
}
