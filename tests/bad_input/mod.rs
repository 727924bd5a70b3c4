//! What no runtime should send, generated: each key of each plugin's own schema and each variable,
//! with every kind of wrong value.
//!
//! Each is either taken, and then DEL cleans up after it, or refused with the code of whoever can
//! act, in words that name the key or the variable. Nothing of the host changes, no plugin panics
//! and none hangs.

mod command;
mod document;
mod environment;
mod judge;
mod keys;
mod schema;
mod stdin;
mod values;
