//! The CNI specification, verb by verb and rule by rule, for every plugin and version.
//!
//! These cases speak JSON and nothing else. Texts are those of the reference skeleton, which people
//! and runtimes search for.

mod args;
mod banner;
mod check;
mod config;
mod del;
mod delegation;
mod environment;
mod errors;
mod gc;
mod netns;
mod prev_result;
mod results;
mod status;
mod versions;
