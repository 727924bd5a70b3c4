use std::io;
use std::path::PathBuf;

use cni::code;
use kernel::RequestError;
use kernel::netlink::Error as Cause;
use kernel::sysctl::SysctlError;
use types::{Attachment, IfName, NetworkName};

use crate::Protocol;
use crate::claim::{Claim, Resolver};
use crate::reference::legacy::LegacyError;

/// Why the packet filter could not be changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// The legacy variant of iptables could not be spoken to.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// A switch of the kernel could not be turned.
    #[error(transparent)]
    Switch(#[from] SysctlError),
    /// The right to change things was not to be had.
    #[error("lock {}: {source}", path.display())]
    Lock {
        /// The directory that is the lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of claims cannot be used.
    #[error("{verb} {}: {source}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A port of the host leads to another container.
    #[error("publish {port} of the host for {key}: port is already allocated to {holder}")]
    Taken {
        /// Whose call it was.
        key: Box<Attachment>,
        /// Address, port and protocol.
        port: Box<str>,
        /// Who has it.
        holder: Box<str>,
    },
    /// Another network on the same bridge is kept apart in another way.
    #[error("keep bridge {bridge} apart for {key}: network {other} has it kept apart otherwise")]
    Disagrees {
        /// Whose call it was.
        key: Box<Attachment>,
        /// The bridge.
        bridge: IfName,
        /// The other network.
        other: NetworkName,
    },
    /// Another network has another resolver at the same address of the same bridge.
    #[error(
        "lead names of {place} to the resolver of {key}: network {other} has one at port {port}"
    )]
    OtherResolver {
        /// Whose call it was.
        key: Box<Attachment>,
        /// Address and bridge.
        place: Box<str>,
        /// The other network.
        other: NetworkName,
        /// Where its resolver listens.
        port: u16,
    },
    /// The kernel cannot translate addresses.
    #[error("lead names of a container: {0}")]
    NoNat(#[source] RequestError),
    /// The tables are of another version of cais.
    #[error("use table {table}: it has layout {found}, and this cais writes layout {ours}")]
    Layout {
        /// The table.
        table: String,
        /// Its layout.
        found: u32,
        /// That of this code.
        ours: u32,
    },
    /// A chain of iptables is not what it has to be.
    #[error("use chain {chain}: {why}")]
    Chain {
        /// Family, table and chain.
        chain: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A condition of a published port cannot be a part of an iptables rule.
    #[error("publish ports of {key} on condition `{condition}`: {why}")]
    Condition {
        /// Whose call it was.
        key: Box<Attachment>,
        /// The condition as iptables(8) writes it.
        condition: Box<str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that must not differ does.
    #[error("{0}")]
    Differs(String),
}

impl Error {
    /// A port that is taken; `host` is empty for all addresses.
    pub(crate) fn taken(
        key: &Attachment,
        (host, port, protocol): (Option<std::net::IpAddr>, u16, Protocol),
        holder: &str,
    ) -> Self {
        let host = match host {
            None => String::new(),
            Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:"),
            Some(ip) => format!("{ip}:"),
        };
        let holder = if holder.is_empty() { "somebody unknown" } else { holder };
        Self::Taken {
            key: Box::new(key.clone()),
            port: format!("{host}{port}/{protocol}").into(),
            holder: holder.into(),
        }
    }

    /// A resolver of `claim` that `other` has elsewhere.
    pub(crate) fn other_resolver(claim: &Claim, other: &Claim) -> Self {
        let same = |ours: &Resolver, theirs: &Resolver| {
            (&ours.link, ours.address) == (&theirs.link, theirs.address)
        };
        let theirs =
            other.resolvers.iter().find(|one| claim.resolvers.iter().any(|ours| same(ours, one)));
        Self::OtherResolver {
            key: Box::new(claim.key.clone()),
            place: theirs
                .map_or_else(String::new, |one| format!("{} on {}", one.address, one.link))
                .into(),
            other: other.key.network.clone(),
            port: theirs.map_or(0, |one| one.port),
        }
    }

    /// Whether it is a port that another container has.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }

    fn code(&self) -> u32 {
        match self {
            Self::Refused(error) => match error.source {
                Cause::Timeout(_) | Cause::Interrupted { .. } | Cause::Overrun => code::TRY_AGAIN,
                _ => code::IO,
            },
            Self::Legacy(LegacyError::TooSlow { .. }) => code::TRY_AGAIN,
            Self::Legacy(LegacyError::Name { .. }) => code::INVALID_CONFIG,
            Self::Legacy(_) => code::IO,
            Self::Lock { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
                code::TRY_AGAIN
            }
            Self::Switch(_) | Self::Lock { .. } | Self::File { .. } | Self::Chain { .. } => {
                code::IO
            }
            Self::Condition { .. } => code::INVALID_CONFIG,
            Self::Taken { .. } => code::EXHAUSTED,
            Self::Disagrees { .. } | Self::OtherResolver { .. } => code::INVALID_CONFIG,
            Self::NoNat(_) => code::IO,
            Self::Layout { .. } => code::NOT_AVAILABLE,
            Self::Differs(_) => code::DIFFERS,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused(error) if error.is_unsupported() => {
                "this kernel lacks a part of nf_tables; `cais doctor` and docs/kernels.md name it"
                    .to_owned()
            }
            Self::Refused(error) => return error.hint(),
            Self::Legacy(error) => return error.hint().map(str::to_owned),
            Self::Lock { path, .. } => {
                format!("`fuser {}` names the process that holds it; try again", path.display())
            }
            Self::Switch(_) | Self::File { .. } => return None,
            Self::Taken { .. } => {
                "publish another port, another address of the host, or remove that container; \
                 `cais gc` frees what the dead hold"
                    .to_owned()
            }
            Self::Chain { .. } => {
                "`nft list ruleset` shows it; rename it, since iptables and the reference plugins \
                 need this name, or set \"backend\": \"nftables\""
                    .to_owned()
            }
            Self::Condition { .. } => {
                "see `conditionsV4` and `conditionsV6` of the plugin portmap; each of -s, -d, -i, \
                 -o and -p fits once"
                    .to_owned()
            }
            Self::Disagrees { .. } => {
                "give both networks the same isolate, internal, icc and gatewayMode, or a bridge \
                 each"
                    .to_owned()
            }
            Self::OtherResolver { .. } => {
                "give each network a bridge or a gateway address of its own".to_owned()
            }
            Self::NoNat(_) => {
                "this kernel lacks chains of type nat in nf_tables (CONFIG_NFT_NAT, module \
                 nft_chain_nat); docs/kernels.md names what is needed"
                    .to_owned()
            }
            Self::Layout { .. } => {
                "another version of cais is at work on this host: use the newer one for all calls"
                    .to_owned()
            }
            Self::Differs(_) => {
                "something changed it after ADD; `cais reload` writes it again".to_owned()
            }
        })
    }
}

impl From<Error> for cni::Error {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string()).with_hint_if_any(error.hint())
    }
}
