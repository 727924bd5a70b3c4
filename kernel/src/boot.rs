//! Which boot of the machine this is.

use std::io;

/// The running boot's random id (`/proc/sys/kernel/random/boot_id`, random(4)): 36 characters.
///
/// Kernel objects noted under another id are gone.
///
/// # Errors
/// When `/proc` is not there.
pub fn id() -> io::Result<String> {
    let mut id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    id.truncate(id.trim_end().len());
    Ok(id)
}
