//! The store with real etcd in labs, judged by etcd's own command.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on fails, and says where")]

mod admin;
mod blocks;
mod collecting;
mod hosts;
mod names;
mod networks;
mod outages;
mod rights;
mod stage;
