//! CHECK: what was asked for, and what is there now.

use attach::error::{no_netns, refused};
use attach::verify::differs;
use cni::{AddResult, Call, Error};
use kernel::link::{self, Dev};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::tc::{self, Bucket, End, Filter, Qdisc, Queue};

use crate::config::Config;
use crate::place::{Names, Pair, host, ifname};
use crate::plan::{self, Way};
use crate::remove::{Arriving, is_ours};

/// Compares the configuration with the host.
///
/// # Errors
/// Code 101 with the first difference; code 4 when there is no namespace, code 7 when there is no
/// pair.
pub(crate) fn compare(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    if config.is_empty() {
        return Ok(());
    }
    let host = host()?;
    let end = Pair::find(&host, &netns, &call.attachment.ifname)?.promised(call, result)?;
    let names = Names::of(&call.attachment);
    let maker = if names.is_recorded() { Maker::Ours } else { Maker::Reference };
    let host = Host { socket: host, maker };
    if let Some(bucket) = config.ingress {
        host.way(&end.dev, &Way::for_some(bucket, &config.subnets, End::Source))?;
    }
    let Some(bucket) = config.egress else { return Ok(()) };
    let Some(name) = names.made() else {
        return Err(differs(format!("nothing limits what {} sends", call.attachment)));
    };
    let shaper = link::find(&host.socket, &ifname(&name)).map_err(|e| refused(&e))?;
    let shaper = shaper.filter(|link| link.is_kind("ifb"));
    let shaper = shaper.ok_or_else(|| differs(format!("link {name} is missing on the host")))?;
    if !shaper.is_up() {
        return Err(differs(format!("link {name} is down")));
    }
    host.way(&shaper.dev, &Way::for_all(bucket))?;
    host.filters(&end.dev, shaper.dev.index, config)
}

/// Who made the limits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Ours,
    /// It knows no subnets, and has no line within a large bucket.
    Reference,
}

struct Host {
    socket: Socket,
    maker: Maker,
}

impl Host {
    fn way(&self, dev: &Dev, way: &Way) -> Result<(), Error> {
        for wanted in &way.queues {
            let found = tc::qdisc(&self.socket, dev, wanted.parent).map_err(|e| refused(&e))?;
            let is_left_out = found.is_none() && matches!(wanted.queue, Queue::Bfifo { .. });
            if self.maker == Maker::Reference && is_left_out {
                continue;
            }
            same_queue(dev, wanted, found.as_ref())?;
        }
        if let Some(wanted) = way.class {
            let found = tc::class(&self.socket, dev, wanted.handle).map_err(|e| refused(&e))?;
            if !found.is_some_and(|found| is_same(wanted.bucket, found.bucket)) {
                let has = found.map_or("missing".to_owned(), |found| found.bucket.to_string());
                let text =
                    format!("class {} of {dev} is {has}, not {}", wanted.handle, wanted.bucket);
                return Err(differs(text));
            }
        }
        if way.filters.is_empty() {
            return Ok(());
        }
        let found = tc::filters(&self.socket, dev, plan::ROOT).map_err(|e| refused(&e))?;
        same_filters(dev, &way.filters, &found.iter().collect::<Vec<_>>())
    }

    fn filters(&self, end: &Dev, shaper: u32, config: &Config) -> Result<(), Error> {
        let Some(arriving) = Arriving::find(&self.socket, end)? else {
            let text = format!("what the container sends passes {end} by without a queue");
            return Err(differs(text));
        };
        let is_ours = |filter: &&Filter| is_ours(filter, Some(shaper));
        let ours: Vec<&Filter> = arriving.filters.iter().filter(is_ours).collect();
        let wanted = plan::taken_away(&config.subnets, shaper, arriving.place(shaper));
        same_filters(end, &wanted, &ours)
    }
}

fn same_queue(dev: &Dev, wanted: &Qdisc, found: Option<&Qdisc>) -> Result<(), Error> {
    let is_same = found.is_some_and(|found| {
        found.handle == wanted.handle
            && match (&wanted.queue, &found.queue) {
                (
                    Queue::Tbf { bucket, limit_bytes },
                    Queue::Tbf { bucket: found, limit_bytes: limit },
                ) => is_same(*bucket, *found) && limit_bytes == limit,
                (wanted, found) => wanted == found,
            }
    });
    if is_same {
        return Ok(());
    }
    let has = found.map_or("missing".to_owned(), |found| found.queue.to_string());
    let text = format!("queue {} of {dev} is {has}, not {}", wanted.parent, wanted.queue);
    Err(differs(text))
}

/// The kernel keeps the time that a burst takes, and tells no more than 275 seconds of it.
fn is_same(wanted: Bucket, found: Bucket) -> bool {
    let is_long = wanted.short_ticks().is_none();
    wanted.bytes_per_second == found.bytes_per_second
        && (is_long || wanted.ticks() == found.ticks())
}

/// Whether the same packets are sent the same way, wherever among other filters.
fn same_filters(dev: &Dev, wanted: &[Filter], found: &[&Filter]) -> Result<(), Error> {
    let has = |wanted: &Filter| {
        found.iter().any(|found| {
            let matches = wanted.matches.zip(found.matches);
            matches.is_some_and(|(wanted, found)| wanted.is_same_as(found))
                && (wanted.class, wanted.redirect) == (found.class, found.redirect)
        })
    };
    if let Some(missing) = wanted.iter().find(|wanted| !has(wanted)) {
        let packets = missing.matches.map_or("other packets".to_owned(), |m| m.to_string());
        return Err(differs(format!("the filter of {dev} for {packets} is missing")));
    }
    if wanted.len() != found.len() {
        let text = format!("{dev} has {} filters of ours, not {}", found.len(), wanted.len());
        return Err(differs(text));
    }
    Ok(())
}
