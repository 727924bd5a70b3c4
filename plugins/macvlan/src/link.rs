//! The link in the kernel's terms.

use attach::verify::differs;
use cni::Error;
use kernel::RequestError;
use kernel::link::{self, Data, Link, MacvlanMode};
use kernel::netlink::Request;
use sublinks::{New, Sublink};
use types::MacAddr;

/// As `ip link add type` calls it.
pub(crate) const KIND: &str = "macvlan";

/// What a macvlan has beside what all links on a master have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// How it sees its siblings.
    pub mode: MacvlanMode,
    /// Broadcast and multicast frames that may wait; `None`: the kernel's 1000.
    pub broadcast_queue: Option<u32>,
    /// Whose frames it gets in mode source.
    pub sources: Vec<MacAddr>,
}

impl Sublink for Macvlan {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn create(&self, new: &New<'_>) -> Request {
        let mut link = link::Macvlan::new(new.name.clone(), new.master, self.mode).netns(new.netns);
        if let Some(mtu) = new.mtu {
            link = link.mtu(mtu);
        }
        if let Some(mac) = new.mac {
            link = link.mac(mac);
        }
        if let Some(frames) = self.broadcast_queue {
            link = link.broadcast_queue(frames);
        }
        if self.mode == MacvlanMode::Source {
            link = link.sources(&self.sources);
        }
        link.create()
    }

    fn hint(&self, master: &Link, error: &RequestError) -> Option<String> {
        let master = &master.dev;
        if error.is_busy() {
            return Some(format!(
                "{master} serves something else already (a bridge, a bond, ipvlan), or a sibling \
                 has that Ethernet address; `ip -d link show` tells"
            ));
        }
        error.is_invalid().then(|| match self.mode {
            MacvlanMode::Passthru => {
                format!("passthru needs {master} for itself: it has another macvlan, or is no Ethernet link")
            }
            _ => format!("{master} is given to one container by passthru, or is no Ethernet link"),
        })
    }

    fn compare(&self, link: &Link) -> Result<(), Error> {
        match link.data {
            Data::Macvlan { mode } if mode == Some(self.mode) => Ok(()),
            _ => Err(differs(format!("macvlan {} is not in the mode of its network", link.dev))),
        }
    }
}
