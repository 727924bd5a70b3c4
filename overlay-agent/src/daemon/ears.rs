//! What happens on this host, as tokio waits for it.

use std::cell::RefCell;
use std::io;

use kernel::heard::{Ears, Heard};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::told;

/// All that is listened to.
pub(super) struct Listening {
    objects: AsyncFd<Ears>,
    filter: AsyncFd<Ears>,
    /// Names of links by index: what happens to their entries names the index alone.
    links: RefCell<std::collections::HashMap<u32, String>>,
}

/// What may have to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Concern {
    /// A link, or what it has: its name.
    Link(String),
    /// Containers may have come or gone: what plugins write for each has changed.
    Use,
    /// This host's own addresses.
    Underlay,
    /// All.
    Everything,
}

/// The prefix of names of our links: devices and bridges of networks.
const OURS: &[&str] = &["ov-", "ov6-", "ob-"];

impl Listening {
    #[expect(deprecated, reason = "its successor is unsafe, for what has no descriptor of its own")]
    pub(super) fn begin() -> io::Result<Self> {
        let place = "the host's namespace";
        let watch = |ears: Ears| AsyncFd::with_interest(ears, Interest::READABLE);
        Ok(Self {
            objects: watch(Ears::for_objects(place).map_err(told)?)?,
            filter: watch(Ears::for_filter(place).map_err(told)?)?,
            links: RefCell::default(),
        })
    }

    /// What happened since; waits until something does.
    pub(super) async fn heard(&self) -> io::Result<Vec<Concern>> {
        let mut concerns = Vec::new();
        tokio::select! {
            ready = self.objects.readable() => {
                let taken = self.objects.get_ref().take(|heard| self.judge(heard, &mut concerns));
                ready?.clear_ready();
                taken.map_err(told)?;
            }
            ready = self.filter.readable() => {
                let taken = self.filter.get_ref().take(|heard| self.judge(heard, &mut concerns));
                ready?.clear_ready();
                taken.map_err(told)?;
            }
        }
        concerns.dedup();
        Ok(concerns)
    }

    fn judge(&self, heard: Heard, concerns: &mut Vec<Concern>) {
        let mut links = self.links.borrow_mut();
        let concern = match heard {
            Heard::Link(link) => {
                let name = link.dev.name.to_string();
                if !is_ours(&name) {
                    return;
                }
                links.insert(link.dev.index, name.clone());
                Concern::Link(name)
            }
            Heard::LinkGone(link) => {
                links.remove(&link.dev.index);
                Concern::Link(link.dev.name.to_string())
            }
            Heard::Address(index) | Heard::NeighbourGone(index) if links.contains_key(&index) => {
                Concern::Link(links[&index].clone())
            }
            Heard::Address(_) => Concern::Underlay,
            Heard::NeighbourGone(_) => return,
            Heard::RouteGone(protocol) if protocol != tunnels::PROTOCOL => return,
            Heard::Filter(table) if table != netfilter::tunnels::TABLE.name() => Concern::Use,
            Heard::RouteGone(_) | Heard::Filter(_) | Heard::Lost => Concern::Everything,
        };
        concerns.push(concern);
    }
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|prefix| name.starts_with(prefix))
}
