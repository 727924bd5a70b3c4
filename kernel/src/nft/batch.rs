use super::commit::Ticket;
use super::element::Element;
use super::object::{BaseChain, Field, Set, Table, Values, concatenation};
use super::rule::Rule;
use super::{COMMENT, comment, header, type_of, verb};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, Request};

/// Changes that are made together or not at all, in their order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) requests: Vec<Request>,
    /// Numbers that tell the sets of one batch apart.
    sets: u32,
}

/// A message's verb, its flags, and how both read in an error.
struct Change(u16, u16, &'static str);

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const EXCL: u16 = libc::NLM_F_EXCL as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const ECHO: u16 = libc::NLM_F_ECHO as u16;
/// `NLM_F_NONREC`
const ALONE: u16 = 0x100;
/// Elements that go in one message: their list must stay below 64 KiB.
const ELEMENTS: usize = 200;

impl Batch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The chain of each rule that is added, with its table, as in errors.
    pub fn places_of_rules(&self) -> impl Iterator<Item = &str> {
        let rules = self.requests.iter().filter(|request| request.kind() == verb::NEWRULE);
        rules.filter_map(|request| match request.action() {
            Action::Nft { what, .. } => Some(what.as_str()),
            _ => None,
        })
    }

    /// Makes a table unless it is there, with a comment unless that is empty.
    pub fn add_table(&mut self, table: &Table, text: &str) {
        let mut body = table_body(table);
        if !text.is_empty() {
            body.bytes(attr::table::USERDATA, &comment(COMMENT, text));
        }
        self.push(Change(verb::NEWTABLE, CREATE, "add table"), body, || table.to_string());
    }

    /// Deletes a table with all that is in it.
    pub fn del_table(&mut self, table: &Table) {
        self.push(Change(verb::DELTABLE, 0, "delete table"), table_body(table), || {
            table.to_string()
        });
    }

    /// Deletes a table unless something is in it, which is `EBUSY`.
    pub fn del_empty_table(&mut self, table: &Table) {
        self.push(Change(verb::DELTABLE, ALONE, "delete table"), table_body(table), || {
            table.to_string()
        });
    }

    /// Makes a chain that rules jump to, unless it is there.
    pub fn add_chain(&mut self, table: &Table, name: &str) {
        let body = chain_body(table, name);
        self.push(Change(verb::NEWCHAIN, CREATE, "add chain"), body, || format!("{table} {name}"));
    }

    /// Makes a chain that rules jump to. `EEXIST` when it is there, unless this batch made it.
    pub fn create_chain(&mut self, table: &Table, name: &str) {
        let body = chain_body(table, name);
        self.push(Change(verb::NEWCHAIN, CREATE | EXCL, "create chain"), body, || {
            format!("{table} {name}")
        });
    }

    /// Makes a base chain, unless it is there. Its policy becomes to accept.
    pub fn add_base_chain(&mut self, table: &Table, name: &str, base: BaseChain) {
        self.base_chain(Change(verb::NEWCHAIN, CREATE, "add chain"), table, name, base);
    }

    /// Makes a base chain that accepts. `EEXIST` when it is there, whatever its policy, unless this
    /// batch made it.
    pub fn create_base_chain(&mut self, table: &Table, name: &str, base: BaseChain) {
        self.base_chain(Change(verb::NEWCHAIN, CREATE | EXCL, "create chain"), table, name, base);
    }

    fn base_chain(&mut self, change: Change, table: &Table, name: &str, base: BaseChain) {
        let mut body = chain_body(table, name);
        body.nested(attr::chain::HOOK, |hook| {
            hook.u32_be(1, base.hook as u32);
            hook.u32_be(2, base.priority.cast_unsigned());
        });
        body.u32_be(attr::chain::POLICY, ACCEPT);
        body.text(attr::chain::TYPE, base.kind.name());
        self.push(change, body, || format!("{table} {name}"));
    }

    /// Deletes a chain that has no rules. `EBUSY` when it has, or when one leads to it.
    pub fn del_empty_chain(&mut self, table: &Table, name: &str) {
        let body = chain_body(table, name);
        self.push(Change(verb::DELCHAIN, ALONE, "delete chain"), body, || {
            format!("{table} {name}")
        });
    }

    /// Deletes a chain with its rules. `EBUSY` when another leads to it.
    pub fn del_chain(&mut self, table: &Table, name: &str) {
        let body = chain_body(table, name);
        self.push(Change(verb::DELCHAIN, 0, "delete chain"), body, || format!("{table} {name}"));
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, table: &Table, name: &str) {
        let mut body = header(table.family);
        body.text(attr::rule::TABLE, table.name);
        body.text(attr::rule::CHAIN, name);
        self.push(Change(verb::DELRULE, 0, "flush chain"), body, || format!("{table} {name}"));
    }

    /// Makes a set or map, unless it is there.
    pub fn add_set(&mut self, table: &Table, set: &Set) {
        let mut flags = if set.values.is_some() { FLAG_MAP } else { 0 };
        if set.key.len() > 1 {
            flags |= FLAG_CONCAT;
        }
        if set.ranges {
            flags |= FLAG_INTERVAL;
        }
        let (kind, length) = concatenation(set.key);
        let mut body = set_body(table, set.name, attr::set::TABLE, attr::set::NAME);
        body.u32_be(attr::set::FLAGS, flags);
        body.u32_be(attr::set::KEY_TYPE, kind);
        body.u32_be(attr::set::KEY_LEN, length);
        if let Some(values) = set.values {
            let (kind, length) = match values {
                Values::Verdict => (VERDICT_TYPE, 0),
                Values::Fields(fields) => concatenation(fields),
            };
            body.u32_be(attr::set::DATA_TYPE, kind);
            if length > 0 {
                body.u32_be(attr::set::DATA_LEN, length);
            }
        }
        if set.key.len() > 1 {
            body.nested(attr::set::DESC, |desc| {
                desc.nested(2, |concat| {
                    for field in set.key {
                        concat.nested(1, |part| part.u32_be(1, field.length()));
                    }
                });
            });
        }
        if let [Field::IfName | Field::Mark] = set.key {
            body.bytes(attr::set::USERDATA, &HOST_ORDER);
        }
        if let Some(parts) = set.type_of {
            body.bytes(attr::set::USERDATA, &type_of::user_data(parts));
        }
        self.sets += 1;
        body.u32_be(attr::set::ID, self.sets);
        self.push(Change(verb::NEWSET, CREATE, "add"), body, || {
            format!("{} {table} {}", set.noun(), set.name)
        });
    }

    /// Deletes a set or map with its elements. `ENOENT` when there is none, `EBUSY` when a rule reads
    /// it.
    pub fn del_set(&mut self, table: &Table, name: &str) {
        let body = set_body(table, name, attr::set::TABLE, attr::set::NAME);
        self.push(Change(verb::DELSET, 0, "delete set"), body, || format!("{table} {name}"));
    }

    /// Adds an element. The same one is no error; one of the same key with another value, or a
    /// range that overlaps another, is `EEXIST`.
    pub fn add_element(&mut self, table: &Table, set: &Set, element: &Element) {
        self.elements(
            Change(verb::NEWSETELEM, CREATE, "add"),
            table,
            set,
            std::slice::from_ref(element),
        );
    }

    /// As [`Batch::add_element`] for many, in few messages: an error names the set alone.
    pub fn add_elements(&mut self, table: &Table, set: &Set, elements: &[Element]) {
        for part in elements.chunks(ELEMENTS) {
            self.elements(Change(verb::NEWSETELEM, CREATE, "add"), table, set, part);
        }
    }

    /// Deletes the element with this key. `ENOENT` when there is none.
    pub fn del_element(&mut self, table: &Table, set: &Set, element: &Element) {
        self.elements(
            Change(verb::DELSETELEM, 0, "delete"),
            table,
            set,
            std::slice::from_ref(element),
        );
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, table: &Table, set: &Set) {
        let body = set_body(table, set.name, attr::elements::TABLE, attr::elements::SET);
        self.push(Change(verb::DELSETELEM, 0, "flush"), body, || {
            format!("{} {table} {}", set.noun(), set.name)
        });
    }

    fn elements(&mut self, change: Change, table: &Table, set: &Set, list: &[Element]) {
        let adds = change.0 == verb::NEWSETELEM;
        let mut body = set_body(table, set.name, attr::elements::TABLE, attr::elements::SET);
        body.nested(attr::elements::LIST, |out| {
            for element in list {
                element.encode(out, adds);
            }
        });
        self.push(change, body, || match list {
            [one] => {
                let whose = one.comment.as_deref().unwrap_or_default();
                format!("{} of table {table} ({whose})", set.shown(one))
            }
            many => format!("{} elements of {} {table} {}", many.len(), set.noun(), set.name),
        });
    }

    /// Appends a rule to a chain. A second time it is there twice.
    pub fn add_rule(&mut self, table: &Table, chain: &str, rule: &Rule) {
        self.rule(APPEND, table, chain, rule);
    }

    /// Puts a rule before all others of a chain.
    pub fn insert_rule(&mut self, table: &Table, chain: &str, rule: &Rule) {
        self.rule(0, table, chain, rule);
    }

    /// Puts a rule behind the one with this handle.
    pub fn add_rule_after(&mut self, table: &Table, chain: &str, handle: u64, rule: &Rule) {
        self.rule_at(APPEND, table, chain, (Some(handle), rule));
    }

    /// As [`Batch::add_rule`], for a rule that is to be deleted by its handle: the ticket gets it
    /// from what [`Batch::commit_with_handles`] returns.
    pub fn add_rule_with_handle(&mut self, table: &Table, chain: &str, rule: &Rule) -> Ticket {
        self.rule(APPEND | ECHO, table, chain, rule);
        Ticket(self.requests.len() - 1)
    }

    fn rule(&mut self, place: u16, table: &Table, chain: &str, rule: &Rule) {
        self.rule_at(place, table, chain, (None, rule));
    }

    fn rule_at(
        &mut self,
        place: u16,
        table: &Table,
        chain: &str,
        (behind, rule): (Option<u64>, &Rule),
    ) {
        let mut body = header(table.family);
        body.text(attr::rule::TABLE, table.name);
        body.text(attr::rule::CHAIN, chain);
        if let Some(handle) = behind {
            body.u64_be(attr::rule::POSITION, handle);
        }
        rule.encode(&mut body);
        self.push(Change(verb::NEWRULE, CREATE | place, "add rule to chain"), body, || {
            format!("{table} {chain}")
        });
    }

    /// Deletes the rule with this handle. `ENOENT` when there is none.
    pub fn del_rule(&mut self, table: &Table, chain: &str, handle: u64) {
        let mut body = header(table.family);
        body.text(attr::rule::TABLE, table.name);
        body.text(attr::rule::CHAIN, chain);
        body.u64_be(attr::rule::HANDLE, handle);
        self.push(Change(verb::DELRULE, 0, "delete rule"), body, || {
            format!("{handle} of chain {table} {chain}")
        });
    }

    fn push(
        &mut self,
        Change(kind, flags, verb): Change,
        body: Encoder,
        what: impl FnOnce() -> String,
    ) {
        let action = Action::Nft { verb, what: what() };
        let request = Request::new(kind, flags, body, action);
        if flags & EXCL == 0 || !self.requests.iter().any(|one| one.is_same(&request)) {
            self.requests.push(request);
        }
    }
}

fn table_body(table: &Table) -> Encoder {
    let mut body = header(table.family);
    body.text(attr::table::NAME, table.name);
    body
}

fn chain_body(table: &Table, name: &str) -> Encoder {
    let mut body = header(table.family);
    body.text(attr::chain::TABLE, table.name);
    body.text(attr::chain::NAME, name);
    body
}

pub(super) fn set_body(table: &Table, set: &str, table_attr: u16, set_attr: u16) -> Encoder {
    let mut body = header(table.family);
    body.text(table_attr, table.name);
    body.text(set_attr, set);
    body
}

/// `NF_ACCEPT`
const ACCEPT: u32 = 1;
/// `NFT_DATA_VERDICT`
const VERDICT_TYPE: u32 = 0xffff_ff00;
/// Tells nft(8) that keys are in the host's order, so that it can show them: type 0, four bytes,
/// 1 for the host's.
const HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};
/// `NFT_SET_*`
const FLAG_INTERVAL: u32 = 0x4;
const FLAG_MAP: u32 = 0x8;
const FLAG_CONCAT: u32 = 0x80;

/// Attribute numbers of `linux/netfilter/nf_tables.h`.
pub(super) mod attr {
    pub(in super::super) mod table {
        pub(in super::super::super) const NAME: u16 = 1;
        pub(in super::super::super) const USE: u16 = 3;
        pub(in super::super::super) const USERDATA: u16 = 6;
    }
    pub(in super::super) mod chain {
        pub(in super::super::super) const TABLE: u16 = 1;
        pub(in super::super::super) const NAME: u16 = 3;
        pub(in super::super::super) const HOOK: u16 = 4;
        pub(in super::super::super) const POLICY: u16 = 5;
        pub(in super::super::super) const USE: u16 = 6;
        pub(in super::super::super) const TYPE: u16 = 7;
    }
    pub(in super::super) mod rule {
        pub(in super::super::super) const TABLE: u16 = 1;
        pub(in super::super::super) const CHAIN: u16 = 2;
        pub(in super::super::super) const HANDLE: u16 = 3;
        pub(in super::super::super) const EXPRESSIONS: u16 = 4;
        pub(in super::super::super) const COMPAT: u16 = 5;
        pub(in super::super::super) const POSITION: u16 = 6;
        pub(in super::super::super) const USERDATA: u16 = 7;
    }
    pub(in super::super) mod set {
        pub(in super::super::super) const TABLE: u16 = 1;
        pub(in super::super::super) const NAME: u16 = 2;
        pub(in super::super::super) const FLAGS: u16 = 3;
        pub(in super::super::super) const KEY_TYPE: u16 = 4;
        pub(in super::super::super) const KEY_LEN: u16 = 5;
        pub(in super::super::super) const DATA_TYPE: u16 = 6;
        pub(in super::super::super) const DATA_LEN: u16 = 7;
        pub(in super::super::super) const DESC: u16 = 9;
        pub(in super::super::super) const ID: u16 = 10;
        pub(in super::super::super) const USERDATA: u16 = 13;
    }
    pub(in super::super) mod elements {
        pub(in super::super::super) const TABLE: u16 = 1;
        pub(in super::super::super) const SET: u16 = 2;
        pub(in super::super::super) const LIST: u16 = 3;
    }
}
