//! What every plugin asks of the result of those before it in the list.

use cni::{AddResult, Config, Error, Version, code};

/// The result of the plugins before `plugin`, which has to be there.
///
/// # Errors
/// Code 6 when it is no result, code 7 when there is none or none that can be answered with.
pub fn prev_result(network: &Config, plugin: &str) -> Result<AddResult, Error> {
    let Some(result) = network.prev_result()? else {
        // The reference's words.
        let hint = format!(
            "{plugin} works on what an earlier plugin made: put it behind one, in a list of plugins"
        );
        let error = Error::new(code::INVALID_CONFIG, "Required prevResult missing");
        return Err(error.with_hint(&hint));
    };
    if network.version() < Version::V0_3_0 && result.ips.is_empty() {
        let text =
            format!("key \"prevResult\": version {} cannot say \"no address\"", network.version());
        return Err(
            Error::new(code::INVALID_CONFIG, text).with_hint("set cniVersion to 0.3.1 or later")
        );
    }
    Ok(result)
}
