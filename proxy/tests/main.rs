//! The proxy between real namespaces: a host with IPv6, and a container that has only IPv4.
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod stage;

mod control;
mod datagrams;
mod lifecycle;
mod limits;
mod redirects;
mod streams;
