//! What containers ask at port 53 gets to the resolver of their network: judged by packets, nft(8)
//! and iptables(8).
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod ground;

mod claims;
mod container;

mod input;
mod redirect;
