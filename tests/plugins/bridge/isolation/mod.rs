//! Networks kept apart: `isolate`, `internal`, `icc`, `gatewayMode`.

mod change;
mod icc;
mod keys;
mod matrix;
mod modes;
mod probe;
mod town;
