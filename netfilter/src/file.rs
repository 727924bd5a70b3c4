//! The file that remembers a claim: one line for each thing that is wanted, words with blanks
//! between. Words are names, numbers and addresses, which hold no blank; a path ends its line.

use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use cni::record::NetnsId;
use types::{Attachment, Cidr, Family, IfName};

use crate::claim::{
    Claim, Claimant, Class, Entrance, Forward, Forwarder, Handle, Ingress, Isolation, Linked,
    Passing, Ports, Proxied, ReferencePorts, Resolver,
};
use crate::{Condition, HostAddress, Mapping, Masquerade, Publication};

/// First line; a reader of another layout leaves the file alone.
const TITLE: &str = "cais claim 1";

/// Most ports, rules and addresses that a file is believed to hold.
const MOST_LINES: usize = 200_000;

/// `claim` as its file.
#[must_use]
pub(crate) fn text(claim: &Claim) -> String {
    let mut out = String::with_capacity(512);
    // Writing to a String cannot fail.
    let _ = write(claim, &mut out);
    out
}

fn write(claim: &Claim, out: &mut String) -> fmt::Result {
    let key = &claim.key;
    writeln!(out, "{TITLE}\nkey {} {} {}", key.network, key.container, key.ifname)?;
    writeln!(out, "claimant {}", claim.claimant.name())?;
    writeln!(out, "netns {} {} {}", claim.netns_id.inode, claim.netns_id.boot, claim.netns)?;
    for cidr in &claim.masquerade {
        writeln!(out, "masquerade {cidr}")?;
    }
    if let Some((link, mac)) = &claim.spoof {
        writeln!(out, "spoof {link} {mac}")?;
    }
    if let Some(isolation) = &claim.isolation {
        let icc = if isolation.icc { "icc" } else { "no-icc" };
        write!(out, "isolation {} {} {icc}", isolation.bridge, isolation.class.name())?;
        isolation.uplinks.iter().try_for_each(|link| write!(out, " {link}"))?;
        out.push('\n');
    }
    if let Some(ports) = &claim.ports {
        write_ports(ports, out)?;
    }
    if let Some(forward) = &claim.forward {
        write_forward(forward, out)?;
    }
    if let Some(Passing { bridge, addresses }) = &claim.passing {
        write!(out, "passing {bridge}")?;
        addresses.iter().try_for_each(|address| write!(out, " {address}"))?;
        out.push('\n');
    }
    for Resolver { link, address, port } in &claim.resolvers {
        writeln!(out, "resolver {link} {address} {port}")?;
    }
    for handle in &claim.handles {
        let Handle { family, table, chain, number } = handle;
        writeln!(out, "rule {family} {table} {chain} {number}")?;
    }
    // A file without its last line was torn.
    out.write_str("end\n")
}

fn write_ports(ports: &Ports, out: &mut String) -> fmt::Result {
    let publication = &ports.publication;
    let entrance = ports.entrance.name();
    writeln!(out, "ports {} {entrance}", publication.masquerade.name())?;
    for target in [publication.v4, publication.v6].into_iter().flatten() {
        writeln!(out, "target {target}")?;
    }
    for mapping in &publication.mappings {
        let Mapping { protocol, host, host_port, container_port, count } = mapping;
        writeln!(out, "port {protocol} {host} {host_port} {container_port} {count}")?;
    }
    for (family, list) in [("4", &publication.conditions_v4), ("6", &publication.conditions_v6)] {
        for condition in list {
            writeln!(out, "condition {family} {condition}")?;
        }
    }
    if let Some(link) = &ports.link {
        writeln!(out, "link {link} {}", if ports.link_opened { "opened" } else { "open" })?;
    }
    for Proxied { protocol, host, host_port, proxy_port } in &ports.proxied {
        let host = host.map_or("any".to_owned(), |ip| ip.to_string());
        writeln!(out, "proxied {protocol} {host} {host_port} {proxy_port}")?;
    }
    if let Some(reference) = &ports.reference {
        let chain = reference.set_mark_chain.as_deref().unwrap_or("-");
        writeln!(out, "reference {} {chain}", reference.mark_bit)?;
    }
    Ok(())
}

fn write_forward(forward: &Forward, out: &mut String) -> fmt::Result {
    let (by, name) = match &forward.by {
        Forwarder::Chains(admin) => ("chains", admin.as_str()),
        Forwarder::Firewalld(zone) => ("firewalld", zone.as_str()),
        Forwarder::Nobody => ("nobody", "-"),
    };
    let bridge = forward.bridge.as_ref().map_or("-", IfName::as_str);
    writeln!(out, "forward {by} {name} {} {bridge}", forward.ingress.name())?;
    for address in &forward.addresses {
        writeln!(out, "address {address}")?;
    }
    Ok(())
}

/// The claim in a file; `None` where it is torn, of another layout, or no claim at all.
#[must_use]
pub fn parse(text: &str) -> Option<Claim> {
    let mut lines = text.strip_suffix("end\n")?.lines().take(MOST_LINES);
    if lines.next()? != TITLE {
        return None;
    }
    let mut claim = head(&mut lines)?;
    for line in lines {
        let (word, rest) = line.split_once(' ')?;
        let mut words = Words(rest.split(' '));
        read(&mut claim, word, &mut words)?;
    }
    Some(claim)
}

fn head<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<Claim> {
    let mut words = Words(lines.next()?.strip_prefix("key ")?.split(' '));
    let key =
        Attachment { network: words.value()?, container: words.value()?, ifname: words.value()? };
    let claimant = Claimant::named(lines.next()?.strip_prefix("claimant ")?)?;
    let (inode, rest) = lines.next()?.strip_prefix("netns ")?.split_once(' ')?;
    let (boot, path) = rest.split_once(' ')?;
    let netns_id = NetnsId { inode: inode.parse().ok()?, boot: boot.to_owned() };
    Some(Claim::new(key, claimant, path.to_owned(), netns_id))
}

/// Reads one line into the claim.
fn read(claim: &mut Claim, word: &str, words: &mut Words<'_>) -> Option<()> {
    match word {
        "masquerade" => claim.masquerade.push(words.value()?),
        "spoof" => claim.spoof = Some((words.value()?, words.value()?)),
        "isolation" => {
            let bridge = words.value()?;
            let class = Class::named(words.word()?)?;
            let icc = words.word()? == "icc";
            let uplinks = words.0.by_ref().map(|word| word.parse().ok());
            let uplinks = uplinks.collect::<Option<_>>()?;
            claim.isolation = Some(Isolation { bridge, class, icc, uplinks });
        }
        "ports" => {
            let masquerade = Masquerade::named(words.word()?)?;
            let publication = Publication::of(claim.key.clone(), masquerade);
            let entrance = Entrance::named(words.word()?)?;
            claim.ports = Some(Ports { entrance, ..Ports::of(publication) });
        }
        "forward" => {
            let by = match (words.word()?, words.word()?) {
                ("chains", admin) => Forwarder::Chains(admin.to_owned()),
                ("firewalld", zone) => Forwarder::Firewalld(zone.to_owned()),
                _ => Forwarder::Nobody,
            };
            let ingress = Ingress::named(words.word()?)?;
            let bridge = words.optional()?.map(|name| name.parse()).transpose().ok()?;
            claim.forward = Some(Forward { addresses: Vec::new(), by, ingress, bridge });
        }
        "address" => claim.forward.as_mut()?.addresses.push(words.value()?),
        "passing" => {
            let bridge = words.value()?;
            let addresses = words.0.by_ref().map(|word| word.parse().ok());
            claim.passing = Some(Passing { bridge, addresses: addresses.collect::<Option<_>>()? });
        }
        "resolver" => claim.resolvers.push(Resolver {
            link: words.value()?,
            address: words.value()?,
            port: words.value()?,
        }),
        "rule" => claim.handles.push(Handle {
            family: words.value()?,
            table: words.value()?,
            chain: words.value()?,
            number: words.value()?,
        }),
        _ => read_ports(claim.ports.as_mut()?, word, words)?,
    }
    Some(())
}

fn read_ports(ports: &mut Ports, word: &str, words: &mut Words<'_>) -> Option<()> {
    let publication = &mut ports.publication;
    match word {
        "target" => {
            let target: Cidr = words.value()?;
            match target.family() {
                Family::V4 => publication.v4 = Some(target),
                Family::V6 => publication.v6 = Some(target),
            }
        }
        "port" => publication.mappings.push(Mapping {
            protocol: words.value()?,
            host: words.value()?,
            host_port: words.value()?,
            container_port: words.value()?,
            count: words.value()?,
        }),
        "condition" => match words.word()? {
            "4" => publication.conditions_v4.push(Condition::from_words(&mut words.0)?),
            _ => publication.conditions_v6.push(Condition::from_words(&mut words.0)?),
        },
        "link" => {
            ports.link = Some(words.value()?);
            ports.link_opened = words.word()? == "opened";
        }
        "proxied" => ports.proxied.push(Proxied {
            protocol: words.value()?,
            host: match words.word()? {
                "any" => None,
                ip => Some(ip.parse().ok()?),
            },
            host_port: words.value()?,
            proxy_port: words.value()?,
        }),
        "reference" => {
            let (mark_bit, set_mark_chain) = (words.value()?, words.optional()?);
            // Ours are never led to.
            let linked = Linked::No;
            ports.reference = Some(ReferencePorts { mark_bit, set_mark_chain, linked });
        }
        _ => return None,
    }
    Some(())
}

/// The words of a line after the first.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn value<T: FromStr>(&mut self) -> Option<T> {
        self.word()?.parse().ok()
    }

    /// A text, or none where there is a dash.
    fn optional(&mut self) -> Option<Option<String>> {
        let word = self.word()?;
        Some((word != "-").then(|| word.to_owned()))
    }
}

/// Gives the variants of an enum names in files.
macro_rules! named {
    ($kind:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $kind {
            /// Its name in files and comments.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

named!(Claimant {
    Interface => "interface",
    Portmap => "portmap",
    Firewall => "firewall",
    Names => "names",
});
named!(Ingress { Open => "open", SameBridge => "same-bridge", Isolated => "isolated" });
named!(Masquerade { Nobody => "nobody", Neighbours => "neighbours", All => "all" });
named!(Class {
    Strict => "strict",
    Isolated => "isolated",
    Open => "open",
    Unprotected => "unprotected",
    Routed => "routed",
    Internal => "internal",
    Any => "any",
});
named!(Entrance { Host => "host", Container => "container", Nowhere => "nowhere" });

impl Claimant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Interface, Self::Portmap, Self::Firewall, Self::Names];
}

impl Display for HostAddress {
    /// `any`, `0.0.0.0`, `::` or an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::All(Family::V4) => f.write_str("0.0.0.0"),
            Self::All(Family::V6) => f.write_str("::"),
            Self::One(ip) => write!(f, "{ip}"),
        }
    }
}

impl FromStr for HostAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let ip: IpAddr = text.parse()?;
        Ok(if ip.is_unspecified() { Self::All(Family::of(ip)) } else { Self::One(ip) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Match;

    fn whole() -> Claim {
        let key = Attachment {
            network: "web".parse().unwrap(),
            container: "c1".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        };
        let id = NetnsId { inode: 7, boot: "b".into() };
        let mut claim = Claim::new(key.clone(), Claimant::Portmap, "/run/net ns/c1".into(), id);
        claim.masquerade = vec!["10.1.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()];
        claim.spoof = Some(("veth0".parse().unwrap(), "02:00:00:00:00:01".parse().unwrap()));
        let bridge = "cni0".parse().unwrap();
        let uplinks = vec!["ov-001007".parse().unwrap()];
        let class = Class::Internal;
        claim.isolation = Some(Isolation { bridge, class, icc: false, uplinks });
        let mut publication = Publication::of(key, Masquerade::All);
        publication.v4 = Some("10.1.0.2/24".parse().unwrap());
        let mapping = |host| Mapping {
            protocol: crate::Protocol::Sctp,
            host,
            host_port: 8080,
            container_port: 80,
            count: 1,
        };
        publication.mappings =
            ["any", "0.0.0.0", "::", "192.0.2.1"].map(|host| mapping(host.parse().unwrap())).into();
        let on = [
            Match::Source("10.0.0.0/8".parse().unwrap()),
            Match::Oif("eth+".into()),
            Match::Protocol(6),
        ];
        publication.conditions_v6 =
            on.map(|on| Condition { negated: on == Match::Protocol(6), on }).into();
        let proxied = |host| Proxied {
            protocol: crate::Protocol::Tcp,
            host,
            host_port: 8080,
            proxy_port: 1023,
        };
        claim.ports = Some(Ports {
            publication,
            entrance: Entrance::Container,
            link: Some("cni0".parse().unwrap()),
            link_opened: true,
            proxied: vec![proxied(None), proxied(Some("::1".parse().unwrap()))],
            reference: Some(ReferencePorts {
                mark_bit: 13,
                set_mark_chain: None,
                linked: Linked::No,
            }),
        });
        claim.forward = Some(Forward {
            addresses: vec!["10.1.0.2".parse().unwrap()],
            by: Forwarder::Chains("CNI-ADMIN".into()),
            ingress: Ingress::SameBridge,
            bridge: None,
        });
        claim.passing = Some(Passing {
            bridge: "cni0".parse().unwrap(),
            addresses: vec!["10.1.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        });
        claim.resolvers = ["10.1.0.1", "fd00::1"]
            .map(|ip| Resolver {
                link: "cni0".parse().unwrap(),
                address: ip.parse().unwrap(),
                port: 1021,
            })
            .into();
        let (table, chain) = ("nat".into(), "CNI-HOSTPORT-DNAT".into());
        claim.handles = vec![Handle { family: 2, table, chain, number: 12 }];
        claim
    }

    #[test]
    fn a_claim_comes_back_from_its_file() {
        let claim = whole();
        assert_eq!(parse(&text(&claim)), Some(claim.clone()), "{}", text(&claim));
    }

    #[test]
    fn a_file_of_before_names_is_a_claim_without_any() {
        let written = text(&whole());
        let is_newer = |line: &str| line.starts_with("resolver ") || line.starts_with("passing ");
        let older: Vec<&str> = written.lines().filter(|line| !is_newer(line)).collect();
        let claim = parse(&(older.join("\n") + "\n"));
        assert_eq!(claim, Some(Claim { resolvers: Vec::new(), passing: None, ..whole() }));
    }

    #[test]
    fn a_torn_file_is_no_claim() {
        let whole = text(&whole());
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "cut at {length}");
        }
        assert_eq!(parse(&whole.replace("claim 1", "claim 2")), None);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_no_claim_and_no_panic() {
        let whole = text(&whole());
        for (index, line) in whole.lines().enumerate() {
            for bad in ["", "x", "port", "port tcp any 0 0 0 0", &line[..line.len() - 1]] {
                let mangled: Vec<&str> = whole.lines().collect();
                let mut mangled: Vec<String> = mangled.into_iter().map(str::to_owned).collect();
                mangled[index] = bad.to_owned();
                let _ = parse(&(mangled.join("\n") + "\n"));
            }
        }
    }
}
