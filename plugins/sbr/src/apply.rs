//! ADD: rules first, then the tables that they lead to, then routes leave the main table.

use std::path::PathBuf;

use attach::error::{no_netns, refused};
use attach::locked::Inside;
use attach::record;
use attach::steps::{self, step};
use cni::record::Record;
use cni::{AddResult, Call, Error, code};
use kernel::netlink::Request;
use kernel::netns::Netns;
use kernel::route::Route;
use kernel::rule::Rule;
use kernel::undo::Undo;

use crate::config::{Config, no_address};
use crate::inside::{addresses_of, state_dir};
use crate::plan::{Plan, Present};

/// Makes all of it, or nothing.
pub(crate) fn add(call: &Call, config: &Config, result: &AddResult) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    let ifname = &call.attachment.ifname;
    let ips = addresses_of(result, ifname.as_str());
    if ips.is_empty() {
        return Err(no_address(ifname.as_str()));
    }
    let inside = Inside::lock(&netns)?;
    let rules = inside.rules()?;
    let (plan, routes) = match config.table {
        Some(table) => (Plan::to_table(table, &ips, &rules), Vec::new()),
        None => {
            let link = inside.link(ifname)?.ok_or_else(|| no_link(call))?;
            let present = Present { dev: link.dev, rules, routes: inside.routes()? };
            (Plan::new(config, result, &ips, &present), present.routes)
        }
    };
    let adding = Adding { inside, plan, routes, state_dir: state_dir() };
    let record = record::of(call, &netns)?;
    steps::run(|undo| adding.steps(record, undo))
}

fn no_link(call: &Call) -> Error {
    let text =
        format!("route by source: {} is missing in {}", call.attachment.ifname, call.sandbox());
    Error::new(code::INVALID_ENVIRONMENT, text)
        .with_hint("an earlier plugin of the list has to make the interface")
}

struct Adding {
    inside: Inside,
    plan: Plan,
    /// What was there before.
    routes: Vec<Route>,
    state_dir: PathBuf,
}

impl Adding {
    fn steps<'s>(&'s self, record: Record, undo: &mut Undo<'s>) -> Result<(), Error> {
        let plan = &self.plan;
        step("record");
        record::write(record, &self.state_dir, undo)?;
        step("rules");
        // A table that is empty is passed by, and DEL finds tables by their rules.
        self.each(plan.rules.iter().map(|rule: &Rule| (rule.add(), rule.del())), undo)?;
        step("routes");
        self.each(plan.routes.iter().map(|route| (route.append(), route.del())), undo)?;
        step("main table");
        let before = |hint: &Route| {
            let same = |route: &&Route| Route { src: None, ..(*hint).clone() } == **route;
            self.routes.iter().find(same).map_or_else(|| hint.del(), Route::replace)
        };
        self.each(plan.hints.iter().map(|hint| (hint.replace(), before(hint))), undo)?;
        let route = |route: &Route| (route.del(), route.append());
        self.each(plan.leaving.iter().map(route), undo)?;
        step("earlier tables");
        self.each(plan.old_routes.iter().map(route), undo)?;
        self.each(plan.old_rules.iter().map(|rule| (rule.del(), rule.add())), undo)?;
        step("done");
        Ok(())
    }

    /// Does each of `steps`, of which every one comes with its inverse. All inverses are there
    /// before, since the kernel goes on after one that it refuses.
    fn each<'s>(
        &'s self,
        steps: impl DoubleEndedIterator<Item = (Request, Request)>,
        undo: &mut Undo<'s>,
    ) -> Result<(), Error> {
        let (steps, inverses): (Vec<_>, Vec<_>) = steps.unzip();
        // What is on the link comes first, also on the way back.
        for inverse in inverses.into_iter().rev() {
            undo.push(inverse.action().to_string(), move || {
                match self.inside.socket.run(&inverse) {
                    Err(error) if !error.is_missing() && !error.is_exists() => Err(error.into()),
                    _ => Ok(()),
                }
            });
        }
        self.inside.socket.run_all(&steps).map_err(|e| refused(&e))
    }
}
