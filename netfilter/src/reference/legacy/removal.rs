//! Finding and removing what the reference left for one attachment.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use cni::GcAttachment;
use types::{Attachment, Cidr, Family, NetworkName};

use super::layout::{FILTER, FORWARD, NAT, dnat_comment, masquerade_comment};
use super::saved::{Rule, Saved, Table};
use super::script::Script;
use super::{FAMILIES, LIMIT, LegacyError, change, in_use, print};
use crate::layout::PASS_MARK;
use crate::reference::names::{dnat_chain, masquerade_chain, snat_chain};

/// What a plugin of the reference left behind for one attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace<'a> {
    /// Of `bridge` and `ptp` with `ipMasq`. All interfaces of a container on one network share the
    /// chain: with addresses given only the jumps of these go, and the chain with the last jump.
    Masquerade(&'a Attachment, &'a [IpAddr]),
    /// Of `portmap`.
    Ports(&'a Attachment),
    /// Of `firewall`: rules that accept packets from and to these addresses. They name no owner,
    /// so give only addresses that are still the attachment's.
    Accepts(&'a [IpAddr]),
    /// The rule that lets all published ports through, which is our own: for the last of them.
    Passing,
}

/// A chain that is to go, with the jumps to it.
struct Doomed<'a> {
    chain: String,
    /// Jumps for other addresses stay, and with them the chain; none given stands for all.
    addresses: &'a [IpAddr],
}

/// Removes these traces, in one change per family. Nothing there is success, and nothing is run
/// where the tables are not in use.
///
/// # Errors
/// When tables in use can be neither read nor changed.
pub fn remove(traces: &[Trace<'_>]) -> Result<(), LegacyError> {
    for family in FAMILIES {
        change(family, &tables_of(traces), |table, script| {
            plan_removal(table, traces, family, script);
        })?;
    }
    Ok(())
}

/// Whether all of a trace is there.
///
/// # Errors
/// When tables in use cannot be read.
pub fn is_present(trace: &Trace<'_>) -> Result<bool, LegacyError> {
    let until = Instant::now() + LIMIT;
    let mut found = false;
    for family in FAMILIES {
        if !trace.concerns(family) {
            continue;
        }
        found = false;
        for name in in_use(family, &tables_of(std::slice::from_ref(trace)))? {
            let printed = print(family, name, until)?;
            let table = Saved::parse(&printed).table(name);
            found = trace.is_in(&table, family);
        }
        // Ports may be published in one family alone.
        if found == matches!(trace, Trace::Ports(_)) {
            return Ok(found);
        }
    }
    Ok(found)
}

/// Removes masquerade and published ports of `network` whose container is not in `valid`.
///
/// Both the comment and the name of the chain tell network and container, so others stay. Rules of
/// the firewall plugin tell neither, and stay.
///
/// # Errors
/// When tables in use can be neither read nor changed.
pub fn sweep(network: &NetworkName, valid: &[GcAttachment]) -> Result<(), LegacyError> {
    for family in FAMILIES {
        change(family, &[NAT], |table, script| plan_sweep(table, network, valid, script))?;
    }
    Ok(())
}

/// What takes `traces` out of one table.
pub(super) fn plan_removal(
    table: &Table<'_>,
    traces: &[Trace<'_>],
    family: Family,
    script: &mut Script,
) {
    if table.name == NAT {
        let doomed: Vec<Doomed<'_>> = traces.iter().flat_map(Trace::chains).collect();
        delete_chains(table, &doomed, script);
        return;
    }
    for rule in traces.iter().flat_map(|trace| trace.accepts(table, family)) {
        script.line(format_args!("-D {}", rule.text));
    }
}

/// What takes the dead of `network` out of the table `nat`.
pub(super) fn plan_sweep(
    table: &Table<'_>,
    network: &NetworkName,
    valid: &[GcAttachment],
    script: &mut Script,
) {
    let dead = table.rules().filter_map(|rule| dead_chain(rule, network, valid));
    let chains: BTreeSet<String> = dead.collect();
    let doomed = |chain| Doomed { chain, addresses: &[] };
    delete_chains(table, &chains.into_iter().map(doomed).collect::<Vec<_>>(), script);
}

/// The chain of a container without a valid attachment, where `rule` jumps to it.
fn dead_chain(rule: &Rule<'_>, network: &NetworkName, valid: &[GcAttachment]) -> Option<String> {
    let (comment, target) = (rule.comment()?, rule.target()?);
    let named = comment.strip_prefix("dnat ").unwrap_or(comment);
    let rest = named.strip_prefix(&format!("name: \"{network}\" id: \""))?;
    let container = rest.trim_end_matches('"').parse().ok()?;
    let its = [masquerade_chain(network, &container), dnat_chain(network, &container)];
    let is_valid = valid.iter().any(|entry| entry.container == container);
    (!is_valid && its.iter().any(|chain| chain == target)).then(|| target.to_owned())
}

fn tables_of(traces: &[Trace<'_>]) -> Vec<&'static str> {
    let is_accept = |trace: &Trace<'_>| matches!(trace, Trace::Accepts(_) | Trace::Passing);
    let nat = traces.iter().any(|trace| !is_accept(trace)).then_some(NAT);
    nat.into_iter().chain(traces.iter().any(is_accept).then_some(FILTER)).collect()
}

/// Jumps go first, then rules, then chains, so that no chain is needed when it goes.
fn delete_chains(table: &Table<'_>, doomed: &[Doomed<'_>], script: &mut Script) {
    let mut gone = Vec::new();
    for Doomed { chain, addresses } in doomed {
        let jumps = table.rules().filter(|rule| rule.target() == Some(chain));
        let (going, staying): (Vec<&Rule<'_>>, Vec<_>) =
            jumps.partition(|jump| addresses.is_empty() || comes_from(jump, addresses));
        for jump in going {
            script.line(format_args!("-D {}", jump.text));
        }
        if staying.is_empty() && table.has_chain(chain) {
            gone.push(chain);
        }
    }
    for command in ["-F", "-X"] {
        for chain in &gone {
            script.line(format_args!("{command} {chain}"));
        }
    }
}

/// Whether a jump is for one of `addresses`. Before v0.8 the subnet stood in its place.
fn comes_from(jump: &Rule<'_>, addresses: &[IpAddr]) -> bool {
    let source = jump.source().and_then(|text| text.parse::<Cidr>().ok());
    source.is_some_and(|source| addresses.iter().any(|address| source.contains(*address)))
}

impl<'a> Trace<'a> {
    fn chains(&self) -> Vec<Doomed<'a>> {
        match *self {
            Self::Masquerade(key, addresses) => {
                vec![Doomed { chain: masquerade_chain(&key.network, &key.container), addresses }]
            }
            Self::Ports(key) => [dnat_chain, snat_chain]
                .map(|name| Doomed { chain: name(&key.network, &key.container), addresses: &[] })
                .into(),
            Self::Accepts(_) | Self::Passing => Vec::new(),
        }
    }

    /// The words of its rules that accept.
    fn forms(&self, family: Family) -> Vec<Vec<String>> {
        match self {
            Self::Accepts(addresses) => {
                of_family(addresses, family).flat_map(accept_forms).collect()
            }
            Self::Passing => vec![passing_form()],
            Self::Masquerade(..) | Self::Ports(_) => Vec::new(),
        }
    }

    /// Those of them that are there.
    fn accepts<'t>(&self, table: &'t Table<'_>, family: Family) -> Vec<&'t Rule<'t>> {
        let forms = self.forms(family);
        let is_one = |rule: &&Rule<'_>| {
            forms.iter().any(|form| rule.says(&form.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        table.rules_of(FORWARD).filter(is_one).collect()
    }

    fn concerns(&self, family: Family) -> bool {
        match self {
            Self::Masquerade(_, addresses) | Self::Accepts(addresses) => {
                of_family(addresses, family).next().is_some()
            }
            Self::Ports(_) | Self::Passing => true,
        }
    }

    fn is_in(&self, table: &Table<'_>, family: Family) -> bool {
        match self {
            Self::Masquerade(key, addresses) => {
                let chain = masquerade_chain(&key.network, &key.container);
                let comment = masquerade_comment(&key.network, &key.container);
                let is_from = |address: IpAddr| {
                    table.rules().any(|rule| {
                        rule.target() == Some(&chain)
                            && rule.comment() == Some(&comment)
                            && comes_from(rule, &[address])
                    })
                };
                of_family(addresses, family).all(is_from)
            }
            Self::Ports(key) => {
                let chain = dnat_chain(&key.network, &key.container);
                let comment = dnat_comment(&key.network, &key.container);
                table.rules_of(&chain).next().is_some()
                    && table.rules().any(|rule| {
                        rule.target() == Some(&chain) && rule.comment() == Some(&comment)
                    })
            }
            Self::Accepts(_) | Self::Passing => {
                self.accepts(table, family).len() >= self.forms(family).len()
            }
        }
    }
}

pub(super) fn of_family(addresses: &[IpAddr], family: Family) -> impl Iterator<Item = IpAddr> {
    addresses.iter().copied().filter(move |address| Family::of(*address) == family)
}

/// The words of the rule that accepts what our own table marks.
pub(super) fn passing_form() -> Vec<String> {
    let mark = format!("{PASS_MARK:#x}");
    ["-m", "mark", "--mark", &mark, "-j", "ACCEPT"].map(str::to_owned).into()
}

/// The words of the two rules that accept packets to and from `address`.
pub(super) fn accept_forms(address: IpAddr) -> [Vec<String>; 2] {
    let host = Cidr::host(address).to_string();
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    [
        words(&[
            "-d",
            &host,
            "-m",
            "conntrack",
            "--ctstate",
            "RELATED,ESTABLISHED",
            "-j",
            "ACCEPT",
        ]),
        words(&["-s", &host, "-j", "ACCEPT"]),
    ]
}
