use cni::{Error, Version, code};
use types::Family;

/// Versions before 0.3.0 know one address a family.
///
/// # Errors
/// Code 7 when `families` has one twice.
pub fn one_address_a_family(
    version: Version,
    families: impl Iterator<Item = Family>,
) -> Result<(), Error> {
    let (v4, v6): (Vec<_>, Vec<_>) = families.partition(|family| *family == Family::V4);
    if version >= Version::V0_3_0 || (v4.len() <= 1 && v6.len() <= 1) {
        return Ok(());
    }
    let text = format!("CNI version {version} does not support more than 1 address per family");
    Err(Error::new(code::INVALID_CONFIG, text).with_hint("set cniVersion to 0.3.0 or later"))
}
