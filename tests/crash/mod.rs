//! What is left when a plugin is killed or panics in the middle of its work, and what the next call
//! makes of it.

mod cold;
mod kills;
mod panics;
pub(crate) mod points;
mod scene;
mod unreaped;
