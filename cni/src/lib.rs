//! The Container Network Interface protocol, free of kernel code.
//!
//! A plugin is a unit struct that implements [`Plugin`]; its `main.rs` hands it to [`run`], which
//! owns environment, standard input, version negotiation, output, exit code, the guard against
//! working in the caller's own network namespace, the call log and turning a panic into an error
//! object:
//!
//! ```no_run
//! use cni::{AddResult, Call, Error, NetworkCall, Plugin};
//!
//! struct Nothing;
//!
//! impl Plugin for Nothing {
//!     fn name(&self) -> &'static str { "nothing" }
//!     fn add(&self, call: &Call) -> Result<AddResult, Error> {
//!         Ok(call.config.prev_result()?.unwrap_or_default())
//!     }
//!     fn del(&self, _: &Call) -> Result<(), Error> { Ok(()) }
//!     fn check(&self, _: &Call) -> Result<(), Error> { Ok(()) }
//!     fn gc(&self, _: &NetworkCall) -> Result<(), Error> { Ok(()) }
//!     fn status(&self, _: &NetworkCall) -> Result<(), Error> { Ok(()) }
//! }
//!
//! cni::program!(cni::run(&Nothing));
//! ```
//!
//! This crate never opens a netlink socket and never knows what a bridge is.

mod args;
mod config;
mod error;
pub mod exec;
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
pub mod keyed;
mod log;
pub use log::warn;
mod plugin;
pub mod record;
mod request;
mod result;
mod runner;
pub mod runtime;
pub mod schema;
pub mod state;
mod version;

pub use args::Args;
pub use config::{Config, GcAttachment};
pub use error::{Error, code};
pub use plugin::{Call, NetworkCall, OwnNetns, Plugin};
pub use result::{AddResult, Dns, Interface, Ip, ResultShape, Route};
pub use runner::{run, run_by_name};

#[doc(hidden)]
pub use dlmalloc::GlobalDlmalloc;

/// The `main` of a plugin's program, which serves its call by the given expression.
///
/// It allocates by dlmalloc: musl's own allocator asks the kernel for nearly each page and gives it
/// back at once, which was a sixth of what an ADD costs.
#[macro_export]
macro_rules! program {
    ($serve:expr) => {
        #[global_allocator]
        static ALLOCATOR: $crate::GlobalDlmalloc = $crate::GlobalDlmalloc;

        fn main() -> ::std::process::ExitCode {
            $serve
        }
    };
}
pub use version::Version;
