//! `route_localnet`: whether the host may send from 127.0.0.1 by a link, and take the answers.

use kernel::sysctl::{Key, SysctlError};
use types::IfName;

fn key(link: &IfName) -> Key {
    Key::conf_v4(link, "route_localnet")
}

/// Whether `link` has it off.
#[must_use]
pub fn is_closed(link: &IfName) -> bool {
    key(link).read().is_ok_and(|value| value == "0")
}

/// Turns it on. The table keeps everything else that is from or to 127.0.0.0/8 off the link.
///
/// # Errors
/// When the switch cannot be turned.
pub fn open(link: &IfName) -> Result<(), SysctlError> {
    key(link).write("1")
}

/// Turns it off again. The link may be gone, and its switch with it.
pub(crate) fn close(link: &str) {
    if let Ok(link) = link.parse() {
        let _ = key(&link).write("0");
    }
}
