//! Single objects, asked for by name or handle: the cost does not grow with what else is there.

use super::batch::attr;
use super::object::Table;
use super::read::{FoundChain, FoundRule, parse_chain, parse_rule};
use super::{HEADER_BYTES, header, verb};
use crate::netlink::attributes::{Attribute, Attributes};
use crate::netlink::{Action, Request, RequestError, Socket};

/// The chains of these names, in one exchange; `None` for one that is not there.
///
/// # Errors
/// When they cannot be read.
pub fn find_chains(
    socket: &Socket,
    wanted: &[(&Table, &str)],
) -> Result<Vec<Option<FoundChain>>, RequestError> {
    let requests = wanted.iter().map(|(table, name)| {
        let mut body = header(table.family);
        body.text(attr::chain::TABLE, table.name);
        body.text(attr::chain::NAME, name);
        let action = Action::Nft { verb: "look up chain", what: format!("{table} {name}") };
        Request::new(verb::GETCHAIN, 0, body, action)
    });
    ask(socket, &requests.collect::<Vec<_>>(), |body| Some(parse_chain(body)))
}

/// The rules of a chain with these handles, in one exchange; `None` for one that is not there.
///
/// # Errors
/// When they cannot be read.
pub fn find_rules(
    socket: &Socket,
    table: &Table,
    chain: &str,
    handles: &[u64],
) -> Result<Vec<Option<FoundRule>>, RequestError> {
    let requests = handles.iter().map(|handle| {
        let mut body = header(table.family);
        body.text(attr::rule::TABLE, table.name);
        body.text(attr::rule::CHAIN, chain);
        body.u64_be(attr::rule::HANDLE, *handle);
        let what = format!("{handle} of chain {table} {chain}");
        let action = Action::Nft { verb: "look up rule", what };
        Request::new(verb::GETRULE, 0, body, action)
    });
    ask(socket, &requests.collect::<Vec<_>>(), parse_rule)
}

/// How many chains, sets and other objects are in a table; `None` where there is no such table.
///
/// # Errors
/// When it cannot be read.
pub fn table_uses(socket: &Socket, table: &Table) -> Result<Option<u32>, RequestError> {
    let mut body = header(table.family);
    body.text(attr::table::NAME, table.name);
    let action = Action::Nft { verb: "look up table", what: table.to_string() };
    let request = Request::new(verb::GETTABLE, 0, body, action);
    let found = ask(socket, &[request], |body| {
        let uses = Attributes::after(HEADER_BYTES, body).find(|a| a.kind == attr::table::USE);
        uses.and_then(Attribute::u32_be)
    });
    Ok(found?.pop().flatten())
}

fn ask<T>(
    socket: &Socket,
    requests: &[Request],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<Option<T>>, RequestError> {
    let answers = socket.batch(requests).into_iter().map(|answer| match answer {
        Ok(reply) => Ok(reply.and_then(|reply| parse(&reply.body))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    });
    answers.collect()
}
