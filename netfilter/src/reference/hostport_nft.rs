//! Published ports as the reference's `portmap` keeps them in nftables: rules in a table for each
//! family, whose comment is the bare container id.
//!
//! Layouts since v1.6.0 are known. Rules for one address of the host stood in `hostip_hostports`
//! before v1.9.0, and `input` is a base chain of v1.6.0 that only leads to the others.

use std::net::{IpAddr, Ipv4Addr};

use kernel::RequestError;
use kernel::netlink::Socket;
use kernel::nft::{
    self, BaseChain, Batch, FoundRule, Hook, Kind, Op, Payload, Reg, Rule, Table, Verdict,
};
use types::{Cidr, ContainerId, Family};

use super::matching::{daddr, last_address, nfproto, octets, saddr, when, when_in};
use super::unused;
use crate::{Mapping, Masquerade, Publication};

const NAME: &str = "cni_hostport";
const TABLE_COMMENT: &str = "CNI portmap plugin";
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

const HOSTPORTS: &str = "hostports";
const HOSTIP_HOSTPORTS: &str = "hostip_hostports";
const HOSTPORTS_ALL: &str = "hostports_all";
const MASQUERADING: &str = "masquerading";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const INPUT: &str = "input";
/// The chains that hold rules of containers.
const OF_CONTAINERS: [&str; 3] = [HOSTPORTS, HOSTIP_HOSTPORTS, MASQUERADING];
/// `dstnat` and `srcnat`, as nft(8) names them.
const DSTNAT: i32 = -100;
const SRCNAT: i32 = 100;

/// Removes the rules of `container` that lead to one of `targets`; with no target known, all of the
/// container's, as the reference does. None there is success.
///
/// A comment tells no network, so without targets a container on several networks loses the ports
/// of all. A rule whose target cannot be made out goes as well.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn remove(
    socket: &Socket,
    container: &ContainerId,
    targets: &[IpAddr],
) -> Result<(), RequestError> {
    let mut batch = Batch::new();
    for family in FAMILIES {
        delete_rules(socket, &mut batch, family, |comment, target| {
            is_of(comment, container) && is_among(target, targets)
        })?;
    }
    batch.commit_skipping_missing(socket)
}

/// Whether all mappings of `publication` have rules. As in the reference's CHECK they are counted
/// and not compared, since their form changed from version to version.
///
/// # Errors
/// When the rules cannot be read.
pub fn is_present(socket: &Socket, publication: &Publication) -> Result<bool, RequestError> {
    for family in FAMILIES {
        let wanted = ports(publication, family).count();
        if wanted == 0 {
            continue;
        }
        let mut found = 0;
        for chain in [HOSTPORTS, HOSTIP_HOSTPORTS] {
            let rules = nft::rules(socket, &table(family), chain)?;
            let ours = rules.iter().filter(|rule| {
                let comment = rule.comment.as_deref().unwrap_or_default();
                is_of(comment, &publication.key.container)
            });
            found += ours.count();
        }
        if found < wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the rules of which `is_dead` says so, given the container's id and the address that the
/// rule leads to.
///
/// GC of one network must not take a rule of another, and a comment tells no network. So it takes
/// both: the container has no valid attachment to the network, and the address is one that the
/// network hands out (its subnets, or its leases). A rule whose address cannot be made out stays.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn sweep(socket: &Socket, is_dead: impl Fn(&str, IpAddr) -> bool) -> Result<(), RequestError> {
    let mut batch = Batch::new();
    for family in FAMILIES {
        delete_rules(socket, &mut batch, family, |comment, target| {
            target.is_some_and(|target| is_dead(comment, target))
        })?;
    }
    batch.commit_skipping_missing(socket)
}

/// Adds to `batch` what publishes these ports, with what an earlier attempt left taken out.
///
/// Conditions stand in each rule: the reference has one place for those of all containers, where
/// the last ADD would open what an earlier one had closed. Nothing is written for a container
/// whose id no comment can hold, since the reference would never find it again.
///
/// # Errors
/// When what is there cannot be read.
pub fn write(
    socket: &Socket,
    batch: &mut Batch,
    publication: &Publication,
) -> Result<(), RequestError> {
    if publication.key.container.as_str().len() > nft::COMMENT_MAX_BYTES {
        return Ok(());
    }
    for family in FAMILIES {
        let Some(target) = publication.target(family) else { continue };
        let container = &publication.key.container;
        delete_rules(socket, batch, family, |comment, found| {
            is_of(comment, container) && is_among(found, &[target.ip()])
        })?;
        if ports(publication, family).next().is_none() {
            continue;
        }
        write_frame(batch, family);
        for (mapping, offset) in ports(publication, family) {
            let rule = dnat(publication, target, mapping, offset);
            batch.add_rule(&table(family), HOSTPORTS, &rule);
        }
        write_masquerade(batch, publication, target);
    }
    Ok(())
}

/// Removes the tables in which no container has a rule any more.
///
/// # Errors
/// When they cannot be read, or the kernel refused for another reason than that somebody uses them.
pub fn remove_tables_if_unused(socket: &Socket) -> Result<(), RequestError> {
    for family in FAMILIES {
        let frame = [PREROUTING, OUTPUT, INPUT, HOSTPORTS_ALL];
        unused::remove(socket, &table(family), &frame, &OF_CONTAINERS)?;
    }
    Ok(())
}

/// Adds to `batch` the deletion of each rule of which `is_such` says so, given its comment and the
/// address that it leads to.
fn delete_rules(
    socket: &Socket,
    batch: &mut Batch,
    family: Family,
    is_such: impl Fn(&str, Option<IpAddr>) -> bool,
) -> Result<(), RequestError> {
    let table = table(family);
    if !nft::has_table(socket, &table)? {
        return Ok(());
    }
    for chain in OF_CONTAINERS {
        let dead = |rule: &FoundRule| {
            let target = last_address(rule, family);
            rule.comment.as_deref().is_some_and(|comment| is_such(comment, target))
        };
        for rule in nft::rules(socket, &table, chain)?.into_iter().filter(dead) {
            batch.del_rule(&table, chain, rule.handle);
        }
    }
    Ok(())
}

fn is_of(comment: &str, container: &ContainerId) -> bool {
    comment == container.as_str()
}

/// Whether a rule that leads to `target` is one of those that lead to `targets`.
fn is_among(target: Option<IpAddr>, targets: &[IpAddr]) -> bool {
    targets.is_empty() || target.is_none_or(|target| targets.contains(&target))
}

/// Each published port of `family`: its mapping, and which one of it.
fn ports(publication: &Publication, family: Family) -> impl Iterator<Item = (&Mapping, u16)> {
    let served = publication.mappings.iter().filter(move |mapping| mapping.serves(family));
    let there = publication.target(family).is_some();
    served.filter(move |_| there).flat_map(|mapping| (0..mapping.count).map(move |n| (mapping, n)))
}

/// The chains, and the jumps between them that the reference writes anew at each ADD as well.
fn write_frame(batch: &mut Batch, family: Family) {
    let table = table(family);
    batch.add_table(&table, TABLE_COMMENT);
    for chain in [HOSTPORTS, HOSTIP_HOSTPORTS, HOSTPORTS_ALL] {
        batch.add_chain(&table, chain);
    }
    let jump = |rule: Rule, chain: &str| rule.verdict(&Verdict::Jump(chain.to_owned()));
    batch.flush_chain(&table, HOSTPORTS_ALL);
    for chain in [HOSTIP_HOSTPORTS, HOSTPORTS] {
        batch.add_rule(&table, HOSTPORTS_ALL, &jump(Rule::new(), chain));
    }
    for (chain, hook) in [(PREROUTING, Hook::Prerouting), (OUTPUT, Hook::Output)] {
        let base = BaseChain { kind: Kind::Nat, hook, priority: DSTNAT };
        batch.add_base_chain(&table, chain, base);
        batch.flush_chain(&table, chain);
        batch.add_rule(&table, chain, &jump(Rule::new().to_local(), HOSTPORTS_ALL));
    }
}

/// `[ip daddr 192.0.2.1] tcp dport 8080 [conditions] dnat to 10.1.0.2:80`
fn dnat(publication: &Publication, target: Cidr, mapping: &Mapping, offset: u16) -> Rule {
    let family = target.family();
    let mut rule = Rule::new();
    if let Some(ip) = mapping.host_ip() {
        rule = when_in(rule, daddr(family), Op::Eq, Cidr::host(ip));
    }
    rule = rule.l4proto(Op::Eq, mapping.protocol.number()).load(Payload::DPORT, Reg::FIRST).cmp(
        Reg::FIRST,
        Op::Eq,
        &(mapping.host_port + offset).to_be_bytes(),
    );
    for condition in publication.conditions(family) {
        rule = when(rule, condition);
    }
    let port = Reg::word(4);
    rule.set(Reg::FIRST, &octets(target.ip()))
        .set(port, &(mapping.container_port + offset).to_be_bytes())
        .dnat(nfproto(family), Some(port))
        .comment(publication.key.container.as_str())
}

/// What hides the source of packets that the container could not answer through the host.
fn write_masquerade(batch: &mut Batch, publication: &Publication, target: Cidr) {
    let (family, table) = (target.family(), table(target.family()));
    let host = Cidr::host(target.ip());
    let sources = match publication.masquerade {
        Masquerade::Nobody => return,
        Masquerade::All => vec![family.default_route()],
        Masquerade::Neighbours if family == Family::V6 => vec![host],
        Masquerade::Neighbours => vec![host, Cidr::host(Ipv4Addr::LOCALHOST.into())],
    };
    let base = BaseChain { kind: Kind::Nat, hook: Hook::Postrouting, priority: SRCNAT };
    batch.add_base_chain(&table, MASQUERADING, base);
    for source in sources {
        let rule = when_in(Rule::new(), saddr(family), Op::Eq, source);
        let rule = when_in(rule, daddr(family), Op::Eq, host).masquerade();
        let rule = rule.comment(publication.key.container.as_str());
        batch.add_rule(&table, MASQUERADING, &rule);
    }
}

fn table(family: Family) -> Table {
    Table::of_family(family, NAME)
}
