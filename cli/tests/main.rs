//! The command itself, in labs, with shell scripts and the Go reference plugins as plugins.

#![expect(clippy::unwrap_used, reason = "a step that fails is the failure of its case")]

mod generated;
mod install;
mod lab;
mod run;
mod stage;
mod validate;
mod verbs;
