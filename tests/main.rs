//! Everything that is tested about the built programs, in one binary.
//!
//! Cases run in labs (crate `netns-fixtures`), speak JSON and judge with iproute2 and nft. They run
//! on our own plugins, or on those of the directory in `CAIS_TEST_BIN`: a claim that the reference
//! plugins do not keep is wrong, or says why at the place where it is made ([`under_test`]).

#![allow(clippy::unwrap_used, reason = "a case that cannot go on fails, and says where")]

#[macro_use]
mod battery;
mod bad_input;
mod chain;
mod conformance;
mod crash;
mod dns;
mod echo;
mod equality;
mod fake;
mod filter;
mod migration;
mod overlay;
mod plugins;
mod runtimes;
mod swap;
mod turns;
mod under_test;
mod units;
mod uplink;
