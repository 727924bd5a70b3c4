//! What fuzzers reach of this module by [`crate::fuzzing`].

use std::rc::Rc;

use tokio::time::Instant;

use super::ResolvConf;
use super::cache::{Cache, Verdict};
use super::wire::{Judged, OWN_SIZE, Query, fit};

/// The question that all replies are judged by: the addresses of `a.example`, with OPT and DO.
const QUERY: &[u8] = b"\xab\xcd\x01\x10\0\x01\0\0\0\0\0\x01\x01A\x07example\0\0\x01\0\x01\
                       \0\0\x29\x04\xd0\0\0\x80\0\0\0";

/// Reads `bytes` as a server's reply to a query of ours, keeps it and makes a client's reply of it,
/// which comes back. The first three bytes are other things than the packet: how many seconds the
/// reply was kept, and what the client takes. Must not panic, whatever the bytes hold.
///
/// # Panics
/// When a client's reply has not its id, not its question or not its size.
#[must_use]
pub fn reply(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&[age, high, low], packet) = bytes.split_first_chunk()?;
    let query = Query::read(QUERY).expect("the query has a question and OPT");
    // Its id and its question are random to whoever forges; here they would only cost time.
    let mut packet = packet.to_vec();
    let judged = query.outgoing();
    let sent = judged.packet(0, true);
    let start = packet.len().min(2);
    packet[..start].fill(0);
    if let Some(question) = packet.get_mut(12..12 + 15) {
        question.copy_from_slice(&sent[12..27]);
    }
    let Judged::Answer(answer) = judged.judge(0, &packet) else { return None };
    assert!(answer.lifetime().is_none_or(|time| time.as_secs() <= 300), "kept for too long");
    let client = answer.for_client(&query, age.into());
    assert_eq!(client[..2], QUERY[..2], "the id of another");
    assert_eq!(client[12..27], QUERY[12..27], "the question of another");
    assert!(client[2] & 0x80 != 0, "no reply");
    let (mut cache, key): (_, Rc<[u8]>) = (Cache::new(1 << 16), Rc::new(*b"key"));
    cache.put(Rc::clone(&key), Rc::new(Verdict::Reply(answer)), Instant::now());
    let _ = cache.get(&key, Instant::now());
    let limit = usize::from(u16::from_be_bytes([high, low]).clamp(512, OWN_SIZE));
    let short = fit(client, limit);
    assert!(short.len() <= limit, "{} bytes where {limit} fit", short.len());
    Some(short)
}

/// Reads `bytes` as resolv.conf(5). Must not panic, whatever they hold.
pub fn resolv_conf(bytes: &[u8]) {
    let read = ResolvConf::parse(bytes);
    for (number, server) in read.servers.iter().enumerate() {
        assert!(!read.servers[..number].contains(server), "{server:?} twice");
    }
}
