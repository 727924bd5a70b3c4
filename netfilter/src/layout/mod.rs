//! The tables: sets that hold everything, and a constant number of chains and rules that read them.
//!
//! `inet cais` sees routed packets and those that br_netfilter shows it; `bridge cais` sees frames.
//! Both are made with the first element and go with the last. Rules of others can be put into the
//! chain `user_fwd` of `inet cais`, which cais jumps to first for every forwarded packet and never
//! flushes.

pub mod class;
mod passing;
mod resolving;

use kernel::nft::{
    BaseChain, Batch, Ct, Element, Field, Hook, Key, Kind, Meta, Op, Payload, Reg, Rule, Set,
    Table, Values, Verdict,
};
use types::Family;

pub use passing::PASS_MARK;
pub(crate) use resolving::PROTOCOLS as DNS_PROTOCOLS;

use crate::Protocol;

/// Routed packets.
pub const INET: Table = Table::inet("cais");
/// Frames of bridges.
pub const BRIDGE: Table = Table::bridge("cais");

/// What this code writes and reads. A change of meaning of any set or chain takes the next number,
/// under which the set [`LAYOUT`] is found.
pub const LAYOUT_NUMBER: u32 = 2;

/// Said in the comment of a table.
const SAYS: &str = "made and kept by cais";

/// Its presence says which layout a table has: every batch that adds touches it, so that one is
/// refused as a whole where the table is missing or another.
pub const LAYOUT: Set = Set::new("layout_2", &[Field::Mark]);
/// What the names of such sets begin with.
pub const LAYOUT_PREFIX: &str = "layout_";
/// The set of the layout before, which had all sets and chains of this one but those of names, and
/// in the same meaning: such a table is completed.
pub const LAYOUT_BEFORE: (u32, &str) = (1, "layout_1");

/// The same for `bridge cais`.
pub const BRIDGE_LAYOUT: Set = LAYOUT;

/// Links of ours from which nothing may be sent from or to `127.0.0.0/8`, because their packets to
/// it are not dropped by the kernel any more (`route_localnet`).
pub const GUARDED: Set = Set::new("guarded", &[Field::IfName]);
/// Links whose `route_localnet` cais turned on, to be turned off with their network's last.
pub const OPENED: Set = Set::new("opened", &[Field::IfName]);
/// Bridges of networks that are kept apart from others.
pub const LINKS: Set = Set::new("links", &[Field::IfName]);
/// Each of them twice: a packet that stays on one.
pub const WITHIN: Set = Set::new("within", &[Field::IfName, Field::IfName]);
/// Bridges whose containers do not reach each other but by published ports.
pub const NO_ICC: Set = Set::new("no_icc", &[Field::IfName]);
/// Bridges of networks that are `isolate: false`.
pub const OPEN: Set = Set::new("open", &[Field::IfName]);
/// Bridges of networks that are `isolate: true`.
pub const ISOLATED: Set = Set::new("isolated", &[Field::IfName]);
/// Bridges that are closed to each other: `ingressPolicy` of `firewall`.
pub const POLICED: Set = Set::new("policed", &[Field::IfName]);
/// Those of them whose containers do not reach each other, each twice.
pub const ALONE: Set = Set::new("alone", &[Field::IfName, Field::IfName]);
/// What may be sent out of a bridge's network.
pub const FROM: Set = Set::map("from", &[Field::IfName], Values::Verdict);
/// What may be sent into a bridge's network.
pub const TO: Set = Set::map("to", &[Field::IfName], Values::Verdict);
/// Bridges whose packets iptables' `FORWARD` is to let through, and the answers to them.
pub const PASSING: Set = Set::new("passing", &[Field::IfName]);
/// Host's ends of containers whose frames must bear the container's address.
pub const CHECKED: Set = Set::new("checked", &[Field::IfName]);
/// Each of them with that address.
pub const OWN_MAC: Set = Set::new("own_mac", &[Field::IfName, Field::Ether]);

/// The sets of one address family.
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    /// Addresses of containers that are masqueraded.
    pub masq: Set,
    /// Subnets of containers, each twice: a packet that stays in one.
    pub same: Set,
    /// Addresses of containers whose neighbours may use their published ports.
    pub hairpin: Set,
    /// Addresses of containers to which all clients of published ports are masqueraded.
    pub masq_all: Set,
    /// Addresses of the host at which single ports are published, by network.
    pub host_ips: Set,
    /// Published at one address of the host.
    pub dnat_ip: Set,
    /// Published at all of them.
    pub dnat_any: Set,
    /// Ranges published at one address of the host.
    pub dnat_ip_range: Set,
    /// Ranges published at all of them.
    pub dnat_any_range: Set,
    /// Addresses for which `firewall` has rules in the reference's chains, and whose they are.
    pub forwarded: Set,
    /// Container's side of published ports.
    pub published: Set,
    /// Container's side of published ranges.
    pub published_range: Set,
    /// Bridges with an address of theirs whose port 53 leads to a resolver, and where that listens.
    pub dns: Set,
    /// Where resolvers listen, by the bridge that their clients are on.
    pub listening: Set,
    family: Family,
}

macro_rules! sets {
    ($family:expr, $addr:expr, $n:literal) => {
        Sets {
            masq: Set::new(concat!("masq", $n), &[$addr]),
            same: Set::new(concat!("same", $n), &[$addr, $addr]).of_ranges(),
            hairpin: Set::new(concat!("hairpin", $n), &[$addr]),
            masq_all: Set::new(concat!("masq_all", $n), &[$addr]),
            host_ips: Set::new(concat!("host_ips", $n), &[$addr, Field::Mark]),
            dnat_ip: Set::map(
                concat!("dnat", $n, "_ip"),
                &[$addr, Field::L4Proto, Field::Port],
                Values::Fields(&[$addr, Field::Port]),
            ),
            dnat_any: Set::map(
                concat!("dnat", $n, "_any"),
                &[Field::L4Proto, Field::Port],
                Values::Fields(&[$addr, Field::Port]),
            ),
            dnat_ip_range: Set::map(
                concat!("dnat", $n, "_ip_range"),
                &[$addr, Field::L4Proto, Field::Port],
                Values::Fields(&[$addr]),
            )
            .of_ranges(),
            dnat_any_range: Set::map(
                concat!("dnat", $n, "_any_range"),
                &[Field::L4Proto, Field::Port],
                Values::Fields(&[$addr]),
            )
            .of_ranges(),
            forwarded: Set::new(concat!("forwarded", $n), &[$addr]),
            published: Set::new(concat!("published", $n), &[$addr, Field::L4Proto, Field::Port]),
            published_range: Set::new(
                concat!("published", $n, "_range"),
                &[$addr, Field::L4Proto, Field::Port],
            )
            .of_ranges(),
            dns: Set::map(
                concat!("dns", $n),
                &[Field::IfName, $addr],
                Values::Fields(&[$addr, Field::Port]),
            ),
            listening: Set::new(
                concat!("listening", $n),
                &[Field::IfName, $addr, Field::L4Proto, Field::Port],
            ),
            family: $family,
        }
    };
}

/// The sets of IPv4.
pub const V4: Sets = sets!(Family::V4, Field::Ipv4, "4");
/// The sets of IPv6.
pub const V6: Sets = sets!(Family::V6, Field::Ipv6, "6");

/// Ports that the proxy serves at one IPv6 address of the host, and its own ports.
pub const PROXY_IP: Set = Set::map(
    "proxy6_ip",
    &[Field::Ipv6, Field::L4Proto, Field::Port],
    Values::Fields(&[Field::Port]),
);
/// Ports that the proxy serves at all IPv6 addresses of the host, and its own ports.
pub const PROXY_ANY: Set =
    Set::map("proxy6_any", &[Field::L4Proto, Field::Port], Values::Fields(&[Field::Port]));

/// The chain of others.
pub const USER_CHAIN: &str = "user_fwd";
/// Rules of attachments whose ports are published on conditions.
pub const CONDITIONAL: &str = "conditional";

impl Sets {
    /// The sets of `family`.
    #[must_use]
    pub const fn of(family: Family) -> &'static Self {
        const FOUR: &Sets = &V4;
        const SIX: &Sets = &V6;
        match family {
            Family::V4 => FOUR,
            Family::V6 => SIX,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Set; 14] {
        [
            &self.masq,
            &self.same,
            &self.hairpin,
            &self.masq_all,
            &self.host_ips,
            &self.dnat_ip,
            &self.dnat_any,
            &self.dnat_ip_range,
            &self.dnat_any_range,
            &self.forwarded,
            &self.published,
            &self.published_range,
            &self.dns,
            &self.listening,
        ]
    }

    fn proto(&self) -> u8 {
        (match self.family {
            Family::V4 => libc::NFPROTO_IPV4,
            Family::V6 => libc::NFPROTO_IPV6,
        }) as u8
    }

    fn rule(&self) -> Rule {
        Rule::new().nfproto(self.proto())
    }

    fn saddr(&self) -> Payload {
        match self.family {
            Family::V4 => Payload::IP_SADDR,
            Family::V6 => Payload::IP6_SADDR,
        }
    }

    fn daddr(&self) -> Payload {
        match self.family {
            Family::V4 => Payload::IP_DADDR,
            Family::V6 => Payload::IP6_DADDR,
        }
    }

    /// The register after an address in the first ones.
    fn after_address(&self) -> u32 {
        match self.family {
            Family::V4 => 1,
            Family::V6 => 4,
        }
    }

    /// Loads `ip daddr . meta l4proto . th dport`.
    fn load_where(&self) -> Rule {
        self.load_dport_at(self.rule())
    }

    /// The same in a rule that has begun.
    fn load_dport_at(&self, rule: Rule) -> Rule {
        let next = self.after_address();
        rule.load(self.daddr(), Reg::FIRST)
            .load_meta(Meta::L4Proto, Reg::word(next))
            .load(Payload::DPORT, Reg::word(next + 1))
    }

    /// Goes on for packets that stay within one subnet.
    fn within_subnet(&self, rule: Rule) -> Rule {
        rule.load(self.saddr(), Reg::FIRST)
            .load(self.daddr(), Reg::word(self.after_address()))
            .in_set(&self.same)
    }

    /// The rules that lead to containers.
    fn dnat_rules(&self, batch: &mut Batch) {
        const CHAIN: &str = "to_published";
        let (proto, port) = (self.proto(), Some(Reg::word(self.after_address())));
        let any = || load_port(self.rule());
        batch.add_rule(&INET, CHAIN, &self.load_where().map(&self.dnat_ip).dnat(proto, port));
        let range = self.load_where().map(&self.dnat_ip_range).dnat(proto, None);
        batch.add_rule(&INET, CHAIN, &range);
        if self.family == Family::V6 {
            self.proxy_rules(batch, CHAIN);
            // The kernel routes neither of them to a container.
            let here = self.rule().load(self.daddr(), Reg::FIRST);
            let loopback = std::net::Ipv6Addr::LOCALHOST.octets();
            let ret = here.cmp(Reg::FIRST, Op::Eq, &loopback).verdict(&Verdict::Return);
            batch.add_rule(&INET, CHAIN, &ret);
            let link_local = prefix(self.rule(), self.saddr(), &LINK_LOCAL);
            let link_local = link_local.verdict(&Verdict::Return);
            batch.add_rule(&INET, CHAIN, &link_local);
        }
        batch.add_rule(&INET, CHAIN, &any().map(&self.dnat_any).dnat(proto, port));
        batch.add_rule(&INET, CHAIN, &any().map(&self.dnat_any_range).dnat(proto, None));
    }

    /// The rules that lead to the proxy. nft(8) reads a ruleset with a port to redirect to, such as
    /// one that an administrator saved, only where the rule says which protocol's it is.
    fn proxy_rules(&self, batch: &mut Batch, chain: &str) {
        for proto in [Protocol::Tcp, Protocol::Udp] {
            let of = |rule: Rule| rule.l4proto(Op::Eq, proto.number());
            let ip = self.load_dport_at(of(self.rule())).map(&PROXY_IP).redirect();
            batch.add_rule(&INET, chain, &ip);
            let any = load_port(of(self.rule())).map(&PROXY_ANY).redirect();
            batch.add_rule(&INET, chain, &any);
        }
    }

    /// The rules that hide who a packet comes from.
    fn masquerade_rules(&self, batch: &mut Batch) {
        const CHAIN: &str = "post";
        let published = |set| {
            self.rule()
                .ct_bits(Ct::Status, Ct::STATUS_DNAT)
                .load(self.daddr(), Reg::FIRST)
                .in_set(set)
        };
        batch.add_rule(&INET, CHAIN, &published(&self.masq_all).masquerade());
        if self.family == Family::V4 {
            let own = published(&self.hairpin).load(self.saddr().first(1), Reg::FIRST);
            batch.add_rule(&INET, CHAIN, &own.cmp(Reg::FIRST, Op::Eq, &[127]).masquerade());
        }
        let neighbours = self.within_subnet(published(&self.hairpin));
        batch.add_rule(&INET, CHAIN, &neighbours.masquerade());
        let leaving = self.rule().load(self.saddr(), Reg::FIRST).in_set(&self.masq);
        batch.add_rule(&INET, CHAIN, &leaving.verdict(&Verdict::Goto("leaving".into())));
        let staying = self.within_subnet(self.rule()).verdict(&Verdict::Return);
        batch.add_rule(&INET, "leaving", &staying);
        let multicast = match self.family {
            Family::V4 => prefix(self.rule(), self.daddr(), &MULTICAST),
            Family::V6 => {
                self.rule().load(self.daddr().first(1), Reg::FIRST).cmp(Reg::FIRST, Op::Eq, &[0xff])
            }
        };
        batch.add_rule(&INET, "leaving", &multicast.verdict(&Verdict::Return));
    }

    fn published_rules(&self, batch: &mut Batch) {
        for set in [&self.published, &self.published_range] {
            let rule = self.load_where().in_set(set).verdict(&Verdict::Accept);
            batch.add_rule(&INET, "published", &rule);
        }
    }
}

/// `224.0.0.0/4` and `fe80::/10`: mask and value.
const MULTICAST: ([u8; 4], [u8; 4]) = ([0xf0, 0, 0, 0], [0xe0, 0, 0, 0]);
const LINK_LOCAL: ([u8; 16], [u8; 16]) = {
    let (mut mask, mut value) = ([0; 16], [0; 16]);
    (mask[0], mask[1], value[0], value[1]) = (0xff, 0xc0, 0xfe, 0x80);
    (mask, value)
};

/// Goes on where the address at `place` is in a network.
fn prefix<const N: usize>(rule: Rule, place: Payload, (mask, value): &([u8; N], [u8; N])) -> Rule {
    rule.load(place, Reg::FIRST).mask(Reg::FIRST, mask).cmp(Reg::FIRST, Op::Eq, value)
}

/// Loads `meta l4proto . th dport`.
fn load_port(rule: Rule) -> Rule {
    rule.load_meta(Meta::L4Proto, Reg::FIRST).load(Payload::DPORT, Reg::word(1))
}

/// Sets of `inet cais` that belong to no family.
const COMMON: [&Set; 15] = [
    &LAYOUT, &GUARDED, &OPENED, &POLICED, &ALONE, &LINKS, &WITHIN, &NO_ICC, &OPEN, &ISOLATED,
    &PASSING, &FROM, &TO, &PROXY_IP, &PROXY_ANY,
];

/// All sets of `inet cais`.
pub fn inet_sets() -> impl Iterator<Item = &'static Set> {
    let v4 = Sets::of(Family::V4).all();
    let v6 = Sets::of(Family::V6).all();
    COMMON.into_iter().chain(v4).chain(v6)
}

/// All sets of `bridge cais`.
pub fn bridge_sets() -> impl Iterator<Item = &'static Set> {
    [&BRIDGE_LAYOUT, &CHECKED, &OWN_MAC].into_iter()
}

/// The element that says that a table has this layout.
#[must_use]
pub fn layout_mark() -> Element {
    Element::new(Key::new().mark(LAYOUT_NUMBER))
}

/// Makes one of our tables as it is without any element: chains of ours are flushed and written
/// again, sets are emptied. The chain of others keeps its rules.
pub fn reset(batch: &mut Batch, table: &Table) {
    match *table {
        BRIDGE => reset_bridge(batch),
        _ => reset_inet(batch),
    }
}

fn reset_inet(batch: &mut Batch) {
    batch.add_table(&INET, SAYS);
    for set in inet_sets() {
        batch.add_set(&INET, set);
    }
    inet_chains(batch);
    // Only after the verdicts that lead to chains are gone can others be written.
    for set in inet_sets() {
        batch.flush_set(&INET, set);
    }
    guard_rules(batch);
    port_rules(batch);
    forward_rules(batch);
    class::rules(batch);
    passing::rules(batch);
    resolving::rules(batch);
    for sets in [&V4, &V6] {
        sets.masquerade_rules(batch);
    }
    batch.add_rule(&INET, "leaving", &Rule::new().masquerade());
    batch.add_element(&INET, &LAYOUT, &layout_mark());
}

fn reset_bridge(batch: &mut Batch) {
    batch.add_table(&BRIDGE, SAYS);
    for set in bridge_sets() {
        batch.add_set(&BRIDGE, set);
        batch.flush_set(&BRIDGE, set);
    }
    let hook = base(Kind::Filter, Hook::Prerouting, BRIDGE_FILTER - 100);
    batch.add_base_chain(&BRIDGE, "spoof", hook);
    batch.flush_chain(&BRIDGE, "spoof");
    let own = Rule::new()
        .load_meta(Meta::IifName, Reg::FIRST)
        .load(Payload::ETHER_SADDR, Reg::word(4))
        .in_set(&OWN_MAC)
        .verdict(&Verdict::Accept);
    batch.add_rule(&BRIDGE, "spoof", &own);
    let other = iif_in(&CHECKED).counter().verdict(&Verdict::Drop);
    batch.add_rule(&BRIDGE, "spoof", &other);
    batch.add_element(&BRIDGE, &BRIDGE_LAYOUT, &layout_mark());
}

/// Priorities: ours come just before the usual places, so that one connection is changed once and
/// by us, and users have the places before ours.
const RAW: i32 = -300;
const DSTNAT: i32 = -100;
const SRCNAT: i32 = 100;
const FILTER: i32 = 0;
const BRIDGE_FILTER: i32 = -200;

const fn base(kind: Kind, hook: Hook, priority: i32) -> BaseChain {
    BaseChain { kind, hook, priority }
}

/// Chains of `inet cais` that packets enter.
const BASES: [(&str, BaseChain); 9] = [
    ("guard", base(Kind::Filter, Hook::Prerouting, RAW)),
    ("pre", base(Kind::Nat, Hook::Prerouting, DSTNAT - 1)),
    ("out", base(Kind::Nat, Hook::Output, DSTNAT - 1)),
    (resolving::BEFORE, base(Kind::Filter, Hook::Input, FILTER - 1)),
    (resolving::AFTER, base(Kind::Filter, Hook::Input, FILTER + 1)),
    (passing::BEFORE, base(Kind::Filter, Hook::Forward, FILTER - 1)),
    ("forward_base", base(Kind::Filter, Hook::Forward, FILTER)),
    (passing::AFTER, base(Kind::Filter, Hook::Forward, FILTER + 1)),
    ("post", base(Kind::Nat, Hook::Postrouting, SRCNAT - 1)),
];

/// Chains of `inet cais` that rules and elements lead to.
const CHAINS: [&str; 15] = [
    CONDITIONAL,
    "to_published",
    "leaving",
    "between",
    "answers",
    "icc",
    "published",
    class::STRICT,
    class::ISOLATED,
    class::OPEN,
    class::UNPROTECTED,
    class::ROUTED,
    class::INTERNAL,
    class::ANY,
    class::NOTHING_OUT,
];

fn inet_chains(batch: &mut Batch) {
    batch.add_chain(&INET, USER_CHAIN);
    for (name, hook) in BASES {
        batch.add_base_chain(&INET, name, hook);
    }
    for name in CHAINS {
        batch.add_chain(&INET, name);
    }
    for name in BASES.map(|(name, _)| name).into_iter().chain(CHAINS) {
        batch.flush_chain(&INET, name);
    }
}

fn iif_in(set: &Set) -> Rule {
    Rule::new().load_meta(Meta::IifName, Reg::FIRST).in_set(set)
}

/// Goes on for packets that leave by the bridge they came from.
fn within() -> Rule {
    Rule::new()
        .load_meta(Meta::IifName, Reg::FIRST)
        .load_meta(Meta::OifName, Reg::word(4))
        .in_set(&WITHIN)
}

fn guard_rules(batch: &mut Batch) {
    for end in [Payload::IP_SADDR, Payload::IP_DADDR] {
        let loopback = iif_in(&GUARDED)
            .nfproto(libc::NFPROTO_IPV4 as u8)
            .load(end.first(1), Reg::FIRST)
            .cmp(Reg::FIRST, Op::Eq, &[127]);
        batch.add_rule(&INET, "guard", &loopback.counter().verdict(&Verdict::Drop));
    }
}

fn port_rules(batch: &mut Batch) {
    // First of all: a container that publishes port 53 takes nobody's names away.
    resolving::redirect_rules(batch);
    let lookup = || Rule::new().to_local().verdict(&Verdict::Goto("to_published".into()));
    // What a neighbour sends to 127.0.0.1 is never published.
    let loopback = V4.rule().load(Payload::IP_DADDR.first(1), Reg::FIRST);
    let loopback = loopback.cmp(Reg::FIRST, Op::Eq, &[127]).verdict(&Verdict::Return);
    batch.add_rule(&INET, "pre", &loopback);
    batch.add_rule(&INET, "pre", &lookup());
    batch.add_rule(&INET, "out", &lookup());
    let conditional = Rule::new().verdict(&Verdict::Jump(CONDITIONAL.into()));
    batch.add_rule(&INET, "to_published", &conditional);
    for sets in [&V4, &V6] {
        sets.dnat_rules(batch);
    }
}

fn forward_rules(batch: &mut Batch) {
    let user = Rule::new().verdict(&Verdict::Jump(USER_CHAIN.into()));
    batch.add_rule(&INET, "forward_base", &user);
    let pair = Rule::new().load_meta(Meta::IifName, Reg::FIRST);
    let alone = pair.load_meta(Meta::OifName, Reg::word(4)).in_set(&ALONE).counter();
    batch.add_rule(&INET, "forward_base", &alone.verdict(&Verdict::Drop));
    let policed = iif_in(&POLICED).verdict(&Verdict::Jump("between".into()));
    batch.add_rule(&INET, "forward_base", &policed);
    batch.add_rule(&INET, "between", &within().verdict(&Verdict::Return));
    let other = Rule::new().load_meta(Meta::OifName, Reg::FIRST).in_set(&POLICED).counter();
    batch.add_rule(&INET, "between", &other.verdict(&Verdict::Drop));
    for (end, map) in [(Meta::IifName, &FROM), (Meta::OifName, &TO)] {
        let rule = Rule::new().load_meta(end, Reg::FIRST).vmap(map);
        batch.add_rule(&INET, "forward_base", &rule);
    }
}
