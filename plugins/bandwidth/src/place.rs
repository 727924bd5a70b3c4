//! Where limits are: the host's end of the container's pair, and a link for what the container
//! sends.

use std::path::PathBuf;

use attach::error::{no_netns, refused};
use cni::record::Records;
use cni::{AddResult, Call, Error, code, state};
use kernel::link::{self, Dev, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use netfilter::reference::names;
use types::{Attachment, IfName};

use crate::remove::{Arriving, is_ours};

/// Where records of attachments are whose bandwidth is limited.
pub(crate) fn state_dir() -> PathBuf {
    state::run_dir().join("bandwidth")
}

/// A socket on the host, which the calling thread stays on.
pub(crate) fn host() -> Result<Socket, Error> {
    Socket::open("the host's namespace").map_err(|e| refused(&e))
}

/// The container's interface and the host's end of its pair.
pub(crate) struct Pair {
    pub(crate) container: Option<Link>,
    pub(crate) host: Option<Link>,
}

impl Pair {
    /// What there is of both.
    pub(crate) fn find(host: &Socket, netns: &Netns, ifname: &IfName) -> Result<Self, Error> {
        let inside = netns.socket().map_err(|error| match error {
            SocketError::Netns(error) => no_netns(&error),
            SocketError::Netlink(error) => refused(&error),
        })?;
        let container = link::find(&inside, ifname).map_err(|e| refused(&e))?;
        let peer = container.as_ref().filter(|link| link.is_kind("veth")).and_then(|c| c.link);
        let end = match peer {
            Some(index) => link::find(host, index).map_err(|e| refused(&e))?,
            None => None,
        };
        // The peer may be in a third namespace, and another link here have its number.
        let is_peer =
            |end: &Link| end.is_kind("veth") && end.link == container.as_ref().map(|c| c.dev.index);
        Ok(Self { host: end.filter(is_peer), container })
    }

    /// The host's end, which `result` tells of.
    ///
    /// # Errors
    /// Code 7 where there is none.
    pub(crate) fn promised(self, call: &Call, result: &AddResult) -> Result<Link, Error> {
        let (ifname, sandbox) = (&call.attachment.ifname, call.sandbox());
        let refused = |why: &str, hint: &str| {
            let text = format!("limit the bandwidth of {ifname} in {sandbox}: {why}");
            Error::new(code::INVALID_CONFIG, text).with_hint(hint)
        };
        let Some(container) = self.container else {
            let hint = "an earlier plugin of the list has to make the interface";
            return Err(refused("there is no such link", hint));
        };
        let on_a_pair = "bandwidth works behind plugins that make a veth pair, as bridge, ptp and \
                         user-bridge do; take it out of lists of others";
        let Some(end) = self.host else {
            let kind = container.kind.as_deref().unwrap_or("other kind of link");
            let why = match kind {
                "veth" => "the other end of its veth pair is not on the host".to_owned(),
                _ => format!("it is a {kind}, which has no end on the host"),
            };
            return Err(refused(&why, on_a_pair));
        };
        let of_host = |name: &str| {
            result.interfaces.iter().any(|link| link.name == name && link.sandbox.is_empty())
        };
        // Results of versions before 0.3.0 have none.
        if !result.interfaces.is_empty() && !of_host(&end.dev.name) {
            let why = format!("prevResult has no interface {} on the host", end.dev.name);
            return Err(refused(&why, on_a_pair));
        }
        Ok(end)
    }
}

/// What an attachment's own link is called.
pub(crate) struct Names<'a> {
    key: &'a Attachment,
    records: Records,
}

impl<'a> Names<'a> {
    pub(crate) fn of(key: &'a Attachment) -> Self {
        Self { key, records: Records::under(&state_dir()) }
    }

    /// As the reference calls it, which does not tell interfaces of one container apart.
    fn shared(&self) -> String {
        names::shaper(self.key.network.as_str(), self.key.container.as_str(), "")
    }

    /// For the second interface of a container on one network.
    fn apart(&self) -> String {
        let more = format!("/{}", self.key.ifname);
        names::shaper(self.key.network.as_str(), self.key.container.as_str(), &more)
    }

    /// What it was called when it was made; `None` where ours made none.
    pub(crate) fn recorded(&self) -> Option<String> {
        Some(self.records.read(self.key)?.host_ifname).filter(|name| !name.is_empty())
    }

    /// Whether ours made it.
    pub(crate) fn is_recorded(&self) -> bool {
        self.records.read(self.key).is_some()
    }

    /// What it is called if anybody made it.
    pub(crate) fn made(&self) -> Option<String> {
        if self.is_recorded() {
            return self.recorded();
        }
        Some(self.shared()).filter(|name| !self.is_anothers(name))
    }

    /// What it is to be called. `end` is the host's end of the pair.
    pub(crate) fn free(&self, host: &Socket, end: &Dev) -> Result<String, Error> {
        let shared = self.shared();
        if let Some(name) = self.recorded() {
            return Ok(name);
        }
        if link::find(host, &ifname(&shared)).map_err(|e| refused(&e))?.is_none() {
            return Ok(shared);
        }
        let is_own = !self.is_anothers(&shared) && self.is_used_by(host, end)?;
        Ok(if is_own { shared } else { self.apart() })
    }

    /// Whether what arrives at `end` is sent to the link that the reference would make.
    pub(crate) fn is_used_by(&self, host: &Socket, end: &Dev) -> Result<bool, Error> {
        let link = link::find(host, &ifname(&self.shared())).map_err(|e| refused(&e))?;
        let Some(link) = link else { return Ok(false) };
        let arriving = Arriving::find(host, end)?;
        let filters = arriving.map(|arriving| arriving.filters).unwrap_or_default();
        Ok(filters.iter().any(|filter| is_ours(filter, Some(link.dev.index))))
    }

    /// Whether another interface of the container has it.
    fn is_anothers(&self, name: &str) -> bool {
        let records = self.records.of_network(&self.key.network).unwrap_or_default();
        records.iter().any(|record| record.host_ifname == name && record.key != *self.key)
    }
}

/// A name of ours as a type.
pub(crate) fn ifname(name: &str) -> IfName {
    name.parse().expect("`bwp` and twelve hexadecimal digits are an interface name")
}
