//! How the network is kept apart from others: `internal`, `icc`, `isolate` and the gateway modes.

use bridges::config::Apart;
use cni::{Error, code};
use netfilter::Class;
use types::Family;

use crate::given::Given;
use crate::keys::GATEWAY_MODES;

/// What the keys say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) apart: Apart,
    /// Whether the bridge has the gateways' addresses.
    pub(crate) has_gateway: bool,
    /// Whether what leaves the network is masqueraded.
    pub(crate) masquerade: bool,
}

/// Reads the keys for a network of `families`.
///
/// # Errors
/// Codes 6 and 7; 7 where two keys exclude each other.
pub(crate) fn read(given: &Given<'_>, families: &[Family]) -> Result<Kept, Error> {
    let mode = mode(given, families)?;
    let internal = given.flag("internal")?;
    let isolate = given.word("isolate", &["true", "false", "strict"])?;
    let icc = given.flag("icc")?.unwrap_or(true);
    let masquerade = given.flag("ipMasq")?;
    let mode = mode.as_deref();
    match (mode, internal) {
        (Some("isolated"), Some(false)) => {
            return excluded("internal false", "gatewayMode isolated", "nothing comes in or out");
        }
        (Some(mode @ ("nat-unprotected" | "routed")), Some(true)) => {
            return excluded(&format!("gatewayMode {mode}"), "internal", "nothing comes in");
        }
        _ => {}
    }
    let is_internal = internal == Some(true) || mode == Some("isolated");
    let class = match (mode, isolate.as_deref()) {
        _ if is_internal => Class::Internal,
        (Some("routed"), _) => Class::Routed,
        (Some("nat-unprotected"), _) => Class::Unprotected,
        (_, Some("true")) => Class::Isolated,
        (_, Some("false")) => Class::Open,
        _ => Class::Strict,
    };
    let name = match class {
        Class::Internal => "internal",
        Class::Routed => "gatewayMode routed",
        Class::Unprotected => "gatewayMode nat-unprotected",
        _ => "",
    };
    if let (false, Some(isolate @ ("true" | "false"))) = (name.is_empty(), isolate.as_deref()) {
        return excluded(&format!("isolate {isolate}"), name, "that says what comes in");
    }
    let never = matches!(class, Class::Internal | Class::Routed);
    if never && masquerade == Some(true) {
        return excluded("ipMasq", name, "nothing is to be masqueraded");
    }
    Ok(Kept {
        apart: Apart { class, icc },
        has_gateway: mode != Some("isolated"),
        masquerade: masquerade.unwrap_or(!never),
    })
}

/// The mode of all `families`: what comes into a network is the same for both.
fn mode(given: &Given<'_>, families: &[Family]) -> Result<Option<String>, Error> {
    let both = given.word("gatewayMode", GATEWAY_MODES)?;
    let of = |key| Ok::<_, Error>(given.word(key, GATEWAY_MODES)?.or_else(|| both.clone()));
    let (v4, v6) = (of("gatewayMode4")?, of("gatewayMode6")?);
    let has = |family| families.contains(&family);
    match (has(Family::V4), has(Family::V6)) {
        (true, false) => Ok(v4),
        (false, true) => Ok(v6),
        _ => {
            let usual = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "nat".to_owned());
            if usual(&v4) == usual(&v6) {
                return Ok(v4.or(v6));
            }
            let text = format!(
                "key \"gatewayMode6\": {} for IPv6 and {} for IPv4 cannot be had in one network",
                usual(&v6),
                usual(&v4)
            );
            Err(Error::new(code::INVALID_CONFIG, text)
                .with_hint("give both families one mode, or each a network"))
        }
    }
}

fn excluded<T>(one: &str, other: &str, why: &str) -> Result<T, Error> {
    Err(Error::new(code::INVALID_CONFIG, format!("cannot use {one} with {other}: {why}"))
        .with_hint("leave one of them out; docs/plugins/user-bridge.md says what goes together"))
}
