//! The check of source addresses on bridge ports, `macspoofchk` of the reference's `bridge`: a jump
//! from a table that ebtables uses as well, and two chains for each attachment.

use kernel::RequestError;
use kernel::netlink::Socket;
use kernel::nft::{
    self, BaseChain, Batch, FoundRule, Hook, Kind, Meta, Op, Payload, Reg, Rule, Table, Verdict,
};
use types::{Attachment, IfName, MacAddr};

use super::names::spoof_reference;
use super::unused;

const TABLE: Table = Table::bridge("nat");
const PREROUTING: &str = "PREROUTING";
/// nft(8)'s `-300`, long before the bridge forwards.
const PRIORITY: i32 = -300;
/// What the comments of all these rules begin with.
const COMMENT: &str = "macspoofchk-";
const CHAIN: &str = "cni-br-iface-";
/// Longest name of a chain in bytes, `NFT_CHAIN_MAXNAMELEN` less its NUL.
const CHAIN_BYTES: usize = 255;

/// The chains of one check, and the comment on its rules.
struct Names {
    /// Where packets of the port go.
    port: String,
    /// Where their address is compared.
    mac: String,
    comment: String,
}

/// Removes the check of an attachment. None there is success.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn remove(socket: &Socket, key: &Attachment) -> Result<(), RequestError> {
    let names = Names::of(&spoof_reference(key));
    if names.mac.len() > CHAIN_BYTES || !nft::has_table(socket, &TABLE)? {
        return Ok(());
    }
    let mut batch = Batch::new();
    let jumps = nft::rules(socket, &TABLE, PREROUTING)?;
    names.delete(&mut batch, jumps.iter().filter(|rule| names.is_jump(rule)));
    batch.commit_skipping_missing(socket)
}

/// Whether frames of the attachment's port are let through from `mac` alone.
///
/// # Errors
/// When the rules cannot be read.
pub fn is_present(socket: &Socket, key: &Attachment, mac: MacAddr) -> Result<bool, RequestError> {
    let names = Names::of(&spoof_reference(key));
    if !nft::rules(socket, &TABLE, PREROUTING)?.iter().any(|rule| names.is_jump(rule)) {
        return Ok(false);
    }
    let rules = nft::rules(socket, &TABLE, &names.mac)?;
    Ok(rules.len() > 1 && rules.iter().any(|rule| rule.constants() == [mac.bytes()]))
}

/// Removes the checks of ports that are gone; `exists` says whether the host has a link.
///
/// Neither comments nor chains tell the network, and the container may live on in another one, so a
/// list of valid attachments does not say what is dead. A port that is gone does: nothing can come
/// by it. Sweep after the links.
///
/// # Errors
/// When the rules cannot be read or deleted.
pub fn sweep(socket: &Socket, exists: impl Fn(&str) -> bool) -> Result<(), RequestError> {
    if !nft::has_table(socket, &TABLE)? {
        return Ok(());
    }
    let jumps = nft::rules(socket, &TABLE, PREROUTING)?;
    let references: Vec<Option<&str>> = jumps.iter().map(reference).collect();
    let is_dead = |rule: &FoundRule| port(rule).is_some_and(|port| !exists(&port));
    let mut batch = Batch::new();
    for (place, reference) in references.iter().enumerate() {
        let Some(reference) = reference else { continue };
        let is_same = |other: &&FoundRule| self::reference(other) == Some(reference);
        // A repeated ADD of the reference leaves two jumps, and the port may have a new name.
        if references[..place].contains(&Some(reference))
            || !jumps.iter().filter(is_same).all(is_dead)
        {
            continue;
        }
        Names::of(reference).delete(&mut batch, jumps.iter().filter(is_same));
    }
    batch.commit_skipping_missing(socket)
}

/// Adds to `batch` the check that frames by the port `link` come from `mac`, with what an earlier
/// attempt left taken out. Nothing for names that the reference could not remove either, since they
/// are too long for a chain.
///
/// # Errors
/// When what is there cannot be read.
pub fn write(
    socket: &Socket,
    batch: &mut Batch,
    key: &Attachment,
    (link, mac): (&IfName, MacAddr),
) -> Result<(), RequestError> {
    let names = Names::of(&spoof_reference(key));
    if names.mac.len() > CHAIN_BYTES {
        return Ok(());
    }
    for jump in nft::rules(socket, &TABLE, PREROUTING)?.iter().filter(|rule| names.is_jump(rule)) {
        batch.del_rule(&TABLE, PREROUTING, jump.handle);
    }
    batch.add_table(&TABLE, "");
    let base = BaseChain { kind: Kind::Filter, hook: Hook::Prerouting, priority: PRIORITY };
    batch.add_base_chain(&TABLE, PREROUTING, base);
    for chain in [&names.port, &names.mac] {
        batch.add_chain(&TABLE, chain);
        batch.flush_chain(&TABLE, chain);
    }
    let rule = || Rule::new().comment(&names.comment);
    let jump = |rule: Rule, chain: &str| rule.verdict(&Verdict::Jump(chain.to_owned()));
    let from_port = rule().ifname(Meta::IifName, Op::Eq, link.as_str());
    batch.add_rule(&TABLE, PREROUTING, &jump(from_port, &names.port));
    batch.add_rule(&TABLE, &names.port, &jump(rule(), &names.mac));
    let from_mac =
        rule().load(Payload::ETHER_SADDR, Reg::FIRST).cmp(Reg::FIRST, Op::Eq, &mac.bytes());
    batch.add_rule(&TABLE, &names.mac, &from_mac.verdict(&Verdict::Return));
    batch.add_rule(&TABLE, &names.mac, &rule().verdict(&Verdict::Drop));
    Ok(())
}

/// Removes the table where nothing is in it but the reference's base chain without rules.
///
/// # Errors
/// When it cannot be read, or the kernel refused for another reason than that somebody uses it.
pub fn remove_table_if_unused(socket: &Socket) -> Result<(), RequestError> {
    unused::remove(socket, &TABLE, &[], &[PREROUTING])
}

impl Names {
    fn of(reference: &str) -> Self {
        let port = format!("{CHAIN}{reference}");
        Self { mac: format!("{port}-mac"), port, comment: format!("{COMMENT}{reference}") }
    }

    fn is_jump(&self, rule: &FoundRule) -> bool {
        rule.target.as_deref() == Some(&self.port) && rule.comment.as_deref() == Some(&self.comment)
    }

    fn delete<'a>(&self, batch: &mut Batch, jumps: impl Iterator<Item = &'a FoundRule>) {
        for jump in jumps {
            batch.del_rule(&TABLE, PREROUTING, jump.handle);
        }
        batch.flush_chain(&TABLE, &self.port);
        batch.del_chain(&TABLE, &self.port);
        batch.del_chain(&TABLE, &self.mac);
    }
}

/// Whose jump it is; `None` for other people's rules.
fn reference(jump: &FoundRule) -> Option<&str> {
    let reference = jump.comment.as_deref()?.strip_prefix(COMMENT)?;
    let target = jump.target.as_deref()?.strip_prefix(CHAIN)?;
    (target == reference).then_some(reference)
}

/// The port that a jump is for.
fn port(jump: &FoundRule) -> Option<String> {
    let [name] = &jump.constants()[..] else { return None };
    let end = name.iter().position(|&byte| byte == 0)?;
    String::from_utf8(name[..end].to_vec()).ok()
}
