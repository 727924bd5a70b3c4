//! What the plugins before this one in a list made: its master, and its addresses where no IPAM
//! plugin gives any.

use attach::ipam::Addresses;
use cni::{AddResult, Call, Error, code};
use types::IfName;

/// The addresses and routes of an earlier plugin, which releases them itself.
pub(crate) struct Previous(AddResult);

impl Previous {
    /// Those of `result`.
    ///
    /// # Errors
    /// Code 7 when there are none.
    pub(crate) fn of(result: Option<AddResult>) -> Result<Self, Error> {
        match result.filter(|result| !result.ips.is_empty()) {
            Some(result) => Ok(Self(result)),
            None => Err(Error::new(
                code::INVALID_CONFIG,
                "key \"ipam.type\" is missing, and there is no prevResult with addresses",
            )
            .with_hint("name an IPAM plugin, or put ipvlan after a plugin that gives addresses")),
        }
    }
}

impl Addresses for Previous {
    fn add(&self, _: &Call) -> Result<AddResult, Error> {
        Ok(self.0.clone())
    }

    fn del(&self, _: &Call) -> Result<(), Error> {
        Ok(())
    }

    fn is_in_process(&self) -> bool {
        true
    }
}

/// The only interface of `result`.
///
/// # Errors
/// Code 7 when it has several, or none with a name.
pub(crate) fn master(result: &AddResult) -> Result<IfName, Error> {
    let failed = |why: String| {
        Error::new(code::INVALID_CONFIG, format!("key \"master\" is missing, and {why}"))
            .with_hint("name a link in \"master\"")
    };
    match &result.interfaces[..] {
        [only] => only.name.parse().map_err(|why| {
            failed(format!("the interface \"{}\" of prevResult cannot be it: {why}", only.name))
        }),
        several => Err(failed(format!(
            "prevResult lacks a single named interface: it has {}",
            several.len()
        ))),
    }
}
