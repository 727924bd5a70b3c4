//! Reality against what ADD promised. Only what keeps the attachment from working is a difference:
//! addresses of bridge and host's end may change (a bridge of the reference follows its ports, udev
//! renames), a packet capture sets links promiscuous, chained plugins move routes.

use attach::error::{no_netns, refused};
use attach::forwarding;
use attach::verify::{self, addresses, differs, is_up, prev_result, promised_interface, routes};
use cni::{AddResult, Call, Error, code};
use kernel::addr;
use kernel::link::{self, Data, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use pairs::check::host_end;
use types::{Cidr, IfName};

use crate::config::{Config, Gateway};
use crate::{apply, filter};

/// Compares everything of one attachment. The calling thread is in the container's namespace
/// afterwards.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let result = prev_result(call)?;
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let bridge = bridge(&host, config)?;
    gateways(&host, config, &result, &bridge)?;
    filter::compare(call, config, &result)?;
    // Of the host, so before the thread is in the container.
    let isolated = config.isolated || apply::isolates_by_port(config);
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
    let ifname = &call.attachment.ifname;
    let (index, promised) = promised_interface(&result, ifname.as_str(), &call.sandbox())?;
    let container = verify::link(&inside, ifname, (Some("veth"), &promised.mac))?;
    if !config.container_down {
        is_up(&container, &inside)?;
    }
    port(&host, &container, &bridge, (config, isolated))?;
    addresses(&inside, &container.dev, &result, index)?;
    routes(&inside, &result)
}

/// Whether ADD can be served: the name of the bridge is free or a bridge's.
///
/// # Errors
/// Code 50 where the name is another link's, or the kernel cannot be asked.
pub fn serviceable(config: &Config) -> Result<(), Error> {
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e).unavailable())?;
    match link::find(&host, &config.bridge).map_err(|e| refused(&e).unavailable())? {
        Some(link) if !link.is_kind("bridge") => {
            let kind = link.kind.as_deref().unwrap_or("physical link");
            let text = format!("use {} as bridge: it is a {kind}, not a bridge", link.dev);
            Err(Error::new(code::NOT_AVAILABLE, text)
                .with_hint("set \"bridge\" to another name, or remove that link"))
        }
        _ => Ok(()),
    }
}

fn bridge(host: &Socket, config: &Config) -> Result<Link, Error> {
    let name = &config.bridge;
    let bridge = link::find(host, name).map_err(|e| refused(&e))?;
    let bridge = bridge.ok_or_else(|| differs(format!("bridge {name} is missing")))?;
    match &bridge.data {
        Data::Bridge { vlan_filtering: false, .. } if config.vlans.is_some() => {
            Err(differs(format!("bridge {name} does not look at VLAN tags any more")))
        }
        Data::Bridge { .. } if !bridge.is_up() => Err(differs(format!("bridge {name} is down"))),
        Data::Bridge { .. } => Ok(bridge),
        _ => Err(differs(format!("{name} is no bridge any more"))),
    }
}

/// The host as gateway: its addresses, wherever on the bridge's side they are, and forwarding.
fn gateways(
    host: &Socket,
    config: &Config,
    result: &AddResult,
    bridge: &Link,
) -> Result<(), Error> {
    if config.gateway == Gateway::None {
        return Ok(());
    }
    let link = match config.vlans.as_ref().and_then(|vlans| vlans.access) {
        None => bridge.clone(),
        Some(id) => {
            let name = format!("{}.{}", bridge.dev, id.get());
            let missing = || differs(format!("the gateway's link {name} is missing"));
            let parsed: IfName = name.parse().map_err(|_| missing())?;
            link::find(host, &parsed).map_err(|e| refused(&e))?.ok_or_else(missing)?
        }
    };
    let there = addr::list(host, &link.dev).map_err(|e| refused(&e))?;
    for ip in &result.ips {
        let Some(gateway) = ip.gateway.and_then(|gw| Cidr::new(gw, ip.address.prefix())) else {
            continue;
        };
        if !there.iter().any(|found| found.cidr == gateway) {
            return Err(differs(format!("gateway address {gateway} is missing on {}", link.dev)));
        }
        forwarding::is_on(gateway.family())?;
    }
    Ok(())
}

fn port(
    host: &Socket,
    container: &Link,
    bridge: &Link,
    (config, isolated): (&Config, bool),
) -> Result<(), Error> {
    let peer = host_end(host, container)?;
    if peer.master != Some(bridge.dev.index) {
        return Err(differs(format!("{} is not a port of bridge {}", peer.dev, bridge.dev)));
    }
    if !peer.is_up() {
        return Err(differs(format!("bridge port {} is down", peer.dev)));
    }
    let options = peer.port.unwrap_or_default();
    if config.hairpin && !options.hairpin {
        return Err(differs(format!("hairpin mode is off on bridge port {}", peer.dev)));
    }
    if isolated && !options.isolated {
        return Err(differs(format!("isolation is off on bridge port {}", peer.dev)));
    }
    let Some(access) = config.vlans.as_ref().and_then(|vlans| vlans.access) else { return Ok(()) };
    let vlans = link::list_vlans(host, &peer.dev).map_err(|e| refused(&e))?;
    match vlans.iter().any(|vlan| vlan.pvid && vlan.ids.contains(&access)) {
        true => Ok(()),
        false => Err(differs(format!("bridge port {} is not in VLAN {}", peer.dev, access.get()))),
    }
}
