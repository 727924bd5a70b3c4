//! Forwarding entries, neighbours and routes of one device: what differs, as requests in an order in
//! which no packet goes astray.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kernel::fdb::{self, Fdb};
use kernel::link::Dev;
use kernel::neigh::{self, Neigh};
use kernel::netlink::{Request, Socket};
use kernel::route::{self, Filter, Route};
use types::{Cidr, Family, MacAddr};

use crate::PROTOCOL;
use crate::desired::End;

/// What a device has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    fdb: BTreeMap<MacAddr, Option<IpAddr>>,
    neigh: BTreeMap<IpAddr, Option<MacAddr>>,
    routes: Vec<Route>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// To be taken away; what is gone already is fine.
    pub(crate) remove: Vec<Request>,
    /// To be made.
    pub(crate) add: Vec<Request>,
}

impl Found {
    /// How many entries of all kinds.
    pub(crate) fn len(&self) -> usize {
        self.fdb.len() + self.neigh.len() + self.routes.len()
    }

    /// Reads what `dev` has.
    pub(crate) fn read(socket: &Socket, dev: &Dev) -> Result<Self, kernel::RequestError> {
        let fdb = fdb::list(socket, dev)?.into_iter().filter(Fdb::is_permanent);
        let neigh = neigh::list(socket, dev)?.into_iter().filter(Neigh::is_permanent);
        let filter = Filter { dev: Some(dev.index), protocol: Some(PROTOCOL), ..Filter::default() };
        Ok(Self {
            fdb: fdb.map(|entry| (entry.mac, entry.dst)).collect(),
            neigh: neigh.map(|entry| (entry.ip, entry.mac)).collect(),
            routes: route::list(socket, filter)?,
        })
    }
}

/// What to do for `dev` to have what `end` wants.
pub(crate) fn work(end: &End, dev: &Dev, found: &Found) -> Work {
    let (mut fdb, mut neigh) = (BTreeMap::new(), BTreeMap::new());
    let mut routes: BTreeMap<Cidr, Route> = BTreeMap::new();
    for remote in &end.remotes {
        fdb.insert(remote.mac, remote.underlay);
        for via in &remote.blocks {
            neigh.insert(via.hop, remote.mac);
            routes.insert(via.block, wanted_route(end, dev, via));
        }
    }
    let mut work = Work::default();
    // The way first, so that nothing is sent to a hop that nobody knows any more.
    let mut missing = routes.clone();
    for there in &found.routes {
        match routes.get(&there.dst) {
            Some(wanted) if is_same(wanted, there) => drop(missing.remove(&there.dst)),
            // It is replaced; of several with one destination only one is.
            Some(wanted) if missing.contains_key(&there.dst) && wanted.metric == there.metric => {}
            _ => work.remove.push(there.del()),
        }
    }
    let gone = found.neigh.keys().filter(|ip| !neigh.contains_key(ip));
    work.remove.extend(gone.map(|ip| neigh::del(dev, *ip)));
    let gone = found.fdb.keys().filter(|mac| !fdb.contains_key(mac));
    work.remove.extend(gone.map(|mac| fdb::del(dev, *mac)));

    let new = fdb.iter().filter(|(mac, dst)| found.fdb.get(mac) != Some(&Some(**dst)));
    work.add.extend(new.map(|(mac, dst)| fdb::replace(dev, *mac, *dst)));
    let new = neigh.iter().filter(|(ip, mac)| found.neigh.get(ip) != Some(&Some(**mac)));
    work.add.extend(new.map(|(ip, mac)| neigh::replace(dev, *ip, *mac)));
    work.add.extend(missing.values().map(Route::replace));
    work
}

fn wanted_route(end: &End, dev: &Dev, via: &crate::Via) -> Route {
    let family = via.block.family();
    let src = end.addresses.iter().find(|own| own.family() == family).map(|own| own.ip());
    Route {
        src,
        mtu: via.mtu,
        protocol: PROTOCOL,
        // As the kernel has it where nothing is said, so that both compare equal.
        metric: (family == Family::V6).then_some(1024),
        ..Route::to(via.block).onlink(via.hop, dev)
    }
}

/// Whether a route leads the same way, whatever the kernel adds.
fn is_same(wanted: &Route, there: &Route) -> bool {
    let way = |route: &Route| (route.gw, route.dev, route.src, route.mtu, route.metric);
    way(wanted) == way(there)
}

#[cfg(test)]
mod tests {
    use kernel::netlink::Action;

    use super::*;
    use crate::desired::{Remote, Via};

    fn dev() -> Dev {
        Dev::new(7, "ov-001007")
    }

    fn mac(last: u8) -> MacAddr {
        MacAddr::from_bytes([2, 0, 0, 0, 0, last])
    }

    fn end(hosts: &[u8]) -> End {
        let remote = |host: &u8| {
            let block: Cidr = format!("10.77.{host}.0/24").parse().unwrap();
            let underlay = IpAddr::from([192, 0, 2, *host]);
            let blocks = vec![Via { block, hop: block.ip(), mtu: None }];
            Remote { underlay, mac: mac(*host), blocks }
        };
        End {
            device: "ov-001007".parse().unwrap(),
            local: IpAddr::from([192, 0, 2, 1]),
            mac: mac(1),
            mtu: types::Mtu::try_from(1450).unwrap(),
            addresses: vec!["10.77.1.0/32".parse().unwrap()],
            remotes: hosts.iter().map(remote).collect(),
        }
    }

    /// What is there when all that `hosts` want is.
    fn made(hosts: &[u8]) -> Found {
        let end = end(hosts);
        let mut found = Found::default();
        for remote in &end.remotes {
            found.fdb.insert(remote.mac, Some(remote.underlay));
            found.neigh.insert(remote.blocks[0].hop, Some(remote.mac));
            found.routes.push(wanted_route(&end, &dev(), &remote.blocks[0]));
        }
        found
    }

    fn kinds(requests: &[Request]) -> Vec<String> {
        let kind = |request: &Request| match request.action() {
            Action::Fdb { verb, mac, .. } => format!("{verb} fdb {mac}"),
            Action::Neigh { verb, neigh, .. } => format!("{verb} neigh {neigh}"),
            Action::Route { verb, route } => format!("{verb} {}", route.split(' ').next().unwrap()),
            other => other.to_string(),
        };
        requests.iter().map(kind).collect()
    }

    #[test]
    fn what_is_right_stays_untouched() {
        let work = work(&end(&[2, 3]), &dev(), &made(&[2, 3]));
        assert_eq!((kinds(&work.remove), kinds(&work.add)), (vec![], vec![]));
    }

    #[test]
    fn a_new_host_is_known_before_its_way_leads_there() {
        let work = work(&end(&[2, 3]), &dev(), &made(&[2]));
        assert_eq!(kinds(&work.remove), Vec::<String>::new());
        let expected =
            ["replace fdb 02:00:00:00:00:03", "replace neigh 10.77.3.0", "replace 10.77.3.0/24"];
        assert_eq!(kinds(&work.add), expected);
    }

    #[test]
    fn the_way_to_a_host_that_left_goes_before_it_is_forgotten() {
        let work = work(&end(&[2]), &dev(), &made(&[2, 3]));
        assert_eq!(kinds(&work.add), Vec::<String>::new());
        let expected = ["del 10.77.3.0/24", "del neigh 10.77.3.0", "del fdb 02:00:00:00:00:03"];
        assert_eq!(kinds(&work.remove), expected);
    }

    #[test]
    fn a_moved_host_costs_one_entry_and_a_smaller_way_one_route() {
        let mut moved = end(&[2]);
        moved.remotes[0].underlay = IpAddr::from([192, 0, 2, 99]);
        let moving = work(&moved, &dev(), &made(&[2]));
        assert_eq!(kinds(&moving.add), ["replace fdb 02:00:00:00:00:02"]);
        let mut smaller = end(&[2]);
        smaller.remotes[0].blocks[0].mtu = Some(1300);
        let narrowing = work(&smaller, &dev(), &made(&[2]));
        assert_eq!(kinds(&narrowing.add), ["replace 10.77.2.0/24"]);
        assert!(moving.remove.is_empty() && narrowing.remove.is_empty());
    }
}
