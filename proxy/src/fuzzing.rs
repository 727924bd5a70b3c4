//! The one door for fuzzers: what is private and reads what comes from outside.

use crate::message::{Reply, Request};

/// Reads `bytes` as a request and as a reply. Must not panic, whatever they hold; what was read and
/// is written again must be read as the same.
pub fn message(bytes: &[u8]) {
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(Request::parse(&request.encode()), Ok(request));
    }
    if let Ok(reply) = Reply::parse(bytes) {
        assert_eq!(Reply::parse(&reply.encode()), Ok(reply));
    }
}
