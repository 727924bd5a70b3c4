use super::batch::{attr, set_body};
use super::element::{self, Key, NFTA_DATA_VALUE, NFTA_DATA_VERDICT};
use super::object::{Hook, Set, Table};
use super::{COMMENT, HEADER_BYTES, header, parse_comment, verb};
use crate::netlink::attributes::{Attribute, Attributes};

use crate::netlink::{Action, Request, RequestError, Socket};

/// An element as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundElement {
    /// Its key in wire form; compare with [`Key::is`].
    pub key: Vec<u8>,
    /// The end of its range; empty where it is none.
    pub last: Vec<u8>,
    /// The value in wire form, for a map of values.
    pub value: Vec<u8>,
    /// The chain that a verdict leads to, where it leads to one.
    pub chain: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// A chain as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundChain {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// How many rules it has and how many verdicts lead to it, together.
    pub uses: u32,
    /// Whether packets enter it from a hook.
    pub is_base: bool,
    /// From which, for a base chain.
    pub hook: Option<Hook>,
    /// What a base chain may do, as nft(8) names it; empty for others.
    pub kind: String,
    /// Whether a base chain drops what its rules do not accept.
    pub drops: bool,
}

/// A rule as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRule {
    /// What deletes it.
    pub handle: u64,
    /// Its comment in nft(8)'s form.
    pub comment: Option<String>,
    /// The chain that it jumps or goes to, if any.
    pub target: Option<String>,
    /// Its expressions in wire form: look for what is known to be in them.
    pub expressions: Vec<u8>,
}

impl FoundRule {
    /// What its expressions compare with or put into registers, in their order and in wire form:
    /// addresses, ports, names. Rules that nft(8) reads alike hold the same ones.
    #[must_use]
    pub fn constants(&self) -> Vec<Vec<u8>> {
        Attributes::after(0, &self.expressions).filter_map(constant).collect()
    }
}

/// Whether `table` is there.
///
/// # Errors
/// Whatever else the kernel said.
pub fn has_table(socket: &Socket, table: &Table) -> Result<bool, RequestError> {
    let mut body = header(table.family);
    body.text(attr::table::NAME, table.name);
    let action = Action::Nft { verb: "look up table", what: table.to_string() };
    match socket.run(&Request::new(verb::GETTABLE, 0, body, action)) {
        Ok(()) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names of all sets and maps of `table`; none where there is no such table.
///
/// # Errors
/// When they cannot be read.
pub fn sets(socket: &Socket, table: &Table) -> Result<Vec<String>, RequestError> {
    let mut body = header(table.family);
    body.text(attr::set::TABLE, table.name);
    let action = Action::Nft { verb: "list", what: format!("sets of table {table}") };
    let request = Request::new(verb::GETSET, 0, body, action);
    or_none(socket.dump(&request, |body| {
        let name = |attribute: &Attribute<'_>| attribute.kind == attr::set::NAME;
        Attributes::after(HEADER_BYTES, body).find(name).map(Attribute::text)
    }))
}

/// All chains of `table`; none where there is no such table.
///
/// # Errors
/// When they cannot be read.
pub fn chains(socket: &Socket, table: &Table) -> Result<Vec<FoundChain>, RequestError> {
    let action = Action::Nft { verb: "list", what: format!("chains of table {table}") };
    let request = Request::new(verb::GETCHAIN, 0, header(table.family), action);
    let found = socket.dump(&request, |body| Some(parse_chain(body)))?;
    Ok(found.into_iter().filter(|chain| chain.table == table.name).collect())
}

/// All rules of a chain, in their order; none where there is no such chain.
///
/// # Errors
/// When they cannot be read.
pub fn rules(socket: &Socket, table: &Table, chain: &str) -> Result<Vec<FoundRule>, RequestError> {
    let mut body = header(table.family);
    body.text(attr::rule::TABLE, table.name);
    body.text(attr::rule::CHAIN, chain);
    let action = Action::Nft { verb: "list", what: format!("chain {table} {chain}") };
    let request = Request::new(verb::GETRULE, 0, body, action);
    or_none(socket.dump(&request, parse_rule))
}

/// All elements of a set; none where there is no such set.
///
/// # Errors
/// When they cannot be read.
pub fn elements(
    socket: &Socket,
    table: &Table,
    set: &Set,
) -> Result<Vec<FoundElement>, RequestError> {
    find_elements(socket, table, set, |_| true)
}

/// The elements of a set whose comment `is_wanted`; none where there is no such set. Others are
/// not copied.
///
/// # Errors
/// When they cannot be read.
pub fn find_elements(
    socket: &Socket,
    table: &Table,
    set: &Set,
    mut is_wanted: impl FnMut(&str) -> bool,
) -> Result<Vec<FoundElement>, RequestError> {
    let body = set_body(table, set.name, attr::elements::TABLE, attr::elements::SET);
    let action = Action::Nft { verb: "list", what: format!("{} {table} {}", set.noun(), set.name) };
    let request = Request::new(verb::GETSETELEM, 0, body, action);
    let found = socket.dump(&request, |body| {
        let list = element_list(body)?;
        let wanted = list.filter_map(|entry| {
            let userdata = entry.nested().find(|a| a.kind == element::attr::USERDATA);
            let text = userdata.and_then(|a| parse_comment(COMMENT, a.value));
            is_wanted(text.as_deref().unwrap_or_default()).then(|| parse_element(entry, text))
        });
        Some(wanted.collect::<Vec<_>>())
    });
    or_none(found).map(|lists| lists.into_iter().flatten().collect())
}

/// For each of `keys` the element of `set` that holds it, in one exchange; all `None` where there
/// is no such set.
///
/// # Errors
/// When they cannot be read.
pub fn element(
    socket: &Socket,
    table: &Table,
    wanted: &[(&Set, &Key)],
) -> Result<Vec<Option<FoundElement>>, RequestError> {
    let requests: Vec<Request> = wanted.iter().map(|(set, key)| get(table, set, key)).collect();
    let mut found = Vec::with_capacity(wanted.len());
    for answer in socket.batch(&requests) {
        found.push(match answer {
            Ok(reply) => reply.and_then(|reply| {
                let entry = element_list(&reply.body)?.next()?;
                let userdata = entry.nested().find(|a| a.kind == element::attr::USERDATA);
                Some(parse_element(entry, userdata.and_then(|a| parse_comment(COMMENT, a.value))))
            }),
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        });
    }
    Ok(found)
}

fn get(table: &Table, set: &Set, key: &Key) -> Request {
    let mut body = set_body(table, set.name, attr::elements::TABLE, attr::elements::SET);
    body.nested(attr::elements::LIST, |list| {
        list.nested(1, |entry| {
            entry.nested(element::attr::KEY, |data| data.bytes(NFTA_DATA_VALUE, key.wire()));
        });
    });
    let action = Action::Nft { verb: "look up element in", what: format!("{table} {}", set.name) };
    Request::new(verb::GETSETELEM, 0, body, action)
}

/// A listing of something that is not there is empty.
fn or_none<T>(found: Result<Vec<T>, RequestError>) -> Result<Vec<T>, RequestError> {
    match found {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        other => other,
    }
}

fn element_list(body: &[u8]) -> Option<Attributes<'_>> {
    let mut attributes = Attributes::after(HEADER_BYTES, body);
    attributes.find(|a| a.kind == attr::elements::LIST).map(Attribute::nested)
}

fn parse_element(entry: Attribute<'_>, comment: Option<String>) -> FoundElement {
    let mut found = FoundElement { comment, ..FoundElement::default() };
    for attribute in entry.nested() {
        let value = || attribute.nested().find(|a| a.kind == NFTA_DATA_VALUE).map(|a| a.value);
        match attribute.kind {
            element::attr::KEY => found.key = value().unwrap_or_default().to_vec(),
            element::attr::KEY_END => found.last = value().unwrap_or_default().to_vec(),
            element::attr::DATA => {
                found.value = value().unwrap_or_default().to_vec();
                found.chain = verdict_chain(attribute);
            }
            _ => {}
        }
    }
    found
}

/// The chain in a piece of data that is a verdict.
fn verdict_chain(data: Attribute<'_>) -> Option<String> {
    let verdict = data.nested().find(|a| a.kind == NFTA_DATA_VERDICT)?;
    verdict.nested().find(|a| a.kind == 2).map(Attribute::text)
}

pub(super) fn parse_chain(body: &[u8]) -> FoundChain {
    let mut found = FoundChain::default();
    for attribute in Attributes::after(HEADER_BYTES, body) {
        match attribute.kind {
            attr::chain::TABLE => found.table = attribute.text(),
            attr::chain::NAME => found.name = attribute.text(),
            attr::chain::HOOK => {
                found.is_base = true;
                let number = attribute.nested().find(|a| a.kind == 1).and_then(Attribute::u32_be);
                found.hook = number.and_then(Hook::of);
            }
            attr::chain::TYPE => found.kind = attribute.text(),
            attr::chain::POLICY => found.drops = attribute.u32_be() == Some(0),
            attr::chain::USE => found.uses = attribute.u32_be().unwrap_or_default(),
            _ => {}
        }
    }
    found
}

pub(super) fn parse_rule(body: &[u8]) -> Option<FoundRule> {
    let mut found = FoundRule::default();
    for attribute in Attributes::after(HEADER_BYTES, body) {
        match attribute.kind {
            attr::rule::HANDLE => found.handle = attribute.u64_be()?,
            attr::rule::USERDATA => found.comment = parse_comment(COMMENT, attribute.value),
            attr::rule::EXPRESSIONS => {
                found.target = attribute.nested().find_map(target);
                found.expressions = attribute.value.to_vec();
            }
            _ => {}
        }
    }
    Some(found)
}

/// The chain that an expression leads to: an immediate verdict.
fn target(expression: Attribute<'_>) -> Option<String> {
    let mut parts = expression.nested();
    let name = parts.find(|a| a.kind == 1)?;
    if name.text() != "immediate" {
        return None;
    }
    let data = parts.find(|a| a.kind == 2)?;
    data.nested().find(|a| a.kind == 2).and_then(verdict_chain)
}

/// The value in an expression that compares (`cmp`) or loads (`immediate`).
fn constant(expression: Attribute<'_>) -> Option<Vec<u8>> {
    let mut parts = expression.nested();
    let place = match &*parts.find(|a| a.kind == 1)?.text() {
        "cmp" => 3,
        "immediate" => 2,
        _ => return None,
    };
    let data = parts.find(|a| a.kind == 2)?.nested().find(|a| a.kind == place)?;
    data.nested().find(|a| a.kind == NFTA_DATA_VALUE).map(|a| a.value.to_vec())
}

/// Reads `body` as everything of this module. Must not panic, whatever it holds.
pub(crate) fn fuzz(body: &[u8]) {
    let _ = parse_chain(body);
    if let Some(rule) = parse_rule(body) {
        let _ = rule.constants();
        for family in [types::Family::V4, types::Family::V6] {
            let _ = super::xt::Spec::of(&rule, family);
        }
    }
    for entry in element_list(body).into_iter().flatten() {
        let _ = parse_element(entry, None);
    }
}
