//! The daemon that answers to names of containers, and asks others about the rest.
//!
//! A query is decided upon by [`pipeline`] from the names in [`zone`]; what is nobody's here goes to
//! [`upstream`].
//!
//! Everything here runs on one thread, on tokio's local runtime, so state is shared by `Rc` and `Cell`
//! and there is no lock to hold across an await.

pub mod aardvark;
pub mod arpa;
mod every;
pub mod fuzzing;
pub mod keeper;
pub mod limit;
pub mod link;
pub mod metrics;
pub mod options;
pub mod pipeline;
pub mod sandbox;
pub mod upstream;
pub mod wire;
pub mod worker;
pub mod zone;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// First argument of the process that answers.
pub const WORK: &str = "work";

/// The variable by which the keeper gives that process its options.
const OPTIONS: &str = "CAIS_DNSD_OPTIONS";

/// Answers, with the control socket as standard input and the way to the keeper as standard output,
/// until the keeper ends or says so.
///
/// # Errors
/// When the system refuses what is needed.
pub fn work() -> io::Result<()> {
    keeper::release()?;
    let owner = nix::unistd::geteuid().as_raw();
    let written = std::env::var(OPTIONS).unwrap_or_else(|_| "{}".to_owned());
    let options = options::Options::parse(written.as_bytes()).map_err(io::Error::other)?;
    let control = control::inherited()?;
    let keeper: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(File::open("/dev/null")?)?;
    // Podman without root has it below a directory that is closed to every other user, the worker's.
    let list = File::open(&options.resolv_conf).ok();
    let sandbox = sandbox::confine(&options)?;
    worker::serve(worker::Start {
        control,
        keeper: UnixStream::from(keeper),
        options,
        list,
        sandbox,
        owner,
    })
}
