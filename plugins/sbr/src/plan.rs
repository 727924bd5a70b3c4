//! What must be: for each address a table, a rule, and routes; and which routes leave the main table.

use std::net::{IpAddr, Ipv6Addr};

use cni::AddResult;
use kernel::link::Dev;
use kernel::route::{LOCAL, MAIN, Route, in_order};
use kernel::rule::Rule;
use types::{Cidr, Family};

use crate::config::Config;

/// The first table that may be ours.
pub(crate) const FIRST_TABLE: u32 = 100;

/// What the container has before.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    /// The interface.
    pub(crate) dev: Dev,
    /// All rules, in their order.
    pub(crate) rules: Vec<Rule>,
    /// All routes of all tables.
    pub(crate) routes: Vec<Route>,
}

/// What is done, in this order. Routes on the link come before those that have a next hop there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) rules: Vec<Rule>,
    /// In tables of our own.
    pub(crate) routes: Vec<Route>,
    /// Routes of the main table that get a source.
    pub(crate) hints: Vec<Route>,
    /// Routes that leave the main table.
    pub(crate) leaving: Vec<Route>,
    /// What an earlier call made for these addresses.
    pub(crate) old_routes: Vec<Route>,
    pub(crate) old_rules: Vec<Rule>,
}

impl Plan {
    /// Rules from `ips` to a table that others fill, but for those that are among `present`.
    pub(crate) fn to_table(table: u32, ips: &[cni::Ip], present: &[Rule]) -> Self {
        let wanted = ips.iter().map(|ip| rule_for(ip.address, table));
        let is_new = |rule: &Rule| !present.iter().any(|known| is_same(known, rule));
        Self { rules: wanted.filter(is_new).collect(), ..Self::default() }
    }

    /// Tables of their own for `ips`, the addresses of the interface in `result`.
    pub(crate) fn new(
        config: &Config,
        result: &AddResult,
        ips: &[cni::Ip],
        present: &Present,
    ) -> Self {
        let mut plan = Self { old_rules: present.rules_of(ips), ..Self::default() };
        plan.old_routes = present.routes_of(&plan.old_rules);
        let has_address = |route: &&Route| has_address(ips, route);
        let movable: Vec<&Route> = present.main().filter(has_address).collect();
        // After an earlier call, what belongs to an address is in its table.
        let known: Vec<Route> = movable
            .iter()
            .map(|route| (*route).clone())
            .chain(plan.old_routes.iter().cloned())
            .collect();
        let mut taken = present.taken();
        for ip in ips {
            let table = (FIRST_TABLE..).find(|table| !taken.contains(table)).unwrap_or(FIRST_TABLE);
            taken.push(table);
            plan.routes.extend(routes_for(config, result, ip, ips, (&known, table, &present.dev)));
            plan.rules.push(rule_for(ip.address, table));
        }
        for route in movable {
            match config.source_hints && route.gw.is_none() && !route.dst.is_default() {
                true => plan.hints.extend(hint(route, ips)),
                false => plan.leaving.push(route.clone()),
            }
        }
        for routes in [&mut plan.routes, &mut plan.leaving, &mut plan.old_routes] {
            in_order(routes);
        }
        plan
    }
}

/// Whether the interface has an address of the route's family, whose table it can be in.
fn has_address(ips: &[cni::Ip], route: &Route) -> bool {
    ips.iter().any(|ip| ip.address.family() == route.dst.family())
}

impl Present {
    /// Rules that lead from one of `ips` to a table of ours.
    fn rules_of(&self, ips: &[cni::Ip]) -> Vec<Rule> {
        let is_ours = |rule: &&Rule| {
            ips.iter().any(|ip| is_from(rule, ip.address)) && is_own_table(rule.table)
        };
        self.rules.iter().filter(is_ours).cloned().collect()
    }

    /// Routes of the interface in the tables that `rules` lead to.
    fn routes_of(&self, rules: &[Rule]) -> Vec<Route> {
        let is_led_to = |route: &&Route| rules.iter().any(|rule| rule.table == route.table);
        self.routes.iter().filter(|route| self.is_own(route)).filter(is_led_to).cloned().collect()
    }

    /// Routes of the interface in the main table, but for link-local ones: every interface has those.
    fn main(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.table == MAIN && self.is_own(route))
    }

    fn is_own(&self, route: &Route) -> bool {
        route.dev == Some(self.dev.index) && !is_link_local(route.dst)
    }

    /// Tables that rules lead to or that have routes.
    fn taken(&self) -> Vec<u32> {
        let of_rules = self.rules.iter().map(|rule| rule.table);
        of_rules.chain(self.routes.iter().map(|route| route.table)).collect()
    }
}

/// Everything that leaves from `ip` by `dev` needs, in `table`. `known` are the routes of the
/// interface.
fn routes_for(
    config: &Config,
    result: &AddResult,
    ip: &cni::Ip,
    ips: &[cni::Ip],
    (known, table, dev): (&[Route], u32, &Dev),
) -> Vec<Route> {
    let family = ip.address.family();
    let mut routes: Vec<Route> = Vec::new();
    let mut add = |route: Route| {
        let is_known = |known: &Route| (known.dst, metric(known)) == (route.dst, metric(&route));
        if !routes.iter().any(is_known) {
            routes.push(route);
        }
    };
    if let Some(gateway) = gateway(config, result, ip) {
        add(Route { table, ..Route::default(family).via(gateway).dev(dev) });
    }
    for route in known.iter().filter(|route| belongs(route, ip.address, ips)) {
        add(Route { table, ..route.clone() });
    }
    routes
}

/// What the kernel takes for none at all.
fn metric(route: &Route) -> u32 {
    route.metric.unwrap_or(match route.dst.family() {
        Family::V4 => 0,
        Family::V6 => 1024,
    })
}

/// The next hop of what goes anywhere from `ip`.
pub(crate) fn gateway(config: &Config, result: &AddResult, ip: &cni::Ip) -> Option<IpAddr> {
    let family = ip.address.family();
    let of_routes = || {
        let mut defaults = result.routes.iter().filter(|route| route.dst.is_default());
        defaults.find(|route| route.dst.family() == family).and_then(|route| route.gw)
    };
    config.gateway(family).or(ip.gateway).or_else(of_routes)
}

/// Whether a route is for packets from `address`: by its next hop or source, which tell of which of
/// the interface's addresses `all` it is, or else because it is nobody's.
fn belongs(route: &Route, address: Cidr, all: &[cni::Ip]) -> bool {
    if route.dst.family() != address.family() {
        return false;
    }
    let is_of = |cidr: Cidr| {
        let within = |ip: Option<IpAddr>| ip.is_some_and(|ip| cidr.contains(ip));
        within(route.src) || within(route.gw)
    };
    let is_telling = route.src.is_some() || route.gw.is_some();
    !is_telling || is_of(address) || !all.iter().any(|ip| is_of(ip.address))
}

/// The route of the main table with an address of the interface as source; `None` where it has one,
/// or none fits.
fn hint(route: &Route, ips: &[cni::Ip]) -> Option<Route> {
    if route.src.is_some() {
        return None;
    }
    let fits = |ip: &&cni::Ip| ip.address.network() == route.dst;
    let src = ips.iter().find(fits)?.address.ip();
    Some(Route { src: Some(src), ..route.clone() })
}

/// Packets from `address` look in `table`.
pub(crate) fn rule_for(address: Cidr, table: u32) -> Rule {
    Rule::lookup(address.family(), table).from(Cidr::host(address.ip()))
}

/// Whether a rule is for packets from `address`, whatever else they have.
pub(crate) fn is_from(rule: &Rule, address: Cidr) -> bool {
    rule.from == Some(Cidr::host(address.ip()))
        && rule.to.is_none()
        && rule.iif.is_none()
        && rule.oif.is_none()
        && rule.fwmark.is_none()
}

/// Whether both lead the same packets to the same table, wherever they stand.
fn is_same(one: &Rule, other: &Rule) -> bool {
    let anywhere = |rule: &Rule| Rule { priority: None, ..rule.clone() };
    anywhere(one) == anywhere(other)
}

/// Not one of the kernel's own.
pub(crate) fn is_own_table(table: u32) -> bool {
    const DEFAULT: u32 = 253;
    table >= FIRST_TABLE && ![DEFAULT, MAIN, LOCAL].contains(&table)
}

fn is_link_local(dst: Cidr) -> bool {
    match dst.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => is_v6_link_local(ip),
    }
}

fn is_v6_link_local(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || ip.is_multicast()
}

/// Routes of `dev` that are in the way of other interfaces: in the main table, but for link-local
/// ones, those of a family without an address of `ips` and, with source hints, those on the link.
pub(crate) fn in_the_way<'a>(
    routes: &'a [Route],
    dev: &'a Dev,
    ips: &'a [cni::Ip],
    config: &'a Config,
) -> impl Iterator<Item = &'a Route> {
    routes.iter().filter(move |route| {
        let may_stay = config.source_hints && route.gw.is_none() && !route.dst.is_default();
        route.table == MAIN
            && route.dev == Some(dev.index)
            && has_address(ips, route)
            && !is_link_local(route.dst)
            && !may_stay
    })
}
