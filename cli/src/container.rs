//! From options and environment to the container that plugins are told of.

use std::fmt::Write as _;
use std::path::Path;

use cni::runtime::{Capabilities, Container};
use cni::{Error, code};
use sha2::{Digest, Sha512};
use types::{ContainerId, IfName};

use crate::args::{Attachment, Values};
use crate::namespace::Place;

/// cnitool's id for a namespace, so that either tool can detach what the other attached.
pub(crate) fn cnitool_id(netns: &Path) -> ContainerId {
    let digest = Sha512::digest(netns.as_os_str().as_encoded_bytes());
    let mut id = "cnitool-".to_owned();
    for byte in &digest[..10] {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id.parse().expect("letters, digits and a hyphen after a letter")
}

/// The container that the options name; `place` gives it its namespace and, unless `--id` does,
/// its id.
pub(crate) fn from_options(
    options: &Attachment,
    place: Option<&Place>,
) -> Result<Container, Error> {
    let id = match (&options.id, place) {
        (Some(id), _) => parse_id(id)?,
        (None, Some(Place { container: Some(id), .. })) => id.clone(),
        (None, Some(place)) => cnitool_id(&place.path),
        (None, None) => {
            return Err(Error::new(code::INVALID_ENVIRONMENT, "neither namespace nor --id given"));
        }
    };
    let mut container = Container::new(id, ifname(options.ifname.as_deref())?);
    container.netns = place.map(|place| place.path.clone());
    container.args = args(&options.values)?;
    container.capabilities = capabilities(&options.values)?;
    Ok(container)
}

/// A container id that somebody wrote.
pub(crate) fn parse_id(id: &str) -> Result<ContainerId, Error> {
    id.parse()
        .map_err(|e| Error::new(code::INVALID_ENVIRONMENT, format!("container id `{id}`: it {e}")))
}

fn ifname(option: Option<&str>) -> Result<IfName, Error> {
    let variable = variable("CNI_IFNAME")?;
    let name = option.or(variable.as_deref()).unwrap_or("eth0");
    name.parse()
        .map_err(|e| Error::new(code::INVALID_ENVIRONMENT, format!("interface `{name}`: {e}")))
}

/// Pairs of `--args`, else of `CNI_ARGS`.
pub(crate) fn args(values: &Values) -> Result<Vec<(String, String)>, Error> {
    let texts = if values.args.is_empty() {
        variable("CNI_ARGS")?.into_iter().collect()
    } else {
        values.args.clone()
    };
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::new(code::INVALID_ENVIRONMENT, format!("args: invalid pair `{text}`"))
            .with_hint("args are KEY=VALUE;KEY=VALUE")),
    };
    texts
        .iter()
        .flat_map(|text| text.split(';'))
        .filter(|text| !text.is_empty())
        .map(pair)
        .collect()
}

/// Values of `CAP_ARGS`, those of `--capability` in front.
pub(crate) fn capabilities(values: &Values) -> Result<Capabilities, Error> {
    let mut all = match variable("CAP_ARGS")? {
        None => Capabilities::default(),
        Some(text) => Capabilities::parse(&text).map_err(|e| e.in_step("read CAP_ARGS"))?,
    };
    for text in &values.capability {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("capability `{text}`: it has no value");
            return Err(Error::new(code::INVALID_ENVIRONMENT, message)
                .with_hint("write NAME=JSON, such as --capability 'ips=[\"10.1.0.7/24\"]'"));
        };
        all.set_text(name, value)?;
    }
    Ok(all)
}

/// An environment variable; empty and unset are the same.
fn variable(name: &str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|v| !v.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(e @ std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(code::INVALID_ENVIRONMENT, format!("variable {name}: {e}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cnitools() {
        let id = cnitool_id(Path::new("/var/run/netns/testing"));
        assert_eq!(id.as_str(), "cnitool-77383ca0a0715733ca6f");
    }

    #[test]
    fn args_are_split_at_semicolons_and_the_first_equals_sign() {
        let values = |args: &[&str]| Values {
            args: args.iter().map(|text| (*text).to_owned()).collect(),
            capability: Vec::new(),
        };
        let pairs = args(&values(&["A=1;B=x=y", "C="])).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x=y"), ("C", "")]);
        for bad in ["A", "=x", "A=1;B"] {
            assert!(args(&values(&[bad])).is_err(), "{bad}");
        }
    }
}
