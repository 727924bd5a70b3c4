//! The client's side of the protocol: what a container runtime does with networks.
//!
//! [`directory`] finds a [`NetworkList`] as libcni does, [`Runtime`] runs its plugins and keeps
//! results in [`Cache`], at the place and in the form that libcni, containerd and `cnitool` share:
//!
//! ```no_run
//! use cni::runtime::{Container, Runtime, directory};
//!
//! let runtime = Runtime::new(directory::plugin_dirs());
//! let list = directory::find(&directory::config_dirs(), &"web".parse()?)?;
//! let container = Container::new("c1".parse()?, "eth0".parse()?).in_netns("/run/netns/c1");
//! let result = runtime.add(&list, &container)?;
//! println!("{}", String::from_utf8_lossy(&result));
//! runtime.del(&list, &container)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Beyond libcni it rolls a failed ADD back, goes on with DEL past a plugin that fails, never
//! collects what lives, passes configurations and results on to the letter, has a deadline for
//! every plugin and shows each step to whoever wants to see it.
//!
//! It refuses to make namespaces: a container is whatever path its caller names.

mod base64;
mod cache;
mod capabilities;
mod chain;
mod collect;
pub mod directory;
mod list;
mod lock;
mod negotiate;
mod probe;
mod request;
mod result;
mod step;

pub use cache::{Cache, CachedAttachment};
pub use capabilities::Capabilities;
pub use chain::{Checked, Container, Readiness, Runtime};
pub use collect::{Collection, Valid};
pub use list::{NetworkList, PluginConfig};
pub use probe::{KnownKey, Probe, known_keys, probe, validate};
pub use step::Step;

#[cfg(test)]
mod tests;
