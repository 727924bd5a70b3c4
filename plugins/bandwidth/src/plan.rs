//! What must be there: queues, a class and filters, as data.

use kernel::link::Dev;
use kernel::netlink::Request;
use kernel::tc::{Bucket, Class, End, Filter, Handle, Match, Qdisc, Queue};

use crate::config::Subnets;

/// The queue that packets leave a link by.
pub(crate) const ROOT: Handle = Handle::new(1, 0);
/// The place in it where packets wait for tokens.
const WITHIN: Handle = Handle::new(1, 1);
/// What waits there, where that is no queue of the kernel's own.
const LINE: Handle = Handle::new(2, 0);
/// The class of what is limited, where not all is.
pub(crate) const SHAPED: Handle = Handle::new(1, 0x30);
/// What arriving packets pass by.
pub(crate) const ARRIVING: Handle = Handle::new(0xffff, 0);
/// What filters of ours call packets that they take away, as the reference does.
pub(crate) const TAKEN: Handle = Handle::new(1, 1);
/// What they call packets that they let pass.
pub(crate) const PASSED: Handle = Handle::new(0xca15, 1);

/// The largest packet that a link hands over: one that is yet to be cut into segments.
const LARGEST_PACKET_BYTES: u32 = 70_000;
/// Packets that are not limited and wait for the link: what a link has that was asked for nothing.
const DIRECT_PACKETS: u32 = 1000;

/// What packets leave a link by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Outer first.
    pub(crate) queues: Vec<Qdisc>,
    /// In the outermost.
    pub(crate) class: Option<Class>,
    /// Of the outermost.
    pub(crate) filters: Vec<Filter>,
}

impl Way {
    /// All packets are limited to `bucket`.
    ///
    /// The kernel lets as much wait as the burst and 25 ms at the rate: after a large burst, packets
    /// would wait for as long as it took. So a line of its own is within, for 25 ms and one packet.
    pub(crate) fn for_all(bucket: Bucket) -> Self {
        let limit_bytes = waiting_bytes(bucket).saturating_add(bucket.burst_bytes);
        let queue = Queue::Tbf { bucket, limit_bytes };
        let mut queues = vec![Qdisc { parent: Handle::ROOT, handle: ROOT, queue }];
        if bucket.burst_bytes > LARGEST_PACKET_BYTES {
            queues.push(line(WITHIN, bucket));
        }
        Self { queues, class: None, filters: Vec::new() }
    }

    /// Packets are limited to `bucket` as their other side is in `subnets`, which is at this `end`.
    pub(crate) fn for_some(bucket: Bucket, subnets: &Subnets, end: End) -> Self {
        let (networks, default, class) = match subnets {
            Subnets::All => return Self::for_all(bucket),
            Subnets::Only(networks) => (networks, 0, SHAPED),
            Subnets::Except(networks) => (networks, 0x30, ROOT),
        };
        let queue = Queue::Htb { default, direct_packets: DIRECT_PACKETS };
        let filter = |matches, priority| Filter {
            parent: ROOT,
            priority,
            handle: 0,
            matches: Some(matches),
            class,
            redirect: None,
        };
        let filters = networks.iter().map(|&network| {
            let matches = Match::Network(end, network);
            filter(matches, place_of(matches))
        });
        Self {
            queues: vec![Qdisc { parent: Handle::ROOT, handle: ROOT, queue }, line(SHAPED, bucket)],
            class: Some(Class { handle: SHAPED, bucket }),
            filters: filters.collect(),
        }
    }

    /// The requests that make it for `dev`, in their order.
    pub(crate) fn requests(&self, dev: &Dev) -> Vec<Request> {
        let mut queues = self.queues.iter().map(|queue| queue.add(dev));
        let mut requests: Vec<Request> = queues.by_ref().take(1).collect();
        requests.extend(self.class.iter().map(|class| class.add(dev)));
        requests.extend(queues);
        requests.extend(self.filters.iter().map(|filter| filter.add(dev)));
        requests
    }
}

/// What may wait in 25 ms.
fn waiting_bytes(bucket: Bucket) -> u32 {
    u32::try_from(bucket.bytes_per_second / 40).unwrap_or(u32::MAX)
}

fn line(parent: Handle, bucket: Bucket) -> Qdisc {
    let packet = bucket.burst_bytes.min(LARGEST_PACKET_BYTES);
    let limit_bytes = waiting_bytes(bucket).saturating_add(packet);
    Qdisc { parent, handle: LINE, queue: Queue::Bfifo { limit_bytes } }
}

/// Filters of one place have one protocol.
fn place_of(matches: Match) -> u16 {
    match matches {
        Match::Network(_, network) if network.family() == types::Family::V4 => 1,
        Match::Network(..) => 2,
        Match::All => 3,
    }
}

/// Where filters of arriving packets are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// As the queue has it that they are asked by.
    pub(crate) parent: Handle,
    /// The last priority that others have.
    pub(crate) behind: u16,
}

/// The filters that take arriving packets away to the link with index `shaper`, or let them pass.
pub(crate) fn taken_away(subnets: &Subnets, shaper: u32, at: Place) -> Vec<Filter> {
    let filter = |matches, place, redirect: Option<u32>| Filter {
        parent: at.parent,
        priority: at.behind.saturating_add(place),
        handle: 0,
        matches: Some(matches),
        class: if redirect.is_some() { TAKEN } else { PASSED },
        redirect,
    };
    let of_networks = |networks: &[types::Cidr], redirect| -> Vec<Filter> {
        let matches = networks.iter().map(|&network| Match::Network(End::Destination, network));
        matches.map(|matches| filter(matches, place_of(matches), redirect)).collect()
    };
    match subnets {
        Subnets::All => vec![filter(Match::All, 1, Some(shaper))],
        Subnets::Only(networks) => of_networks(networks, Some(shaper)),
        Subnets::Except(networks) => {
            let mut filters = of_networks(networks, None);
            filters.push(filter(Match::All, place_of(Match::All), Some(shaper)));
            filters
        }
    }
}
