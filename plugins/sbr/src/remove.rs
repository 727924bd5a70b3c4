//! Taking rules and tables away: DEL, and what GC buries.

use attach::error::refused;
use attach::locked::Inside;
use attach::record;
use cni::{Call, Error};
use kernel::netlink::{Request, RequestError};
use kernel::netns::Netns;
use kernel::route::{MAIN, Route, in_order};
use kernel::rule::Rule;
use types::{Cidr, IfName};

use crate::config::Config;
use crate::inside::{addresses_of, state_dir};
use crate::plan::{is_from, is_own_table};

/// Removes the rules of the interface of `call`; its routes go back to the main table. A namespace
/// that is gone has taken all with it.
pub(crate) fn remove(call: &Call) -> Result<(), Error> {
    let ifname = &call.attachment.ifname;
    if let Some(netns) = call.netns.as_deref().and_then(|path| Netns::open(path).ok()) {
        let result = call.config.prev_result().ok().flatten().unwrap_or_default();
        let told = addresses_of(&result, ifname.as_str());
        let told: Vec<Cidr> = told.into_iter().map(|ip| ip.address).collect();
        clear(&netns, ifname, told, Config::table_for_del(&call.config))?;
    }
    record::remove(call, &state_dir())
}

/// Removes rules from the addresses that `ifname` has and those of `told`: the interface may have
/// lost them. With `table`, which others fill, only rules that lead there.
pub(crate) fn clear(
    netns: &Netns,
    ifname: &IfName,
    told: Vec<Cidr>,
    table: Option<u32>,
) -> Result<(), Error> {
    let inside = Inside::lock(netns)?;
    let link = inside.link(ifname)?;
    let mut addresses = told;
    if let Some(link) = &link {
        addresses.extend(inside.addresses(link)?);
    }
    let mut rules = inside.rules()?;
    rules.retain(|rule| {
        let is_ours = match table {
            Some(table) => rule.table == table,
            None => is_own_table(rule.table),
        };
        is_ours && addresses.iter().any(|address| is_from(rule, *address))
    });
    // A killed call is completed by the rules that are left.
    let mut requests = Vec::new();
    if let Some(link) = link.filter(|_| table.is_none() && !rules.is_empty()) {
        requests.extend(moved_back(&inside.routes()?, link.dev.index, &rules));
    }
    requests.extend(rules.iter().map(Rule::del));
    let answers = inside.socket.batch(&requests).into_iter().filter_map(Result::err);
    let is_so = |error: &RequestError| error.is_missing() || error.is_exists();
    let errors = answers.filter(|error| !is_so(error)).map(|error| refused(&error)).collect();
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Moves routes by the link with index `dev` from the tables that `rules` lead to back to the main
/// table, for whoever keeps the interface. A default route is only for where there is none.
fn moved_back(routes: &[Route], dev: u32, rules: &[Rule]) -> Vec<Request> {
    let is_led_to = |table: u32| rules.iter().any(|rule| rule.table == table);
    let mut ours: Vec<Route> = routes
        .iter()
        .filter(|route| route.dev == Some(dev) && is_led_to(route.table))
        .cloned()
        .collect();
    in_order(&mut ours);
    let mut back: Vec<Route> = Vec::new();
    for route in &ours {
        let is_default = |other: &Route| other.dst == route.dst && other.table == MAIN;
        let is_had = route.dst.is_default() && routes.iter().chain(&back).any(is_default);
        if !is_had {
            back.push(Route { table: MAIN, ..route.clone() });
        }
    }
    back.iter().map(Route::append).chain(ours.iter().map(Route::del)).collect()
}
