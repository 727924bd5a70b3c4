//! The layouts of the reference plugins, judged by iptables(8), by the Go plugins and by packets.
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod ground;

mod firewall;
mod masquerade;
mod others;
mod portmap;
mod tidying;
