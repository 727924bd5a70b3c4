//! What the reference plugins leave on a host, found, removed and written by this crate; judged by
//! nft(8), iptables(8) and those plugins themselves.
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod hostports;
mod legacy;
mod legacy_writing;
mod masquerade;
mod reference;
mod spoof;
