//! The kernel's refusals in the protocol's terms: codes by who can act.

use cni::{Error, code};
use kernel::RequestError;
use kernel::netlink::Error as Cause;
use kernel::netns::NetnsError;

/// A refused netlink request: code 11 where waiting may help, else 5 for the node's operator.
#[must_use]
pub fn refused(error: &RequestError) -> Error {
    let code = match error.source {
        Cause::Timeout(_) | Cause::Interrupted { .. } | Cause::Overrun => code::TRY_AGAIN,
        _ => code::IO,
    };
    // Its text has the cause already.
    Error::new(code, error.to_string()).with_hint_if_any(error.hint())
}

/// A namespace that cannot be used: code 4 and the variable that named it.
#[must_use]
pub fn no_netns(error: &NetnsError) -> Error {
    let code = if error.is_gone() { code::INVALID_ENVIRONMENT } else { code::IO };
    Error::new(code, error.to_string())
        .with_hint("CNI_NETNS must be the path of the container's network namespace")
}
