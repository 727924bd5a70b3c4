//! The store from outside: against a model, beside the reference plugin, killed at any moment.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod behaviour;
mod crash;
mod fixtures;
mod layout;
mod legacy;
mod model;
mod reference;
