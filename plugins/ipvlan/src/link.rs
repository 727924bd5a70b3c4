//! The link in the kernel's terms.

use attach::verify::differs;
use cni::Error;
use kernel::RequestError;
use kernel::link::{self, Data, IpvlanFlag, IpvlanMode, Link};
use kernel::netlink::Request;
use sublinks::{New, Sublink};

/// As `ip link add type` calls it.
pub(crate) const KIND: &str = "ipvlan";

/// What an ipvlan has beside what all links on a master have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipvlan {
    /// The layer it shares the master at.
    pub mode: IpvlanMode,
    /// How it sees its siblings.
    pub flag: IpvlanFlag,
}

impl Sublink for Ipvlan {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn create(&self, new: &New<'_>) -> Request {
        let mut link = link::Ipvlan::new(new.name.clone(), new.master, self.mode).netns(new.netns);
        if let Some(mtu) = new.mtu {
            link = link.mtu(mtu);
        }
        link.flag(self.flag).create()
    }

    fn hint(&self, master: &Link, error: &RequestError) -> Option<String> {
        let master = &master.dev;
        if error.is_busy() {
            return Some(format!(
                "{master} serves something else already (a bridge, a bond, macvlan); \
                 `ip -d link show` tells"
            ));
        }
        error.is_invalid().then(|| format!("{master} is no Ethernet link"))
    }

    fn compare(&self, link: &Link) -> Result<(), Error> {
        let Data::Ipvlan { mode, flag } = link.data else { return Ok(()) };
        match (mode, flag) == (Some(self.mode), Some(self.flag)) {
            true => Ok(()),
            false => Err(differs(format!(
                "ipvlan {} is not in the mode and flag of its network",
                link.dev
            ))
            .with_hint("a container that was put on the same master later changes them for all")),
        }
    }
}
