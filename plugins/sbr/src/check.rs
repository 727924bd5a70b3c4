//! CHECK: whether what is sent from each address still leaves by its interface.

use attach::error::no_netns;
use attach::locked::Inside;
use attach::verify::differs;
use cni::{AddResult, Call, Error};
use kernel::netns::Netns;
use kernel::route::Route;

use crate::config::{Config, no_address};
use crate::inside::addresses_of;
use crate::plan::{gateway, in_the_way, is_from, is_own_table};

/// Compares rules, tables and the main table with what ADD made of `result`.
///
/// # Errors
/// Code 101 with the first difference; code 4 when there is no namespace.
pub(crate) fn compare(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    let (ifname, place) = (&call.attachment.ifname, netns.path().display());
    let ips = addresses_of(result, ifname.as_str());
    if ips.is_empty() {
        return Err(no_address(ifname.as_str()));
    }
    let inside = Inside::lock(&netns)?;
    let rules = inside.rules()?;
    let leads = |table: u32| config.table.map_or_else(|| is_own_table(table), |t| t == table);
    let rule_from = |ip: &cni::Ip| {
        let found = rules.iter().find(|rule| is_from(rule, ip.address) && leads(rule.table));
        found.ok_or_else(|| {
            let to = config.table.map(|table| format!(" to table {table}")).unwrap_or_default();
            differs(format!("no rule leads from {}{to} in {place}", ip.address.ip()))
        })
    };
    if config.table.is_some() {
        return ips.iter().try_for_each(|ip| rule_from(ip).map(drop));
    }
    let link = inside.link(ifname)?;
    let link = link.ok_or_else(|| differs(format!("{ifname} is missing in {place}")))?;
    let routes = inside.routes()?;
    for ip in &ips {
        let table = rule_from(ip)?.table;
        let is_own = |route: &&Route| route.table == table && route.dev == Some(link.dev.index);
        let mut own = routes.iter().filter(is_own);
        let missing = match gateway(config, result, ip) {
            Some(gateway) => {
                let is_there = own.any(|route| route.dst.is_default() && route.gw == Some(gateway));
                (!is_there).then(|| format!("default route via {gateway}"))
            }
            None => own.next().is_none().then(|| "route".to_owned()),
        };
        if let Some(missing) = missing {
            let text = format!("table {table} has no {missing} by {ifname} in {place}");
            return Err(differs(text));
        }
    }
    match in_the_way(&routes, &link.dev, &ips, config).next() {
        Some(route) => {
            Err(differs(format!("route {} by {ifname} is in the main table of {place}", route.dst)))
        }
        None => Ok(()),
    }
}
