//! Acting as `aardvark-dns`, which netavark starts for the networks of Podman: the same directory,
//! the same signals, our answers.

mod args;
mod files;
mod process;

pub use args::{Args, Verb};
pub use files::{Network, read};
pub use process::{run, serve};

/// Set for the process that stays, by the one that waits until it answers.
pub const STAYS: &str = "CAIS_AARDVARK_STAYS";

/// What the process that stays writes once it answers.
const READY: &[u8] = b"ready\n";
