//! What fuzzers feed: everything that comes from a network or a file.

use std::time::Duration;

use crate::config::Spec;
use crate::exchange::{Client, Exchange, Heard, Patience};

/// A frame as it comes from the wire, at each step of a conversation.
pub fn frame(bytes: &[u8]) {
    let mac = types::MacAddr::from_bytes([2, 0, 0, 0, 0, 1]);
    let spec = Spec { provide: Vec::new(), request: Vec::new() };
    let client = Client { mac, spec, broadcast: false };
    let patience = Patience { answer: SECOND, resend_most: SECOND, total: SECOND };
    let mut exchange = Exchange::discover(None, XID, SECOND);
    for _ in 0..2 {
        let _ = exchange.send(&client, &patience, SECOND);
        if let Heard::Granted(lease) = exchange.hear(bytes, &client, SECOND) {
            let _ = lease.result(0);
            assert!(lease.renew_at() <= lease.rebind_at() && lease.rebind_at() <= lease.ends_at());
        }
    }
    if let Some((mac, message)) = crate::frame::decode(bytes)
        && let Some(message) = crate::wire::Message::parse(message)
    {
        let lease = crate::lease::Lease::of(&message, mac, SECOND);
        let _ = lease.result(0);
        assert!(lease.renew_at() <= lease.rebind_at() && lease.rebind_at() <= lease.ends_at());
    }
}

/// A file of a lease.
pub fn entry(bytes: &[u8]) {
    if let Some(entry) = crate::store::parse(bytes)
        && let Some(lease) = entry.what.lease
    {
        let _ = lease.result(0);
    }
}

/// A request on the control socket.
pub fn request(bytes: &[u8]) {
    let _ = serde_json::from_slice::<crate::control::Request>(bytes);
}

const SECOND: Duration = Duration::from_secs(1);
const XID: u32 = 7;
