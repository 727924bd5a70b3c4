//! The link in the kernel's terms.

use attach::verify::differs;
use cni::{Error, code};
use kernel::RequestError;
use kernel::link::{self, Data, Link, VlanProtocol};
use kernel::netlink::Request;
use sublinks::{New, Sublink};
use types::{Mtu, VlanId};

/// As `ip link add type` calls it.
pub(crate) const KIND: &str = "vlan";

/// What a VLAN has beside what all links on a master have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Its id; `None` for 0.
    pub id: Option<VlanId>,
    /// The tag of its frames.
    pub protocol: VlanProtocol,
    /// The MTU that CHECK finds; `None`: any.
    pub mtu: Option<Mtu>,
}

impl Sublink for Vlan {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn accepts(&self, master: &Link) -> Result<(), Error> {
        match master.is_up() {
            true => Ok(()),
            // Unlike those of other kinds.
            false => Err(Error::new(
                code::IO,
                format!("{} is down: a VLAN can only be set up on a link that is up", master.dev),
            )
            .with_hint(format!("ip link set {} up", master.dev))),
        }
    }

    fn create(&self, new: &New<'_>) -> Request {
        let mut link = link::Vlan::new(new.name.clone(), new.master, self.id).netns(new.netns);
        if let Some(mtu) = new.mtu {
            link = link.mtu(mtu);
        }
        link.protocol(self.protocol).create()
    }

    fn hint(&self, master: &Link, error: &RequestError) -> Option<String> {
        let master = &master.dev;
        if error.is_exists() {
            let id = self.id.map_or(0, VlanId::get);
            return Some(format!(
                "VLAN {id} of {master} is somebody's already, maybe within another container: each \
                 is one's alone. Containers share one by macvlan or ipvlan with \"master\": \
                 \"{master}.{id}\""
            ));
        }
        // What the kernel says of a link that it cannot have VLANs on.
        let cannot = error.source.to_string().contains("VLANs not supported on device");
        cannot.then(|| format!("{master} carries no VLANs; name an Ethernet link"))
    }

    fn compare(&self, link: &Link) -> Result<(), Error> {
        let (Data::Vlan { id, protocol }, name) = (&link.data, &link.dev) else { return Ok(()) };
        if (*id, *protocol) != (self.id, self.protocol) {
            return Err(differs(format!("{name} is not the VLAN of its network")));
        }
        match self.mtu {
            Some(mtu) if mtu.get() != link.mtu => {
                Err(differs(format!("{name} has MTU {}, its network {}", link.mtu, mtu.get())))
            }
            _ => Ok(()),
        }
    }
}
