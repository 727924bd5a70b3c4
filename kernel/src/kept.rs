//! What a link loses by going down and up, as the kernel makes it do when it joins or leaves a VRF.

use std::time::{Duration, Instant};

use types::Family;

use crate::addr::{self, Addr};
use crate::link::{Dev, Link};
use crate::netlink::{Action, Error, Request, RequestError, Socket};
use crate::route::{self, ADVERTISED, Filter, OF_THE_KERNEL, Route};

/// Global IPv6 addresses without a lifetime and all routes of one next hop, but for those that the
/// kernel and routers make anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    is_up: bool,
    addrs: Vec<Addr>,
    /// Those on the link first.
    pub routes: Vec<Route>,
}

impl Kept {
    /// What `link` has of these.
    ///
    /// # Errors
    /// When its addresses or routes cannot be read.
    pub fn of(socket: &Socket, link: &Link) -> Result<Self, RequestError> {
        let is_lost = |found: &&addr::Found| {
            found.cidr.family() == Family::V6 && found.is_global() && found.is_permanent()
        };
        let found = addr::list(socket, &link.dev)?;
        let addr = |found: &addr::Found| Addr::new(found.cidr).prefix_route(found.prefix_route());
        let addrs = found.iter().filter(is_lost).map(addr).collect();
        let filter = Filter { dev: Some(link.dev.index), ..Filter::default() };
        let mut routes = route::list(socket, filter)?;
        routes.retain(|route| ![OF_THE_KERNEL, ADVERTISED].contains(&route.protocol));
        route::in_order(&mut routes);
        Ok(Self { is_up: link.is_up(), addrs, routes })
    }

    /// The same with the routes of table `from` in table `to`.
    #[must_use]
    pub fn moved(&self, from: u32, to: u32) -> Self {
        let mut moved = self.clone();
        for route in moved.routes.iter_mut().filter(|route| route.table == from) {
            route.table = to;
        }
        moved
    }

    /// Gives it back to `dev`. The addresses can be used when this returns: it looks for no
    /// duplicates, as the link had them before, and gives the kernel the time `within` to take
    /// packets for them if the link is up. Routes that are there are left.
    ///
    /// `socket` and the calling thread must be in the same namespace.
    ///
    /// # Errors
    /// What the kernel refuses first, or that time ran out.
    pub fn give_back(
        &self,
        socket: &Socket,
        dev: &Dev,
        within: Duration,
    ) -> Result<(), RequestError> {
        // Those that outlived it (`keep_addr_on_down`) are being probed again.
        let dels = self.addrs.iter().map(|addr| addr::del(dev, addr.cidr));
        run(socket, dels, RequestError::is_missing)?;
        let adds = self.addrs.iter().map(|addr| addr::add(dev, *addr));
        run(socket, adds, RequestError::is_exists)?;
        if self.is_up {
            self.wait(socket, dev, within)?;
        }
        run(socket, self.routes.iter().map(Route::append), RequestError::is_exists)
    }

    fn wait(&self, socket: &Socket, dev: &Dev, within: Duration) -> Result<(), RequestError> {
        let deadline = Instant::now() + within;
        let mut left: Vec<_> = self.addrs.iter().map(|addr| addr.cidr.ip()).collect();
        while !left.is_empty() {
            let local = route::local(socket, dev)?;
            left.retain(|ip| !local.contains(ip));
            if left.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let action = Action::List { what: format!("usable addresses of {dev}") };
                return Err(socket.failed(&action, Error::Timeout(within)));
            }
            addr::wait_for_change(socket, dev, deadline)?;
        }
        Ok(())
    }
}

/// Runs all of `requests`; errors that are `fine` are none.
fn run(
    socket: &Socket,
    requests: impl Iterator<Item = Request>,
    fine: impl Fn(&RequestError) -> bool,
) -> Result<(), RequestError> {
    let answers = socket.batch(&requests.collect::<Vec<_>>());
    match answers.into_iter().filter_map(Result::err).find(|error| !fine(error)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
