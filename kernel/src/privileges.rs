//! Giving up what a process may do.

use std::io;

use nix::sys::prctl;

use crate::sys;

/// Gives up all capabilities of the calling thread, which must be the only one, and the right to
/// get any back by running a program. See capabilities(7) and `PR_SET_NO_NEW_PRIVS` in prctl(2).
///
/// # Errors
/// What the kernel says; the process may then still have some.
pub fn drop_all() -> io::Result<()> {
    prctl::set_no_new_privs()?;
    sys::drop_capabilities()
}
