//! Not yet written.

mod host;
mod loopback;
mod none;
