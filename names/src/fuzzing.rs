//! The one door for fuzzers: what reads what comes from outside.

use crate::message::{Reply, Request};
use crate::record::Record;

/// Reads `bytes` as a request, as a reply and as a record. Must not panic, whatever they hold; what
/// was read and is written again must be read as the same.
///
/// # Panics
/// When it is not.
pub fn message(bytes: &[u8]) {
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(Request::parse(&request.encode()), Ok(request));
    }
    if let Ok(reply) = Reply::parse(bytes) {
        assert_eq!(Reply::parse(&reply.encode()), Ok(reply));
    }
    if let Ok(record) = Record::parse(bytes) {
        assert_eq!(Record::parse(record.encode().as_bytes()), Ok(record));
    }
}
