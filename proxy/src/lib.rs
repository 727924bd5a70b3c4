//! Published ports on the two paths that the kernel's NAT cannot serve: `[::1]` on the host, and
//! IPv6 clients of a container that has only IPv4.
//!
//! One process for all published ports of a host, `cais-proxy`, takes connections and datagrams and
//! passes them on from the host's namespace, so the container sees the host as its client. It is
//! started by the first [`Client::serve`] and ends with the last [`Client::drop`]. Whoever publishes
//! a port makes the listening socket, and the process needs no privilege of its own:
//!
//! ```no_run
//! use std::net::Ipv6Addr;
//! use std::path::{Path, PathBuf};
//! use proxy::{Client, Protocol, listen};
//!
//! let key = types::Attachment {
//!     network: "web".parse()?,
//!     container: "c1".parse()?,
//!     ifname: "eth0".parse()?,
//! };
//! let plugins = [PathBuf::from("/opt/cni/bin")];
//! let client = Client::new(Path::new("/run/cais"), &plugins);
//! let listener = listen(Protocol::Tcp, Ipv6Addr::LOCALHOST, 0)?;
//! println!("redirect [::1]:8080 to port {}", listener.port());
//! client.serve(&key, vec![listener.lead_to("10.22.0.2:80".parse()?)])?;
//! client.drop(&key)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows neither nftables nor netlink, and keeps nothing on disk but its socket and lock.

mod client;
pub mod daemon;
#[doc(hidden)]
pub mod fuzzing;
mod listener;
mod mapping;
mod message;
mod published;

pub use client::{Client, Served};
pub use listener::{Listener, Offer, listen};
pub use mapping::{BadProtocol, Mapping, Protocol};
pub use published::serve_published;

/// File name of the program, beside the plugins.
pub const PROGRAM: &str = "cais-proxy";

/// The daemon.
const DAEMON: control::Daemon = control::Daemon { program: PROGRAM };

/// Name of the control socket in the run directory.
const SOCKET: &str = "proxy.sock";

/// An error of the system, with what was tried before it.
fn failed(step: impl std::fmt::Display, error: impl std::fmt::Display) -> cni::Error {
    cni::Error::new(cni::code::IO, format!("{step}: {error}"))
}
