//! Routes, as in ip-route(8).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use types::{Cidr, Family};

use crate::addr::family;
use crate::link::Dev;
use crate::netlink::attributes::{Attribute, Attributes, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{APPEND, Action, CREATE, PREPEND, REPLACE, Request, RequestError, Socket};

/// A unicast route: to make, to delete, or as it was read.
///
/// What is `None` is left to the kernel when making, matches anything when deleting, and was not
/// there when reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub dst: Cidr,
    /// Next hop.
    pub gw: Option<IpAddr>,
    /// Index of the link that packets leave by.
    pub dev: Option<u32>,
    /// Source address of packets that the host itself sends.
    pub src: Option<IpAddr>,
    /// Priority among routes to the same destination; the lowest wins.
    pub metric: Option<u32>,
    /// Routing table; [`MAIN`] unless said otherwise.
    pub table: u32,
    /// How far the destination is: `RT_SCOPE_` number.
    pub scope: Option<u8>,
    /// Largest packet on the way, in bytes.
    pub mtu: Option<u32>,
    /// Largest TCP segment to tell peers, in bytes.
    pub advmss: Option<u32>,
    /// The next hop is on the link even if no address says so.
    pub onlink: bool,
    /// Who made it: `RTPROT_` number; 3 (`boot`) is what `ip route add` writes.
    pub protocol: u8,
}

/// The table that everyone uses.
pub const MAIN: u32 = libc::RT_TABLE_MAIN as u32;
/// The kernel's table of addresses that are its own.
pub const LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;

const HEADER_BYTES: usize = 12;
/// `linux/rtnetlink.h`: the metrics nested in `RTA_METRICS`, and a flag of the header.
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
const RTNH_F_ONLINK: u32 = 4;

impl Route {
    /// A route to `dst` in the main table; say at least a gateway or a link.
    #[must_use]
    pub fn to(dst: Cidr) -> Self {
        Self {
            dst: dst.network(),
            gw: None,
            dev: None,
            src: None,
            metric: None,
            table: MAIN,
            scope: None,
            mtu: None,
            advmss: None,
            onlink: false,
            protocol: libc::RTPROT_BOOT,
        }
    }

    /// The route for everything else.
    #[must_use]
    pub fn default(family: Family) -> Self {
        Self::to(family.default_route())
    }

    /// By next hop `gw`.
    #[must_use]
    pub fn via(self, gw: IpAddr) -> Self {
        Self { gw: Some(gw), ..self }
    }

    /// By next hop `gw` on `dev`, though no address says that it is there.
    #[must_use]
    pub fn onlink(self, gw: IpAddr, dev: &Dev) -> Self {
        Self { onlink: true, ..self.via(gw).dev(dev) }
    }

    /// By link `dev`.
    #[must_use]
    pub fn dev(self, dev: &Dev) -> Self {
        Self { dev: Some(dev.index), ..self }
    }

    /// The request that adds it. `EEXIST` when a route with the same destination, metric and
    /// table exists.
    #[must_use]
    pub fn add(&self) -> Request {
        self.request("add", libc::RTM_NEWROUTE, CREATE)
    }

    /// The request that adds it before others of the same destination and metric: IPv4 prefers it
    /// to them, for IPv6 it becomes one more path. `EEXIST` only when its next hop is the same, too.
    #[must_use]
    pub fn prepend(&self) -> Request {
        self.request("add", libc::RTM_NEWROUTE, PREPEND)
    }

    /// The request that adds it after others of the same destination and metric.
    #[must_use]
    pub fn append(&self) -> Request {
        self.request("append", libc::RTM_NEWROUTE, APPEND)
    }

    /// The request that makes it the one of its destination, metric and table.
    #[must_use]
    pub fn replace(&self) -> Request {
        self.request("replace", libc::RTM_NEWROUTE, REPLACE)
    }

    /// The request that deletes the first route that matches. `ESRCH` when there is none.
    #[must_use]
    pub fn del(&self) -> Request {
        self.request("del", libc::RTM_DELROUTE, 0)
    }

    fn request(&self, verb: &'static str, kind: u16, flags: u16) -> Request {
        let (protocol, scope) = match kind {
            // Whoever made it, and any scope.
            libc::RTM_DELROUTE => (libc::RTPROT_UNSPEC, libc::RT_SCOPE_NOWHERE),
            _ => (self.protocol, self.natural_scope()),
        };
        let message = self.message(protocol, self.scope.unwrap_or(scope));
        Request::new(kind, flags, message, Action::Route { verb, route: self.to_string() })
    }

    fn message(&self, protocol: u8, scope: u8) -> Encoder {
        let mut message = Encoder::after(&self.header(protocol, scope));
        if !self.dst.is_default() {
            message.ip(libc::RTA_DST, self.dst.ip());
        }
        message.u32(libc::RTA_TABLE, self.table);
        if let Some(gw) = self.gw {
            message.ip(libc::RTA_GATEWAY, gw);
        }
        if let Some(index) = self.dev {
            message.u32(libc::RTA_OIF, index);
        }
        if let Some(src) = self.src {
            message.ip(libc::RTA_PREFSRC, src);
        }
        if let Some(metric) = self.metric {
            message.u32(libc::RTA_PRIORITY, metric);
        }
        if self.mtu.is_some() || self.advmss.is_some() {
            message.nested(libc::RTA_METRICS, |metrics| {
                if let Some(mtu) = self.mtu {
                    metrics.u32(RTAX_MTU, mtu);
                }
                if let Some(advmss) = self.advmss {
                    metrics.u32(RTAX_ADVMSS, advmss);
                }
            });
        }
        message
    }

    /// `struct rtmsg`.
    fn header(&self, protocol: u8, scope: u8) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0] = family(self.dst.family());
        header[1] = self.dst.prefix();
        // Tables above 255 exist only as an attribute.
        header[4] = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC);
        header[5] = protocol;
        header[6] = scope;
        header[7] = libc::RTN_UNICAST;
        let flags = if self.onlink { RTNH_F_ONLINK } else { 0 };
        header[8..].copy_from_slice(&flags.to_ne_bytes());
        header
    }

    /// As ip(8) has it: IPv4 destinations without a next hop are on the link itself.
    fn natural_scope(&self) -> u8 {
        match (self.dst.family(), self.gw) {
            (Family::V4, None) => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        }
    }

    /// `None` for what is no plain unicast route (multipath ones are, without `gw` and `dev`).
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        Self::parse_kind(body, libc::RTN_UNICAST)
    }

    /// `None` for what is not of the kind `wanted`.
    fn parse_kind(body: &[u8], wanted: u8) -> Option<Self> {
        let (&header, _) = body.split_first_chunk::<8>()?;
        let [af, dst_len, _, _, table, protocol, scope, kind] = header;
        let family = match i32::from(af) {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return None,
        };
        if kind != wanted {
            return None;
        }
        let onlink = u32_at(body, 8).is_some_and(|flags| flags & RTNH_F_ONLINK != 0);
        let scope = Some(scope);
        let mut route =
            Self { table: table.into(), protocol, scope, onlink, ..Self::default(family) };
        for attribute in Attributes::after(HEADER_BYTES, body) {
            route.take(attribute, dst_len);
        }
        Some(route)
    }

    fn take(&mut self, attribute: Attribute<'_>, dst_len: u8) {
        match attribute.kind {
            libc::RTA_DST => {
                let dst = attribute.ip().and_then(|ip| Cidr::new(ip, dst_len));
                self.dst = dst.unwrap_or(self.dst);
            }
            libc::RTA_GATEWAY => self.gw = attribute.ip(),
            libc::RTA_OIF => self.dev = attribute.u32(),
            libc::RTA_PREFSRC => self.src = attribute.ip(),
            libc::RTA_PRIORITY => self.metric = attribute.u32(),
            libc::RTA_TABLE => self.table = attribute.u32().unwrap_or(self.table),
            libc::RTA_METRICS => {
                for metric in attribute.nested() {
                    match metric.kind {
                        RTAX_MTU => self.mtu = metric.u32(),
                        RTAX_ADVMSS => self.advmss = metric.u32(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Route {
    /// As ip-route(8) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dst.is_default() {
            f.write_str("default")?;
        } else {
            self.dst.fmt(f)?;
        }
        if let Some(gw) = self.gw {
            write!(f, " via {gw}")?;
        }
        if let Some(index) = self.dev {
            write!(f, " dev #{index}")?;
        }
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        Ok(())
    }
}

/// Puts what is on the link before what has a next hop there, as the kernel wants to have them made.
pub fn in_order(routes: &mut [Route]) {
    routes.sort_by_key(|route| (route.gw.is_some(), route.dst.is_default()));
}

/// Protocol of routes that the kernel makes by itself (`RTPROT_KERNEL`).
pub const OF_THE_KERNEL: u8 = 2;
/// Protocol of routes that routers advertised (`RTPROT_RA`).
pub const ADVERTISED: u8 = 9;

/// Which routes to list; the kernel filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this family; both when `None`.
    pub family: Option<Family>,
    /// Only this table; all when `None`.
    pub table: Option<u32>,
    /// Only routes that leave by this link.
    pub dev: Option<u32>,
    /// Only routes that this one made: `RTPROT_` number.
    pub protocol: Option<u8>,
}

/// Reads the unicast routes that `filter` lets through.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket, filter: Filter) -> Result<Vec<Route>, RequestError> {
    let mut routes = dump(socket, filter, Route::parse)?;
    // Kernels before 4.20 do not filter; checking costs nothing.
    routes.retain(|route| {
        filter.table.is_none_or(|table| route.table == table)
            && filter.dev.is_none_or(|dev| route.dev == Some(dev))
            && filter.protocol.is_none_or(|protocol| route.protocol == protocol)
    });
    Ok(routes)
}

/// Addresses that the namespace takes packets for on `dev`, whatever table says so. An IPv6 address
/// can be used when it is one of them.
///
/// # Errors
/// When the routes cannot be read.
pub fn local(socket: &Socket, dev: &Dev) -> Result<Vec<IpAddr>, RequestError> {
    let filter = Filter { dev: Some(dev.index), ..Filter::default() };
    let mut routes = dump(socket, filter, |body| Route::parse_kind(body, libc::RTN_LOCAL))?;
    routes.retain(|route| route.dev == filter.dev);
    Ok(routes.iter().map(|route| route.dst.ip()).collect())
}

/// Tables that have routes of any kind, in any family.
///
/// # Errors
/// When the routes cannot be read.
pub fn tables(socket: &Socket) -> Result<BTreeSet<u32>, RequestError> {
    let table = |body: &[u8]| {
        let mut attributes = Attributes::after(HEADER_BYTES, body);
        let long = attributes.find(|attribute| attribute.kind == libc::RTA_TABLE);
        long.and_then(Attribute::u32).or_else(|| body.get(4).copied().map(u32::from))
    };
    Ok(dump(socket, Filter::default(), table)?.into_iter().collect())
}

fn dump<T>(
    socket: &Socket,
    filter: Filter,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, RequestError> {
    let families = match filter.family {
        Some(only) => &[only][..],
        None => &[Family::V4, Family::V6],
    };
    let mut all = Vec::new();
    for &family in families {
        match socket.dump(&filter.request(family), &parse) {
            Ok(found) => all.extend(found),
            // IPv4 answers so for a table that has never held a route.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Indices of the links that the default routes of the main table leave by, the preferred first and
/// IPv4 before IPv6. A route of several paths gives the link of its first.
///
/// # Errors
/// When the routes cannot be read.
pub fn default_links(socket: &Socket) -> Result<Vec<u32>, RequestError> {
    let mut links = Vec::new();
    for family in [Family::V4, Family::V6] {
        let filter = Filter { table: Some(MAIN), ..Filter::default() };
        match socket.dump(&filter.request(family), DefaultLink::parse) {
            Ok(mut found) => {
                // Stable: of one metric the kernel lists the one first that it uses.
                found.sort_by_key(|found| found.metric);
                links.extend(found.iter().map(|found| found.link));
            }
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(links)
}

/// The link of a default route.
struct DefaultLink {
    link: u32,
    metric: u32,
}

impl DefaultLink {
    fn parse(body: &[u8]) -> Option<Self> {
        /// Offset of the link's index in `struct rtnexthop`.
        const RTNH_IFINDEX: usize = 4;
        let (&header, _) = body.split_first_chunk::<8>()?;
        let [_, dst_len, _, _, table, _, _, kind] = header;
        if dst_len != 0 || kind != libc::RTN_UNICAST {
            return None;
        }
        let (mut link, mut metric, mut table) = (None, 0, u32::from(table));
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                libc::RTA_OIF => link = attribute.u32(),
                libc::RTA_MULTIPATH => link = link.or(u32_at(attribute.value, RTNH_IFINDEX)),
                libc::RTA_PRIORITY => metric = attribute.u32().unwrap_or_default(),
                libc::RTA_TABLE => table = attribute.u32().unwrap_or(table),
                _ => {}
            }
        }
        // Kernels before 4.20 do not filter.
        link.filter(|_| table == MAIN).map(|link| Self { link, metric })
    }
}

/// The route that a packet to `ip` takes, as `ip route get`; `None` where there is none, or none
/// to another host.
///
/// # Errors
/// When it cannot be read.
pub fn get(socket: &Socket, ip: IpAddr) -> Result<Option<Route>, RequestError> {
    let dst = Cidr::host(ip);
    let mut header = [0; HEADER_BYTES];
    header[0] = family(dst.family());
    header[1] = dst.prefix();
    let mut message = Encoder::after(&header);
    message.ip(libc::RTA_DST, ip);
    let action = Action::Route { verb: "get", route: ip.to_string() };
    match socket.ask(&Request::new(libc::RTM_GETROUTE, 0, message, action)) {
        Ok(reply) => Ok(reply.and_then(|reply| Route::parse(&reply.body))),
        Err(error) if error.is_unreachable() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Filter {
    pub(crate) fn request(self, of: Family) -> Request {
        let mut header = [0; HEADER_BYTES];
        header[0] = family(of);
        header[5] = self.protocol.unwrap_or(libc::RTPROT_UNSPEC);
        let mut message = Encoder::after(&header);
        if let Some(table) = self.table {
            message.u32(libc::RTA_TABLE, table);
        }
        if let Some(index) = self.dev {
            message.u32(libc::RTA_OIF, index);
        }
        let action = Action::List { what: format!("{of} routes") };
        Request::new(libc::RTM_GETROUTE, 0, message, action)
    }
}
