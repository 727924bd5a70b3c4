//! The keys that keep a network apart: `isolate`, `internal`, `icc` and `gatewayMode`.

use bridges::config::Apart;
use cni::json::Object;
use cni::{Error, code};
use netfilter::Class;

/// Values of `gatewayMode`.
pub(crate) const GATEWAY_MODES: &[&str] = &["nat", "nat-unprotected", "routed", "isolated"];

/// The keys as they were written; each `None` where it was not.
struct Written {
    isolate: Option<String>,
    internal: Option<bool>,
    icc: Option<bool>,
    gateway: Option<String>,
}

/// Reads the keys. Without any of them the network is left alone.
///
/// # Errors
/// Codes 6 and 7, the key named and its value quoted; 7 where two keys exclude each other.
pub(crate) fn parse(keys: &Object<'_>) -> Result<Option<Apart>, Error> {
    let flag = |key| keys.get(key).map(|value| value.boolean()).transpose();
    let written = Written {
        isolate: isolate(keys)?,
        internal: flag("internal")?,
        icc: flag("icc")?,
        gateway: gateway_mode(keys)?,
    };
    written.refuse_contradictions(keys)?;
    Ok(written.apart())
}

impl Written {
    fn apart(&self) -> Option<Apart> {
        let icc = self.icc.unwrap_or(true);
        let class = match (self.gateway.as_deref(), self.isolate.as_deref()) {
            _ if self.is_internal() => Class::Internal,
            (Some("routed"), _) => Class::Routed,
            (Some("nat-unprotected"), _) => Class::Unprotected,
            (_, Some("true")) => Class::Isolated,
            (_, Some("false")) => Class::Open,
            (None, None) if icc => return None,
            (None, None) => Class::Any,
            _ => Class::Strict,
        };
        Some(Apart { class, icc })
    }

    fn is_internal(&self) -> bool {
        self.internal == Some(true) || self.gateway.as_deref() == Some("isolated")
    }

    /// What the four say must not differ, and not what other keys say of the way out either.
    fn refuse_contradictions(&self, keys: &Object<'_>) -> Result<(), Error> {
        let gateway = self.gateway.as_deref().map(|mode| format!("gatewayMode {mode}"));
        let isolate = self.isolate.as_deref().map(|value| format!("isolate {value}"));
        // `strict` is what internal and routed networks are towards others in any case.
        let isolate_with_others = isolate.as_deref().filter(|text| *text != "isolate strict");
        let is = |mode: &str| self.gateway.as_deref() == Some(mode);
        let closed = match (self.internal, &gateway) {
            (Some(true), _) => Some("internal"),
            _ if is("isolated") => Some("gatewayMode isolated"),
            _ => None,
        };
        if is("isolated") && self.internal == Some(false) {
            return excluded("internal false", "gatewayMode isolated", "nothing comes in or out");
        }
        if let (Some(true), Some(mode)) = (self.internal, &gateway)
            && !is("isolated")
        {
            return excluded(mode, "internal", "nothing comes in");
        }
        if let (Some(closed), Some(isolate)) = (closed, isolate_with_others) {
            return excluded(isolate, closed, "no other network comes in");
        }
        if let (true, Some(isolate)) = (is("routed"), isolate_with_others) {
            return excluded(isolate, "gatewayMode routed", "others reach published ports alone");
        }
        if let (true, Some(isolate)) = (is("nat-unprotected"), &isolate) {
            let why = "other networks are kept out and all else comes in";
            return excluded(isolate, "gatewayMode nat-unprotected", why);
        }
        let routed = is("routed").then_some("gatewayMode routed");
        if let Some(mode) = closed.or(routed)
            && keys.flag("ipMasq")?
        {
            return excluded("ipMasq", mode, "nothing is to be masqueraded");
        }
        if let Some(closed) = closed
            && keys.flag("isDefaultGateway")?
        {
            return excluded("isDefaultGateway", closed, "no route leads out");
        }
        if is("isolated") && keys.flag("isGateway")? {
            return excluded("isGateway", "gatewayMode isolated", "the bridge has no address");
        }
        Ok(())
    }
}

fn excluded(one: &str, other: &str, why: &str) -> Result<(), Error> {
    Err(Error::new(code::INVALID_CONFIG, format!("cannot use {one} with {other}: {why}"))
        .with_hint("leave one of them out; docs/plugins/bridge.md says what goes together"))
}

/// A flag or `strict`; texts are taken for the flags they spell, as in options of other programs.
fn isolate(keys: &Object<'_>) -> Result<Option<String>, Error> {
    let Some(value) = keys.get("isolate") else { return Ok(None) };
    let text = match value.raw().get() {
        flag @ ("true" | "false") => flag.to_owned(),
        _ => value.string()?,
    };
    match text.as_str() {
        "" => Ok(None),
        "strict" | "true" | "false" => Ok(Some(text)),
        other => Err(value
            .invalid(format!("\"{other}\" is none of strict, true, false"))
            .with_hint("isolate is strict, true or false")),
    }
}

fn gateway_mode(keys: &Object<'_>) -> Result<Option<String>, Error> {
    let Some(value) = keys.get("gatewayMode") else { return Ok(None) };
    let text = value.string()?;
    match text.as_str() {
        "" => Ok(None),
        known if GATEWAY_MODES.contains(&known) => Ok(Some(text)),
        other => Err(value.invalid(format!("\"{other}\" is none of {}", GATEWAY_MODES.join(", ")))),
    }
}
