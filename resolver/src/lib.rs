//! The daemon that answers to names of containers, and asks others about the rest.

pub mod arpa;
pub mod limit;
pub mod metrics;
pub mod pipeline;
pub mod wire;
pub mod zone;
