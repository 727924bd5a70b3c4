//! What every plugin does that gives a container names: its keys, where containers ask, the steps
//! of ADD with their inverses, and taking back, comparing and sweeping what they made.
//!
//! | verb | in the host's namespace | in the container's |
//! |---|---|---|
//! | ADD | [`record()`], [`register()`], [`claim`] and [`redirect`] | [`lead`] |
//! | DEL | `netfilter::Filter::remove` | [`take_back`], then [`forget`] |
//! | CHECK | [`known`], `netfilter::Filter::check` | [`led`] |
//! | GC | [`sweep`], `netfilter::Filter::sweep` | |
//! | STATUS | [`available`] | |
//!
//! A plugin that makes the bridge itself has all of ADD in [`Joining`], and of CHECK in [`joined`].
//!
//! Nothing leads to a port at which nobody listens: [`register()`] comes first.
//!
//! This crate does not know how questions are answered.

mod check;
pub mod doors;
mod joining;
mod plan;
mod register;
mod remove;
mod settings;
mod status;
#[cfg(test)]
mod tests;

pub use check::{joined, known, led};
pub use joining::Joining;
pub use plan::{record, record_on_bridge, sandbox};
pub use register::{begin, claim, lead, redirect, register};
pub use remove::{forget, sweep, take_back};
pub use settings::{KEYS, Required, Resolver, Settings};
pub use status::available;
