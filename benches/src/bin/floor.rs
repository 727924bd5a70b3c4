//! The floor: what ADD and DEL of `bridge` with host-local cost when nothing but the necessary is
//! done. The same kernel and file operations, with fixed names and addresses, no configuration, no
//! JSON, no checks, no undo.
//!
//! It takes `CNI_COMMAND` and `CNI_NETNS` as a plugin does, and `FLOOR_BRIDGE` and `FLOOR_LEASES`.
//! The bridge exists and has its address. With `FLOOR_MASQUERADE` the address is put into a set as
//! well, whose table exists, too.

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use kernel::link::{self, Dev, Link, Veth};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::nft::{Batch, Element, Field, Key as SetKey, Set, Table};
use kernel::route::Route;
use kernel::sysctl::Key;
use kernel::{addr, netlink::RequestError};
use types::{Cidr, Family, IfName};

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
    match &*variable("CNI_COMMAND")? {
        "ADD" => add(),
        "DEL" => del(),
        other => Err(format!("the floor has no {other}").into()),
    }
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
