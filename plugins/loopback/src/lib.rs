//! Sets `lo` up in a container's namespace, as the reference plugin `loopback` does.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "lo", "plugins": [{"type": "loopback"}]}
//! ```
//!
//! It takes no key of its own and ignores `CNI_IFNAME`: the link is always `lo`. Container engines
//! call it beside another plugin for the same namespace, at the same time, so it touches nothing
//! but `lo` and assumes nothing about other links. It refuses an `lo` with an address that is not a
//! loopback one.

use attach::lo;
use cni::schema::Key;
use cni::{AddResult, Call, Config, Error, NetworkCall, Plugin, ResultShape};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Loopback;

impl Plugin for Loopback {
    fn name(&self) -> &'static str {
        "loopback"
    }

    /// None beside those of every plugin.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    fn validate(&self, config: &Config) -> Result<(), Error> {
        config.prev_result().map(drop)
    }

    fn result_shape(&self, call: &Call) -> ResultShape {
        shape(&call.config)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let previous = call.config.prev_result()?;
        let addresses = lo::set_up(&lo::enter(call)?)?;
        Ok(previous.unwrap_or_else(|| lo::result(&addresses, call.sandbox())))
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        match lo::enter_if_there(call)? {
            Some(socket) => lo::set_down(&socket),
            None => Ok(()),
        }
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        lo::check_up(&lo::enter(call)?).map(drop)
    }

    /// Nothing is kept outside of the container's namespace.
    fn gc(&self, _: &NetworkCall) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self, _: &NetworkCall) -> Result<(), Error> {
        lo::status()
    }
}

/// The reference prints a result of its own in the newest shape under whatever version the
/// configuration names, and containerd has got used to it. What it passes through, and what it
/// prints for a configuration that names no version at all, has the shape of the version.
fn shape(config: &Config) -> ResultShape {
    let newest = || -> Result<bool, Error> {
        let object = config.object()?;
        let names_version = object.string("cniVersion")?.is_some_and(|text| !text.is_empty());
        Ok(names_version && object.get("prevResult").is_none())
    };
    match newest() {
        Ok(true) => ResultShape::Newest,
        _ => ResultShape::OfVersion,
    }
}

#[cfg(test)]
mod tests;
