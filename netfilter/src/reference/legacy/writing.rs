//! Writing the reference's chains where the legacy tables are in use: a legacy FORWARD chain that
//! drops knows nothing of what nf_tables accepts, and other tools read these chains.

use std::net::IpAddr;

use kernel::nft::xt::MULTIPORT_MAX;
use types::{Attachment, Cidr, Family};

use super::layout::{
    FILTER, FORWARD, HOSTPORT_DNAT, HOSTPORT_MASQ, HOSTPORT_SETMARK, NAT, dnat_comment,
    masquerade_comment,
};
use super::removal::{accept_forms, of_family, passing_form};
use super::saved::Table;
use super::script::{Script, checked, quoted};
use super::{FAMILIES, LegacyError, change};
use crate::reference::names::{dnat_chain, masquerade_chain};
use crate::{Condition, Mapping, Masquerade, Match, Publication};

const HEAD_COMMENT: &str = "CNI firewall plugin rules";
const ADMIN_COMMENT: &str = "CNI firewall plugin admin overrides";
const SETMARK_COMMENT: &str = "CNI portfwd masquerade mark";
const MASQ_COMMENT: &str = "CNI portfwd requiring masquerade";

/// How packets to be masqueraded are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking<'a> {
    /// By this bit, 0..=31, in chains of ours (`markMasqBit`, 13 unless set).
    Bit(u8),
    /// By this chain of somebody else's (`externalSetMarkChain`).
    Chain(&'a str),
}

/// Publishes ports in the legacy table `nat`, where that is in use; what an earlier attempt left is
/// replaced.
///
/// # Errors
/// When a table in use can be neither read nor changed, or a name is none.
pub fn publish(publication: &Publication, marking: Marking<'_>) -> Result<(), LegacyError> {
    if let Marking::Chain(name) = marking {
        checked(name)?;
    }
    for family in FAMILIES {
        let Some(target) = publication.target(family) else { continue };
        let conditions = words_of(publication.conditions(family))?;
        let ports = Ports { publication, target, conditions: &conditions, marking };
        if ports.list().next().is_some() {
            change(family, &[NAT], |table, script| ports.write(table, script))?;
        }
    }
    Ok(())
}

/// Accepts packets from and to `addresses` in the legacy table `filter`, where that is in use.
/// Administrators' rules in the chain `admin` come before.
///
/// # Errors
/// When a table in use can be neither read nor changed, or `admin` is no name of a chain.
pub fn accept(addresses: &[IpAddr], admin: &str) -> Result<(), LegacyError> {
    checked(admin)?;
    for family in FAMILIES {
        if of_family(addresses, family).next().is_none() {
            continue;
        }
        change(family, &[FILTER], |table, script| {
            let forms = of_family(addresses, family).flat_map(accept_forms);
            accept_forwarded(table, script, forms);
            create(table, script, admin);
            lead(table, script, (FORWARD, ADMIN_COMMENT, admin));
        })?;
    }
    Ok(())
}

/// Accepts packets of published ports, which our own table marks, in the legacy table `filter`,
/// where that is in use.
///
/// # Errors
/// When a table in use can be neither read nor changed.
pub fn pass(families: &[Family]) -> Result<(), LegacyError> {
    for &family in families {
        change(family, &[FILTER], |table, script| {
            accept_forwarded(table, script, [passing_form()].into_iter());
        })?;
    }
    Ok(())
}

/// Puts the rules of `forms` that are missing into `CNI-FORWARD`, to which `FORWARD` leads.
fn accept_forwarded(
    table: &Table<'_>,
    script: &mut Script,
    forms: impl Iterator<Item = Vec<String>>,
) {
    create(table, script, FORWARD);
    lead(table, script, ("FORWARD", HEAD_COMMENT, FORWARD));
    for form in forms {
        let words: Vec<&str> = form.iter().map(String::as_str).collect();
        if !table.rules_of(FORWARD).any(|rule| rule.says(&words)) {
            script.line(format_args!("-A {FORWARD} {}", words.join(" ")));
        }
    }
}

/// Leads from a chain to another before all that is in it, unless something leads there already.
fn lead(table: &Table<'_>, script: &mut Script, (chain, comment, target): (&str, &str, &str)) {
    if !table.leads(chain, target) {
        script.line(format_args!("-I {chain} 1 -m comment --comment \"{comment}\" -j {target}"));
    }
}

/// Masquerades what a container sends out of its subnets, in the legacy table `nat`, where that is
/// in use.
///
/// # Errors
/// When a table in use can be neither read nor changed.
pub fn masquerade(key: &Attachment, addresses: &[Cidr]) -> Result<(), LegacyError> {
    let chain = masquerade_chain(&key.network, &key.container);
    let comment = quoted(&masquerade_comment(&key.network, &key.container));
    for (family, multicast) in [(Family::V4, "224.0.0.0/4"), (Family::V6, "ff00::/8")] {
        let mut rules = Vec::new();
        for cidr in addresses.iter().filter(|cidr| cidr.family() == family) {
            let (subnet, host) = (cidr.network(), Cidr::host(cidr.ip()));
            let mut rule = |chain: &str, on: &str, target: &str| {
                rules.push(format!("{chain} {on} -m comment --comment {comment} -j {target}"));
            };
            rule(&chain, &format!("-d {subnet}"), "ACCEPT");
            rule(&chain, &format!("! -d {multicast}"), "MASQUERADE");
            rule("POSTROUTING", &format!("-s {host}"), &chain);
        }
        // Each subnet is let alone before anything is masqueraded.
        rules.sort_by_key(|rule| rule.ends_with("MASQUERADE"));
        rules.dedup();
        if rules.is_empty() {
            continue;
        }
        change(family, &[NAT], |table, script| {
            create(table, script, &chain);
            for rule in rules.iter().filter(|rule| !table.rules().any(|one| one.text == **rule)) {
                script.line(format_args!("-A {rule}"));
            }
        })?;
    }
    Ok(())
}

/// The published ports of one family.
struct Ports<'a> {
    publication: &'a Publication,
    target: Cidr,
    conditions: &'a str,
    marking: Marking<'a>,
}

impl Ports<'_> {
    /// Each published port: its mapping, and which one of it.
    fn list(&self) -> impl Iterator<Item = (&Mapping, u16)> {
        let family = self.target.family();
        let served = self.publication.mappings.iter().filter(move |mapping| mapping.serves(family));
        served.flat_map(|mapping| (0..mapping.count).map(move |n| (mapping, n)))
    }

    fn write(&self, table: &Table<'_>, script: &mut Script) {
        let key = &self.publication.key;
        let chain = dnat_chain(&key.network, &key.container);
        // Empties the chain where it is there.
        script.line(format_args!(":{chain} - [0:0]"));
        self.write_shared(table, script);
        for jump in table.rules().filter(|rule| rule.target() == Some(&chain)) {
            script.line(format_args!("-D {}", jump.text));
        }
        for (mapping, offset) in self.list() {
            self.write_port(&chain, mapping, offset, script);
        }
        let comment = quoted(&dnat_comment(&key.network, &key.container));
        let mut protocols: Vec<_> = self.list().map(|(mapping, _)| mapping.protocol).collect();
        protocols.sort_by_key(|protocol| protocol.name());
        protocols.dedup();
        for protocol in protocols {
            let of_protocol = self.list().filter(|(mapping, _)| mapping.protocol == protocol);
            let ports: Vec<String> =
                of_protocol.map(|(mapping, n)| (mapping.host_port + n).to_string()).collect();
            for some in ports.chunks(MULTIPORT_MAX) {
                script.line(format_args!(
                    "-A {HOSTPORT_DNAT} -p {protocol} -m comment --comment {comment} \
                     -m multiport --dports {}{} -j {chain}",
                    some.join(","),
                    self.conditions
                ));
            }
        }
    }

    /// What all containers share, where it is missing.
    fn write_shared(&self, table: &Table<'_>, script: &mut Script) {
        create(table, script, HOSTPORT_DNAT);
        for hook in ["PREROUTING", "OUTPUT"] {
            if !table.leads(hook, HOSTPORT_DNAT) {
                script.line(format_args!(
                    "-A {hook} -m addrtype --dst-type LOCAL -j {HOSTPORT_DNAT}"
                ));
            }
        }
        let (Marking::Bit(bit), true) = (self.marking, self.masquerades()) else { return };
        let mark = 1_u32.checked_shl(bit.into()).unwrap_or_default();
        let mark = format!("{mark:#x}/{mark:#x}");
        create(table, script, HOSTPORT_SETMARK);
        create(table, script, HOSTPORT_MASQ);
        if !table.rules_of(HOSTPORT_SETMARK).any(|rule| rule.has_word(&mark)) {
            script.line(format_args!(
                "-A {HOSTPORT_SETMARK} -m comment --comment \"{SETMARK_COMMENT}\" \
                 -j MARK --set-xmark {mark}"
            ));
        }
        if !table.rules_of(HOSTPORT_MASQ).any(|rule| rule.has_word(&mark)) {
            script.line(format_args!("-A {HOSTPORT_MASQ} -m mark --mark {mark} -j MASQUERADE"));
        }
        lead(table, script, ("POSTROUTING", MASQ_COMMENT, HOSTPORT_MASQ));
    }

    fn masquerades(&self) -> bool {
        self.publication.masquerade != Masquerade::Nobody
    }

    fn write_port(&self, chain: &str, mapping: &Mapping, offset: u16, script: &mut Script) {
        let family = self.target.family();
        let (protocol, port) = (mapping.protocol, mapping.host_port + offset);
        let at = mapping.host_ip().map(|ip| format!(" -d {ip}")).unwrap_or_default();
        let start = format!("-A {chain} -p {protocol} --dport {port}{at}");
        let mark = match self.marking {
            Marking::Bit(_) => HOSTPORT_SETMARK,
            Marking::Chain(name) => name,
        };
        match self.publication.masquerade {
            Masquerade::Nobody => {}
            Masquerade::All => {
                script.line(format_args!("{start} -s {} -j {mark}", family.default_route()));
            }
            Masquerade::Neighbours => {
                script.line(format_args!("{start} -s {} -j {mark}", self.target.network()));
                if family == Family::V4 {
                    script.line(format_args!("{start} -s 127.0.0.1 -j {mark}"));
                }
            }
        }
        let to = std::net::SocketAddr::new(self.target.ip(), mapping.container_port + offset);
        script.line(format_args!("{start} -j DNAT --to-destination {to}"));
    }
}

/// Makes a chain that is missing. Should somebody else have made it meanwhile, the kernel refuses
/// the change, where `:chain` would empty it.
fn create(table: &Table<'_>, script: &mut Script, chain: &str) {
    if !table.has_chain(chain) {
        script.line(format_args!("-N {chain}"));
    }
}

/// Conditions as iptables writes them, each with a blank before.
fn words_of(conditions: &[Condition]) -> Result<String, LegacyError> {
    let mut words = String::new();
    for condition in conditions {
        words.push_str(if condition.negated { " ! " } else { " " });
        words.push_str(&match &condition.on {
            Match::Source(network) => format!("-s {}", network.network()),
            Match::Destination(network) => format!("-d {}", network.network()),
            Match::Iif(name) => format!("-i {}", wildcard(checked(name)?)),
            Match::Oif(name) => format!("-o {}", wildcard(checked(name)?)),
            Match::Protocol(number) => format!("-p {number}"),
        });
    }
    Ok(words)
}

/// A name of links in the words of iptables, where `+` stands for any rest.
fn wildcard(name: &str) -> String {
    name.strip_suffix('*').map_or_else(|| name.to_owned(), |start| format!("{start}+"))
}
