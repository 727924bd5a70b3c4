//! Whether a container really runs in the host's network namespace.

use std::env;

use attach::error::no_netns;
use cni::{Call, Error, code};
use kernel::netns::Netns;
use kernel::sysctl::Key;

use crate::claim::WildcardV6;

/// Set by a runtime that knows better what the host's namespace is.
const OVERRIDE: &str = "CNI_NETNS_OVERRIDE";

/// The host's network namespace, as the call named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostNetns {
    /// Its inode. The table keeps it, since a port of one namespace says nothing about another.
    pub(crate) inode: u64,
}

impl HostNetns {
    /// The namespace that `CNI_NETNS` leads to, which must be the plugin's own.
    ///
    /// With `CNI_NETNS_OVERRIDE` any namespace is taken at the runtime's word: that switches the
    /// comparison of the two off in every plugin. An agent in a container of its own needs it.
    pub(crate) fn of(call: &Call) -> Result<Self, Error> {
        let named =
            Netns::open(call.netns.clone().unwrap_or_default()).map_err(|e| no_netns(&e))?;
        let unreadable = |e: std::io::Error| {
            Error::new(code::IO, format!("examine {}: {e}", named.path().display()))
        };
        if !is_overridden() && !named.same_as(&own()?).map_err(unreadable)? {
            return Err(foreign(call));
        }
        Ok(Self { inode: named.inode().map_err(unreadable)? })
    }
}

/// The plugin's own namespace.
pub(crate) fn own() -> Result<Netns, Error> {
    Netns::current().map_err(|e| Error::new(code::IO, e.to_string()).with_hint("mount /proc"))
}

/// What the kernel binds for `::` in the host's namespace, unless a program says otherwise.
pub(crate) fn wildcard_v6() -> WildcardV6 {
    let only = Key::net("ipv6/bindv6only").and_then(|key| key.read().ok());
    if only.is_some_and(|value| value == "0") { WildcardV6::Both } else { WildcardV6::Only }
}

fn foreign(call: &Call) -> Error {
    let text = format!(
        "attach {} to the host's network: CNI_NETNS={} is not the host's network namespace; the \
         runtime made one of its own",
        call.attachment,
        call.sandbox()
    );
    Error::new(code::INVALID_CONFIG, text).with_hint(
        "start the container in the host's namespace: `podman run --network host`, `hostNetwork: \
         true` in a Pod, `ctr run --net-host` without `--cni`; or give it another network",
    )
}

fn is_overridden() -> bool {
    env::var(OVERRIDE).is_ok_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
}
