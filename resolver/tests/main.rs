//! The daemon in labs, started as plugins start it.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on fails, and says where")]

mod aardvark;
mod lifecycle;
mod options;
mod stage;
mod sweep;
mod systemd;
mod upgrade;
mod upstream;
