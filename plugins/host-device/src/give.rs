//! ADD: the device into the container.

use attach::error::{no_netns, refused};
use attach::inside::{self, Adding, LINK};
use attach::steps::{self, step};
use attach::{ipam, record};
use cni::record::Record;
use cni::{AddResult, Error, Interface};
use kernel::link::{self, Link};
use kernel::undo::Undo;

use crate::config::Config;
use crate::device::remember;
use crate::home::{self, Away, socket_in};
use crate::sysfs::Sysfs;

/// Moves `link` into the container, or takes back whatever it did.
pub(crate) fn give<'a>(
    adding: &Adding<'a>,
    link: &Link,
    sysfs: &Sysfs,
) -> Result<AddResult, Error> {
    let Adding { call, host, netns, .. } = *adding;
    let device = remember(link);
    // While sysfs still shows it.
    let pci = sysfs.pci_of(&device.name);
    let record = Record { device: Some(device.clone()), ..record::of(call, netns)? };
    let ifname = &call.attachment.ifname;
    let place = |undo: &mut Undo<'a>| {
        let inside = socket_in(netns)?;
        if link::find(&inside, ifname).map_err(|e| refused(&e))?.is_some() {
            let tried = format!("move link {} to {} as {ifname}", link.dev, inside.place());
            return Err(inside::taken(&format!("{tried}: interface name {ifname} already exists")));
        }
        let name = device.name.clone();
        undo.push(format!("give link {name} back to the host"), move || {
            let away = Away::recorded(ifname, &device);
            Ok(home::fetch(&host.socket, &host.netns, away, Some(netns))?)
        });
        let requests = [
            // Before it moves: wherever it is found it says what it was called.
            link::set(&link.dev).alias(&name).request(),
            link::move_to(&link.dev, netns, ifname).request(),
        ];
        host.socket.run_all(&requests).map_err(|e| refused(&e))
    };
    let read = |inside: &_| link::get(inside, ifname).map_err(|e| refused(&e));
    let mut result = adding.run_around(record, place, read)?;
    // A result that its version cannot tell is undone by DEL, which starts from here.
    host.netns.enter_for_good().map_err(|e| no_netns(&e))?;
    result.interfaces[LINK].pci_id = pci.map(|pci| pci.to_string()).unwrap_or_default();
    Ok(result)
}

/// Moves nothing: a program in the container drives the device.
pub(crate) fn leave(adding: &Adding<'_>, config: &Config) -> Result<AddResult, Error> {
    let Adding { call, host, netns, addresses, dns, .. } = *adding;
    steps::run(|undo| {
        step("record");
        record::write(record::of(call, netns)?, &host.run_dir, undo)?;
        step("ipam");
        let mut result = match addresses {
            Some(addresses) => inside::result(dns, ipam::lease(addresses, call, host, undo)?)?,
            None => AddResult { dns: dns.cloned().unwrap_or_default(), ..AddResult::default() },
        };
        result.interfaces = vec![Interface {
            name: call.attachment.ifname.to_string(),
            sandbox: call.sandbox(),
            pci_id: config.pci.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..Interface::default()
        }];
        Ok(result)
    })
}
