//! ADD: whatever limits an earlier call left are taken away, then those that are asked for are made.

use std::path::PathBuf;

use attach::error::{no_netns, refused};
use attach::record;
use attach::steps::{self, step};
use cni::record::Record;
use cni::{AddResult, Call, Error, Interface, Version, code};
use kernel::link::{self, Dev, Ifb, Link};
use kernel::netlink::{Request, Socket};
use kernel::netns::Netns;
use kernel::tc::{End, Handle, Qdisc, Queue};
use kernel::undo::Undo;
use types::Mtu;

use crate::config::Config;
use crate::place::{Names, Pair, host, ifname, state_dir};
use crate::plan::{self, ARRIVING, Place, Way};
use crate::remove::{Arriving, clear, delete_shaper, is_our_queue, root};

/// Makes all limits that are asked for, or none, and adds the link of ours to `result`.
pub(crate) fn add(call: &Call, config: &Config, result: &mut AddResult) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    if config.is_empty() {
        return Ok(());
    }
    let host = host()?;
    let end = Pair::find(&host, &netns, &call.attachment.ifname)?.promised(call, result)?;
    if let Some(qdisc) = root(&host, &end.dev)?.filter(|qdisc| !is_our_queue(qdisc)) {
        let text = format!(
            "limit the bandwidth of {}: {} has a queue of somebody else, {} {}",
            call.attachment.ifname,
            end.dev,
            qdisc.queue.kind(),
            qdisc.handle
        );
        let hint = format!("`tc qdisc del dev {} root` takes it away", end.dev);
        return Err(Error::new(code::IO, text).with_hint(&hint));
    }
    let names = Names::of(&call.attachment);
    // An earlier call may have made one that is not needed any more.
    let earlier = names.recorded();
    let shaper = match (config.egress.is_some(), &earlier) {
        (true, _) => Some(names.free(&host, &end.dev)?),
        (false, _) => None,
    };
    let record = Record {
        host_ifname: shaper.clone().or_else(|| earlier.clone()).unwrap_or_default(),
        ..record::of(call, &netns)?
    };
    let adding = Adding { config, host, end, earlier, shaper, state_dir: state_dir() };
    let made = steps::run(|undo| adding.steps(record, undo))?;
    if let Some(link) = made {
        result.interfaces.retain(|known| known.name != link.dev.name || !known.sandbox.is_empty());
        result.interfaces.push(Interface {
            name: link.dev.name,
            mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            mtu: if call.config.version() >= Version::V1_1_0 { link.mtu } else { 0 },
            sandbox: String::new(),
            socket_path: String::new(),
            pci_id: String::new(),
        });
    }
    Ok(())
}

struct Adding<'a> {
    config: &'a Config,
    host: Socket,
    end: Link,
    earlier: Option<String>,
    shaper: Option<String>,
    state_dir: PathBuf,
}

impl Adding<'_> {
    fn steps<'s>(&'s self, record: Record, undo: &mut Undo<'s>) -> Result<Option<Link>, Error> {
        step("record");
        record::write(record, &self.state_dir, undo)?;
        step("clear");
        self.clear()?;
        undo.push(format!("take the limits off {}", self.end.dev), || Ok(self.clear()?));
        step("ifb");
        let shaper = match &self.shaper {
            Some(name) => Some(self.make_shaper(name)?),
            None => None,
        };
        step("limits");
        let (end, subnets) = (&self.end.dev, &self.config.subnets);
        let mut requests = Vec::new();
        if let (Some(bucket), Some(shaper)) = (self.config.egress, &shaper) {
            requests.extend(Way::for_all(bucket).requests(&shaper.dev));
            requests.push(link::set(&shaper.dev).up().request());
            let at = self.place(shaper.dev.index, &mut requests)?;
            let filters = plan::taken_away(subnets, shaper.dev.index, at);
            requests.extend(filters.iter().map(|filter| filter.add(end)));
        }
        if let Some(bucket) = self.config.ingress {
            requests.extend(Way::for_some(bucket, subnets, End::Source).requests(end));
        }
        self.host.run_all(&requests).map_err(|e| refused(&e))?;
        step("done");
        Ok(shaper)
    }

    fn clear(&self) -> Result<(), Error> {
        for shaper in [&self.earlier, &self.shaper] {
            clear(&self.host, &self.end.dev, shaper.as_deref())?;
            let exists = match shaper {
                Some(name) => link::find(&self.host, &ifname(name)).map_err(|e| refused(&e))?,
                None => None,
            };
            if exists.is_some() {
                delete_shaper(&self.host, shaper.as_deref())?;
            }
            if self.earlier == self.shaper {
                break;
            }
        }
        Ok(())
    }

    /// Down, since the kernel waits for packets under way when a link that is up gets a queue.
    fn make_shaper(&self, name: &str) -> Result<Link, Error> {
        let name = ifname(name);
        let mut ifb = Ifb::new(name.clone());
        if let Ok(mtu) = Mtu::try_from(self.end.mtu) {
            ifb = ifb.mtu(mtu);
        }
        let answers = self.host.batch(&[ifb.create(), link::query(&name)]);
        let mut told = None;
        for answer in answers {
            told = answer.map_err(|e| refused(&e))?;
        }
        told.as_ref().and_then(Link::from_reply).ok_or_else(|| {
            Error::new(code::IO, format!("look up link {name}: the kernel gave no answer"))
        })
    }

    /// Where filters of arriving packets are to be, for which `requests` may have to make a queue.
    fn place(&self, shaper: u32, requests: &mut Vec<Request>) -> Result<Place, Error> {
        let end: &Dev = &self.end.dev;
        if let Some(arriving) = Arriving::find(&self.host, end)? {
            return Ok(arriving.place(shaper));
        }
        let qdisc = Qdisc { parent: Handle::INGRESS, handle: ARRIVING, queue: Queue::Ingress };
        requests.push(qdisc.add(end));
        Ok(Place { parent: ARRIVING, behind: 0 })
    }
}
