//! The one door for fuzzers: what is private and reads what comes from outside.

use crate::link::{ToKeeper, ToWorker};
pub use crate::upstream::fuzzing::{reply, resolv_conf};

/// Reads `bytes` as what the two processes of the daemon say to each other. Must not panic, whatever
/// they hold; what was read and is written again must be read as the same.
pub fn link(bytes: &[u8]) {
    if let Ok(message) = ToWorker::parse(bytes) {
        assert_eq!(ToWorker::parse(&message.encode()), Ok(message));
    }
    if let Ok(message) = ToKeeper::parse(bytes) {
        assert_eq!(ToKeeper::parse(&message.encode()), Ok(message));
    }
}
