//! What the reference plugins write, in their own layout.

pub mod names;
