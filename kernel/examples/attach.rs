//! `attach NETNS`: joins a namespace to a bridge by the fewest messages, as a plugin's ADD does.
//!
//! Run it where it can do no harm:
//! `unshare -rnm sh -c 'mount -t tmpfs t /run; ip netns add c1; attach /run/netns/c1; ip -n c1 a'`

use std::error::Error;
use std::time::Duration;

use kernel::link::{self, Bridge, Dev, Link, Veth};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::sysctl::Key;
use kernel::{addr, announce, route};
use types::{Cidr, Family, IfName, MacAddr};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: attach NETNS")?;
    let container = Netns::open(path)?;
    let host = Socket::open("the host's namespace")?;
    let (near, far): (IfName, IfName) = ("veth0".parse()?, "eth0".parse()?);
    let bridge = ensure_bridge(&host, &"br0".parse()?, "10.1.0.1/24".parse()?)?;

    let mac: MacAddr = "02:00:00:00:00:02".parse()?;
    let pair = Veth::new(near.clone(), far.clone())
        .master(&bridge)
        .mac("02:00:00:00:00:03".parse()?)
        .up()
        .peer_netns(&container)
        .peer_mac(mac);
    let [made, found] = &host.batch(&[pair.create(), link::query(&near)])[..] else {
        return Err("a batch has one answer for each request".into());
    };
    made.clone()?;
    let port = found.clone()?.as_ref().and_then(Link::from_reply).ok_or("no link")?;
    Key::conf_v6(&near, "accept_ra").write("0")?;

    container.enter_for_good()?;
    let inside = Socket::open(container.path().display().to_string())?;
    Key::conf_v4(&far, "arp_notify").write("1")?;
    Key::conf_v6(&far, "ndisc_notify").write("1")?;
    let eth0 = Dev::new(port.link.ok_or("no peer")?, &far);
    inside.run_all(&[
        link::set(&eth0).up().request(),
        addr::add(&eth0, "10.1.0.2/24".parse::<Cidr>()?),
        addr::add(&eth0, "fd00::2/64".parse::<Cidr>()?),
        route::Route::default(Family::V4).via("10.1.0.1".parse()?).add(),
    ])?;
    link::wait_until_operational(&host, &port.dev, Duration::from_secs(10))?;
    inside.run(&announce::by_kernel(&eth0, mac))?;
    Ok(())
}

/// The bridge with its address, made if it is not there.
fn ensure_bridge(host: &Socket, name: &IfName, gateway: Cidr) -> Result<Dev, Box<dyn Error>> {
    let link = match link::find(host, name)? {
        Some(link) => link,
        None => {
            let request = Bridge::new(name.clone()).mac("02:00:00:00:00:01".parse()?).up();
            match host.run(&request.create()) {
                Err(error) if !error.is_exists() => return Err(error.into()),
                // Made by us, or by somebody at the same moment.
                _ => link::get(host, name)?,
            }
        }
    };
    let known = addr::list(host, &link.dev)?;
    if !known.iter().any(|found| found.cidr == gateway) {
        host.run(&addr::add(&link.dev, gateway))?;
    }
    Ok(link.dev)
}
