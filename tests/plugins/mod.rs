//! Not yet written.

mod example;
mod host;
mod loopback;
mod none;
