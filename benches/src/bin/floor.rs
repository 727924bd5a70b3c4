//! The floor: what ADD and DEL of `bridge` with host-local cost when nothing but the necessary is
//! done. The same kernel and file operations, with fixed names and addresses, no configuration, no
//! JSON, no checks, no undo.
//!
//! It takes `CNI_COMMAND` and `CNI_NETNS` as a plugin does, and `FLOOR_BRIDGE` and `FLOOR_LEASES`.
//! The bridge exists and has its address. With `FLOOR_MASQUERADE` the address is put into a set as
//! well, whose table exists, too.
//!
//! With `FLOOR_DEVICE` it does what `host-device` has to, with that link of the host; with
//! `FLOOR_LIMITS` what `bandwidth` has to, on that end of a pair.

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use kernel::link::{self, Dev, Ifb, Link, Veth};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::nft::{Batch, Element, Field, Key as SetKey, Set, Table};
use kernel::route::Route;
use kernel::sysctl::Key;
use kernel::tc::{Bucket, Filter, Handle, Match, Qdisc, Queue};
use kernel::{addr, netlink::RequestError};
use types::{Cidr, Family, IfName};

/// What packets of the container wait on, and what takes them there.
const SHAPER: &str = "floorshaper";
const ARRIVING: Qdisc =
    Qdisc { parent: Handle::INGRESS, handle: Handle::new(0xffff, 0), queue: Queue::Ingress };

const HOST_END: &str = "vethfloor";
const CONTAINER_END: &str = "eth0";
const ADDRESS: &str = "10.90.0.2/16";
const GATEWAY: &str = "10.90.0.1";

/// What the case `masquerade` has made.
const TABLE: Table = Table::inet("floor");
const MASQUERADED: Set = Set::new("masqueraded", &[Field::Ipv4]);

/// How long a port may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let [device, limits] = ["FLOOR_DEVICE", "FLOOR_LIMITS"].map(|name| variable(name).ok());
    match (&*variable("CNI_COMMAND")?, device, limits) {
        ("ADD", Some(device), _) => give(&device.parse()?),
        ("DEL", Some(device), _) => take(&device.parse()?),
        ("ADD", _, Some(end)) => limit(&end.parse()?),
        ("DEL", _, Some(end)) => free(&end.parse()?),
        ("ADD", ..) => add(),
        ("DEL", ..) => del(),
        (other, ..) => Err(format!("the floor has no {other}").into()),
    }
}

/// Moves the host's link to the container, and sets it up there.
fn give(device: &IfName) -> Outcome<()> {
    let netns = Netns::open(variable("CNI_NETNS")?)?;
    let host = Socket::open("host")?;
    let name: IfName = CONTAINER_END.parse()?;
    host.run(&link::move_to(&link::get(&host, device)?.dev, &netns, &name).request())?;
    netns.enter_for_good()?;
    Ok(Socket::open("container")?.run(&link::set(&name).up().request())?)
}

/// Moves it back.
fn take(device: &IfName) -> Outcome<()> {
    let home = Netns::current()?;
    let inside = Netns::open(variable("CNI_NETNS")?)?.socket()?;
    let dev = link::get(&inside, &CONTAINER_END.parse::<IfName>()?)?.dev;
    Ok(inside.run(&link::move_to(&dev, &home, device).request())?)
}

/// What is to be made for limits of both directions on the host's end of a pair.
fn limit(end: &IfName) -> Outcome<()> {
    let host = Socket::open("host")?;
    let (end, name) = (link::get(&host, end)?.dev, SHAPER.parse::<IfName>()?);
    let answers = host.batch(&[Ifb::new(name.clone()).create(), link::query(&name)]);
    let replies = answers.into_iter().collect::<Result<Vec<_>, RequestError>>()?;
    let shaper = replies.iter().flatten().find_map(Link::from_reply).ok_or("no reply")?.dev;
    let bucket = Bucket { bytes_per_second: 6_250_000, burst_bytes: 50_000 };
    let queue = Queue::Tbf { bucket, limit_bytes: 206_250 };
    let tbf = Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0), queue };
    let filter = Filter {
        parent: ARRIVING.handle,
        priority: 1,
        handle: 0,
        matches: Some(Match::All),
        class: Handle::new(1, 1),
        redirect: Some(shaper.index),
    };
    host.run_all(&[
        tbf.add(&shaper),
        link::set(&shaper).up().request(),
        ARRIVING.add(&end),
        filter.add(&end),
        tbf.add(&end),
    ])?;
    println!("{{}}");
    Ok(())
}

/// Takes them away; the queue that packets leave by goes with the pair.
fn free(end: &IfName) -> Outcome<()> {
    let host = Socket::open("host")?;
    host.run(&ARRIVING.del(&link::get(&host, end)?.dev))?;
    let record = PathBuf::from(variable("FLOOR_LEASES")?).join("deleter");
    link::Deleter::detached(record).delete(&host, &SHAPER.parse::<IfName>()?, &[])?;
    Ok(())
}

fn add() -> Outcome<()> {
    let netns = Netns::open(variable("CNI_NETNS")?)?;
    let host = Socket::open("host")?;
    let bridge: IfName = variable("FLOOR_BRIDGE")?.parse()?;
    let bridge = link::get(&host, &bridge)?.dev;
    addr::list(&host, &bridge)?;
    lease()?;
    let port = connect(&host, &bridge, &netns)?;
    masquerade(Batch::add_element)?;
    Key::ip_forward().read()?;
    netns.enter_for_good()?;
    configure(&Socket::open("container")?)?;
    link::wait_until_operational(&host, &port, PATIENCE)?;
    println!("{{}}");
    Ok(())
}

/// Makes the pair with one end in the bridge, and returns that end.
fn connect(host: &Socket, bridge: &Dev, netns: &Netns) -> Outcome<Dev> {
    let name: IfName = HOST_END.parse()?;
    let veth = Veth::new(name.clone(), CONTAINER_END.parse()?).peer_netns(netns).master(bridge);
    let answers = host.batch(&[veth.up().create(), link::query(&name)]);
    let replies = answers.into_iter().collect::<Result<Vec<_>, RequestError>>()?;
    let port = replies.iter().flatten().find_map(Link::from_reply).ok_or("no reply")?;
    Ok(port.dev)
}

/// Inside the container: sysctls, then address and default route in one send.
fn configure(container: &Socket) -> Outcome<()> {
    let name: IfName = CONTAINER_END.parse()?;
    let dev = link::get(container, &name)?.dev;
    Key::conf_v6(&name, "accept_dad").write("0")?;
    Key::conf_v4(&name, "arp_notify").write("1")?;
    let address: Cidr = ADDRESS.parse()?;
    container.run_all(&[
        link::set(&dev).up().request(),
        addr::add(&dev, address),
        Route::default(Family::V4).via(GATEWAY.parse()?).dev(&dev).add(),
    ])?;
    Ok(())
}

fn del() -> Outcome<()> {
    masquerade(Batch::del_element)?;
    Netns::open(variable("CNI_NETNS")?)?.enter_for_good()?;
    let name: IfName = CONTAINER_END.parse()?;
    let record = PathBuf::from(variable("FLOOR_LEASES")?).join("deleter");
    link::Deleter::detached(record).delete(&Socket::open("container")?, &name, &[])?;
    let (leases, _lock) = locked()?;
    fs::remove_file(leases.join("10.90.0.2"))?;
    Ok(())
}

/// Puts the address into the set or takes it out, where that is asked for.
fn masquerade(change: fn(&mut Batch, &Table, &Set, &Element)) -> Outcome<()> {
    if std::env::var_os("FLOOR_MASQUERADE").is_none() {
        return Ok(());
    }
    let address: Cidr = ADDRESS.parse()?;
    let mut batch = Batch::new();
    change(&mut batch, &TABLE, &MASQUERADED, &Element::new(SetKey::new().ip(address.ip())));
    Ok(batch.commit(&Socket::open_netfilter("host")?)?)
}

/// The files that host-local leaves of a lease.
fn lease() -> Outcome<()> {
    let (leases, _lock) = locked()?;
    fs::write(leases.join("10.90.0.2"), "container\r\neth0")?;
    fs::write(leases.join("last_reserved_ip.0"), "10.90.0.2")?;
    Ok(())
}

fn locked() -> Outcome<(PathBuf, File)> {
    let leases = PathBuf::from(variable("FLOOR_LEASES")?);
    let lock = File::create(leases.join("lock"))?;
    lock.lock()?;
    Ok((leases, lock))
}

fn variable(name: &str) -> Outcome<String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}
