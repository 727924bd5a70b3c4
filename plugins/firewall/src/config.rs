//! What the user wrote: who lets the container's packets through, and which.

use cni::schema::{Key, Kind};
use cni::{AddResult, Config as Network, Error, code};
use firewalld::Zone;
use forwarded::apply::ZONE;
use forwarded::{Backend, Wanted};
use netfilter::claim::ADMIN_CHAIN;
use netfilter::claim::Ingress;
use types::IfName;

/// Everything that `firewall` reads of a network configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who lets packets through.
    pub backend: Backend,
    /// The administrator's chain among the reference's.
    pub admin_chain: String,
    /// firewalld's zone for the containers' addresses.
    pub zone: Zone,
    /// Traffic between bridges.
    pub ingress: Ingress,
    /// The result of the plugins before this one; `None` where there is none.
    pub result: Option<AddResult>,
}

/// The keys of `firewall`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        path: "backend",
        kind: Kind::Text,
        default: "firewalld where it runs, else iptables",
        doc: "Who lets the container's packets through: iptables (the reference's chains, written whatever the policy of FORWARD is), firewalld, or nftables (nobody: only the table inet cais). Any other value chooses.",
    },
    Key {
        path: "iptablesAdminChainName",
        kind: Kind::Text,
        default: "CNI-ADMIN",
        doc: "Chain of the administrator, which every packet of a container passes first. It is made where it is missing and never changed.",
    },
    Key {
        path: "firewalldZone",
        kind: Kind::Text,
        default: "trusted",
        doc: "Zone of firewalld for the container's addresses.",
    },
    Key {
        path: "ingressPolicy",
        kind: Kind::OneOf(&["open", "same-bridge", "isolated"]),
        default: "open",
        doc: "What reaches the container from other bridges with a policy: all, nothing, or nothing and not from its neighbours either.",
    },
];

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub fn parse(network: &Network) -> Result<Self, Error> {
        let keys = network.object()?;
        let text = |key: &str| Ok::<_, Error>(keys.string(key)?.filter(|text| !text.is_empty()));
        let backend = match text("backend")?.as_deref() {
            Some("iptables") => Backend::Chains,
            Some("firewalld") => Backend::Firewalld,
            Some("nftables") => Backend::Nobody,
            _ => Backend::Chosen,
        };
        let admin_chain = text("iptablesAdminChainName")?.unwrap_or_else(|| ADMIN_CHAIN.into());
        let invalid = |key: &str, why: String| {
            Error::new(code::INVALID_CONFIG, format!("key \"{key}\": {why}"))
        };
        if !is_chain(&admin_chain) {
            let why = format!("\"{admin_chain}\" is no name of a chain");
            return Err(invalid("iptablesAdminChainName", why)
                .with_hint("at most 28 letters, digits and signs, and none of the reference's"));
        }
        let zone = text("firewalldZone")?.unwrap_or_else(|| ZONE.into());
        let zone = zone.parse().map_err(|why| invalid("firewalldZone", format!("{why}")))?;
        let ingress = match text("ingressPolicy")?.as_deref() {
            None | Some("open") => Ingress::Open,
            Some("same-bridge") => Ingress::SameBridge,
            Some("isolated") => Ingress::Isolated,
            Some(other) => {
                let why = format!("unknown ingress policy: \"{other}\"");
                return Err(
                    invalid("ingressPolicy", why).with_hint("use open, same-bridge or isolated")
                );
            }
        };
        Ok(Self { backend, admin_chain, zone, ingress, result: network.prev_result()? })
    }

    /// What is to be let through.
    ///
    /// # Errors
    /// As [`Self::bridge`].
    pub fn wanted(&self) -> Result<Wanted, Error> {
        Ok(Wanted {
            backend: self.backend,
            admin_chain: self.admin_chain.clone(),
            zone: self.zone.clone(),
            ingress: self.ingress,
            bridge: self.bridge()?,
        })
    }

    /// The bridge that `ingressPolicy` is about: the first interface of the result.
    ///
    /// # Errors
    /// Code 7 where there is a policy and no such interface.
    pub fn bridge(&self) -> Result<Option<IfName>, Error> {
        if self.ingress == Ingress::Open {
            return Ok(None);
        }
        let first = self.result.as_ref().and_then(|result| result.interfaces.first());
        let name = first.and_then(|link| link.name.parse().ok());
        name.map(Some).ok_or_else(|| {
            let text = "key \"ingressPolicy\": the result of the plugins before has no bridge";
            Error::new(code::INVALID_CONFIG, text)
                .with_hint("firewall with a policy comes after bridge")
        })
    }
}

/// Whether iptables takes it as name of a chain of a user.
fn is_chain(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic();
    let reserved =
        ["FORWARD", "INPUT", "OUTPUT", "ACCEPT", "DROP", "RETURN", "REJECT", "CNI-FORWARD"];
    name.len() <= 28
        && name.bytes().all(sound)
        && !name.starts_with(['-', '!'])
        && !reserved.contains(&name)
        && !name.starts_with("CNI-ISOLATION-STAGE-")
}
