//! Masquerade as `bridge` and `ptp` of the reference do it with `ipMasqBackend` `nftables`: one
//! rule for each address in a table of their own, whose comment begins with the attachment's tag.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cni::GcAttachment;
use kernel::RequestError;
use kernel::netlink::Socket;
use kernel::nft::{self, BaseChain, Batch, FoundRule, Hook, Kind, Op, Rule, Table, Verdict};
use types::{Attachment, Cidr, NetworkName};

use super::matching::{daddr, nfproto, octets, saddr, when_in};
use super::names::{interface_tag, masquerade_tag, network_tag};
use super::unused;

const TABLE: Table = Table::inet("cni_plugins_masquerade");
const TABLE_COMMENT: &str = "Masquerading for plugins from github.com/containernetworking/plugins";
/// Holds the rules of attachments.
const CHECKS: &str = "masq_checks";
const POSTROUTING: &str = "postrouting";
/// Destinations that no address is changed for.
const MULTICAST: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];
/// `srcnat`, as nft(8) names it.
const PRIORITY: i32 = 100;

/// Removes the rules of an attachment, whatever their addresses. None there is success.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn remove(socket: &Socket, key: &Attachment) -> Result<(), RequestError> {
    if !nft::has_table(socket, &TABLE)? {
        return Ok(());
    }
    let mut batch = Batch::new();
    delete_rules(socket, &mut batch, |comment| comment.starts_with(&tag(key)))?;
    batch.commit_skipping_missing(socket)
}

/// Whether packets from `address` are masqueraded for this attachment.
///
/// # Errors
/// When the rules cannot be read.
pub fn is_present(
    socket: &Socket,
    key: &Attachment,
    address: IpAddr,
) -> Result<bool, RequestError> {
    let (tag, address) = (tag(key), octets(address));
    let is_it = |rule: &FoundRule| {
        rule.comment.as_ref().is_some_and(|comment| comment.starts_with(&tag))
            && rule.constants().contains(&address)
    };
    Ok(nft::rules(socket, &TABLE, CHECKS)?.iter().any(is_it))
}

/// Removes the rules of `network` whose attachment is not in `valid`.
///
/// The tag tells the network, so rules of others stay. An entry without an interface covers all of
/// its container's; where the comment was cut before the interface's name, such a rule stays.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn sweep(
    socket: &Socket,
    network: &NetworkName,
    valid: &[GcAttachment],
) -> Result<(), RequestError> {
    if !nft::has_table(socket, &TABLE)? {
        return Ok(());
    }
    let ours = network_tag(network);
    let is_dead = |comment: &str| {
        let Some(rest) = comment.strip_prefix(&ours) else { return false };
        !valid.iter().any(|entry| covers(entry, rest, network))
    };
    let mut batch = Batch::new();
    delete_rules(socket, &mut batch, is_dead)?;
    batch.commit_skipping_missing(socket)
}

/// Adds to `batch` what masquerades packets from `addresses` to outside their subnets, with what
/// an earlier attempt left taken out.
///
/// # Errors
/// When what is there cannot be read.
pub fn write(
    socket: &Socket,
    batch: &mut Batch,
    key: &Attachment,
    addresses: &[Cidr],
) -> Result<(), RequestError> {
    delete_rules(socket, batch, |comment| comment.starts_with(&tag(key)))?;
    batch.add_table(&TABLE, TABLE_COMMENT);
    batch.add_chain(&TABLE, CHECKS);
    let base = BaseChain { kind: Kind::Nat, hook: Hook::Postrouting, priority: PRIORITY };
    batch.add_base_chain(&TABLE, POSTROUTING, base);
    // The reference fills it anew at each ADD, too.
    batch.flush_chain(&TABLE, POSTROUTING);
    for group in MULTICAST.into_iter().filter_map(|(ip, prefix)| Cidr::new(ip, prefix)) {
        let rule = when_in(family_of(group), daddr(group.family()), Op::Eq, group);
        batch.add_rule(&TABLE, POSTROUTING, &rule.verdict(&Verdict::Return));
    }
    let checks = Rule::new().verdict(&Verdict::Goto(CHECKS.to_owned()));
    batch.add_rule(&TABLE, POSTROUTING, &checks);
    for address in addresses {
        batch.add_rule(&TABLE, CHECKS, &rule(key, *address));
    }
    Ok(())
}

/// Removes the table where no attachment has a rule in it any more.
///
/// # Errors
/// When it cannot be read, or the kernel refused for another reason than that somebody uses it.
pub fn remove_table_if_unused(socket: &Socket) -> Result<(), RequestError> {
    unused::remove(socket, &TABLE, &[POSTROUTING], &[CHECKS])
}

/// Adds to `batch` the deletion of each rule whose comment is such.
fn delete_rules(
    socket: &Socket,
    batch: &mut Batch,
    is_such: impl Fn(&str) -> bool,
) -> Result<(), RequestError> {
    for rule in nft::rules(socket, &TABLE, CHECKS)? {
        if rule.comment.as_deref().is_some_and(&is_such) {
            batch.del_rule(&TABLE, CHECKS, rule.handle);
        }
    }
    Ok(())
}

fn tag(key: &Attachment) -> String {
    masquerade_tag(&key.network, &key.ifname, &key.container)
}

/// Whether `entry` is the attachment of a rule whose comment goes on with `rest` after the first
/// half of the tag.
fn covers(entry: &GcAttachment, rest: &str, network: &NetworkName) -> bool {
    if let Some(ifname) = &entry.ifname {
        return rest.starts_with(&interface_tag(ifname, &entry.container));
    }
    let named = rest.split_once(&format!(", net: {network}, if: "));
    let ifname = named.and_then(|(_, rest)| rest.split_once(", id: ")).map(|(ifname, _)| ifname);
    match ifname.and_then(|text| text.parse().ok()) {
        Some(ifname) => rest.starts_with(&interface_tag(&ifname, &entry.container)),
        None => true,
    }
}

/// `ip saddr 10.1.0.2 ip daddr != 10.1.0.0/16 masquerade`
fn rule(key: &Attachment, address: Cidr) -> Rule {
    let family = address.family();
    let host = Cidr::host(address.ip());
    let rule = when_in(family_of(address), saddr(family), Op::Eq, host);
    let rule = when_in(rule, daddr(family), Op::Ne, address);
    let Attachment { network, container, ifname } = key;
    let comment = format!("{}, net: {network}, if: {ifname}, id: {container}", tag(key));
    rule.masquerade().comment(comment)
}

/// A rule for packets of the family of `address`: the table sees both.
fn family_of(address: Cidr) -> Rule {
    Rule::new().nfproto(nfproto(address.family()))
}
