//! A lease: what a server gave, and what follows from it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use cni::{AddResult, Dns, Ip, Route};
use serde::{Deserialize, Serialize};
use types::{Cidr, MacAddr};

use crate::wire::{Message, Options, option};

/// An address for a while, with all that came beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// From whose Ethernet address it came: the server's, or that of the relay on the way.
    server_mac: [u8; 6],
    /// When it was asked for: seconds since the boot, suspended times included.
    since: u64,
    /// The server's options.
    options: Options,
}

/// How long a lease lasts whose server does not say.
const DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Less is taken for this, so that nobody renews without rest.
const LEAST_SECONDS: u32 = 2;
/// `RT_SCOPE_LINK`: destinations without a router on the way.
const LINK: u32 = 253;

impl Lease {
    /// What `message` offers or grants; it came from `server_mac`, asked for at `since` after boot.
    #[must_use]
    pub(crate) fn of(message: &Message, server_mac: MacAddr, since: Duration) -> Self {
        Self {
            address: message.yiaddr,
            server_mac: server_mac.bytes(),
            since: since.as_secs(),
            options: message.options.clone(),
        }
    }

    /// The server's address, if it told it as it must.
    #[must_use]
    pub(crate) fn server(&self) -> Option<Ipv4Addr> {
        self.options.addresses(option::SERVER).first().copied()
    }

    /// From whose Ethernet address it came.
    #[must_use]
    pub(crate) fn server_mac(&self) -> MacAddr {
        MacAddr::from_bytes(self.server_mac)
    }

    /// The address with its network's prefix; `None` where the server gave no subnet mask, or none
    /// that is one.
    #[must_use]
    pub(crate) fn cidr(&self) -> Option<Cidr> {
        let mask = self.options.number(option::SUBNET_MASK)?;
        let is_mask = mask.leading_ones() + mask.trailing_zeros() >= 32;
        Cidr::new(self.address.into(), mask.leading_ones() as u8).filter(|_| is_mask)
    }

    /// Largest packet in bytes.
    #[must_use]
    pub(crate) fn mtu(&self) -> Option<u32> {
        let mtu = u16::from_be_bytes(self.options.get(option::MTU)?.try_into().ok()?);
        Some(mtu.into())
    }

    /// When to ask the server for more time: T1.
    #[must_use]
    pub(crate) fn renew_at(&self) -> Duration {
        self.begin() + self.part(option::RENEWAL_TIME, 4).min(self.part(option::REBINDING_TIME, 7))
    }

    /// When to ask any server: T2.
    #[must_use]
    pub(crate) fn rebind_at(&self) -> Duration {
        self.begin() + self.part(option::REBINDING_TIME, 7)
    }

    /// When the address must not be used any more.
    #[must_use]
    pub(crate) fn ends_at(&self) -> Duration {
        self.begin() + self.length()
    }

    fn begin(&self) -> Duration {
        Duration::from_secs(self.since)
    }

    fn length(&self) -> Duration {
        let seconds = self.options.number(option::LEASE_TIME);
        seconds.map_or(DEFAULT, |seconds| Duration::from_secs(seconds.max(LEAST_SECONDS).into()))
    }

    /// The time that an option gives, or so many eighths of the whole (RFC 2131 §4.4.5).
    fn part(&self, number: u8, eighths: u32) -> Duration {
        let given = self.options.number(number).map(|seconds| Duration::from_secs(seconds.into()));
        given.filter(|time| *time < self.length()).unwrap_or(self.length() * eighths / 8)
    }

    /// The lease as an answer of IPAM; `None` where the server gave no subnet mask. All routes get
    /// the metric `priority`; 0 is the kernel's default.
    #[must_use]
    pub(crate) fn result(&self, priority: u32) -> Option<AddResult> {
        let router = self.options.addresses(option::ROUTERS).first().copied();
        let ip = Ip { interface: None, address: self.cidr()?, gateway: router.map(IpAddr::V4) };
        let mut routes = match self.options.get(option::CLASSLESS_ROUTES) {
            // RFC 3442: then all other routes, and the router, must be ignored.
            Some(bytes) => classless(bytes),
            None => {
                let mut routes = self.classful();
                let default = Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0).expect("0 fits");
                routes.extend(router.map(|router| Route::via(default, Some(router.into()))));
                routes
            }
        };
        for route in &mut routes {
            route.priority = priority;
        }
        Some(AddResult { interfaces: Vec::new(), ips: vec![ip], routes, dns: self.dns() })
    }

    /// Option 33: destinations of a class, which is all that tells their length.
    fn classful(&self) -> Vec<Route> {
        let addresses = self.options.addresses(option::STATIC_ROUTES);
        let route = |&[dst, router]: &[Ipv4Addr; 2]| {
            let prefix = match dst.octets()[0] {
                0..128 => 8,
                128..192 => 16,
                _ => 24,
            };
            // The default route must not be given so (RFC 2132 §5.8).
            let dst = Cidr::new(dst.into(), prefix).filter(|_| !dst.is_unspecified())?;
            Some(Route::via(dst.network(), Some(router.into())))
        };
        addresses.as_chunks().0.iter().filter_map(route).collect()
    }

    fn dns(&self) -> Dns {
        let servers = self.options.addresses(option::NAME_SERVERS);
        Dns {
            nameservers: servers.iter().map(ToString::to_string).collect(),
            domain: self.options.text(option::DOMAIN_NAME).unwrap_or_default().to_owned(),
            search: self.options.get(option::DOMAIN_SEARCH).map(names).unwrap_or_default(),
            options: Vec::new(),
        }
    }
}

/// Option 121 (RFC 3442): as far as it is whole.
fn classless(mut bytes: &[u8]) -> Vec<Route> {
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = bytes.split_first() {
        let length = usize::from(prefix).div_ceil(8);
        let Some((significant, rest)) = rest.split_at_checked(length) else { break };
        let Some((router, rest)) = rest.split_first_chunk::<4>() else { break };
        let mut octets = [0; 4];
        let Some(place) = octets.get_mut(..length) else { break };
        place.copy_from_slice(significant);
        let Some(dst) = Cidr::new(Ipv4Addr::from(octets).into(), prefix) else { break };
        let router = Ipv4Addr::from(*router);
        let route = match router.is_unspecified() {
            true => Route { scope: Some(LINK), ..Route::via(dst.network(), Some(router.into())) },
            false => Route::via(dst.network(), Some(router.into())),
        };
        routes.push(route);
        bytes = rest;
    }
    routes
}

/// Option 119 (RFC 3397): names as in DNS, compressed; as far as they are whole.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some((name, next)) = name(bytes, at) {
        names.extend((!name.is_empty()).then_some(name));
        at = next;
    }
    names
}

/// The name that begins at `at`, and where the next one begins.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    const MOST_BYTES: usize = 253;
    let mut name = String::new();
    let mut next = None;
    loop {
        let length = *bytes.get(at)?;
        match length {
            0 => return Some((name, next.unwrap_or(at + 1))),
            1..64 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
                let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
                let label = str::from_utf8(label).ok()?;
                if !label.bytes().all(|byte| is_plain(&byte)) {
                    return None; // it would end up in a resolv.conf
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(label);
                at += 1 + usize::from(length);
            }
            192.. => {
                let to = usize::from(length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                next = next.or(Some(at + 2));
                if to >= at {
                    return None; // forwards it could go round for ever
                }
                at = to;
            }
            _ => return None,
        }
        if name.len() > MOST_BYTES {
            return None;
        }
    }
}
