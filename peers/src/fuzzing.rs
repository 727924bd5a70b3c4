//! The one door for fuzzers: what reads what comes from outside.

use crate::{Elsewhere, Limits, NodeFile, SpoolRecord, StaticFile, accept};

/// Reads `bytes` as a file of peers, of a node, of an endpoint and of
/// another host's names, and judges what the first holds.
/// Must not panic, whatever they hold.
///
/// # Panics
/// When what was read and is written again is read as something else, or what was accepted overlaps.
pub fn file(bytes: &[u8]) {
    if let Ok(file) = NodeFile::parse(bytes) {
        let again = NodeFile::parse(file.encode().as_bytes());
        assert_eq!(again.ok(), Some(file));
    }
    if let Ok(record) = SpoolRecord::parse(bytes) {
        let text = serde_json::to_vec(&record).expect("it has text keys and no failing parts");
        assert_eq!(SpoolRecord::parse(&text).ok(), Some(record));
    }
    if let Ok(file) = Elsewhere::parse(bytes) {
        let again = Elsewhere::parse(file.encode().as_bytes());
        assert_eq!(again.ok(), Some(file));
    }
    let Ok(file) = StaticFile::parse(bytes) else { return };
    let network = file.network("net".parse().expect("the name of a network"));
    let Some(own) = file.hosts.first() else { return };
    let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
    let own = accepted.own.iter().map(|block| block.cidr);
    let peers = accepted.peers.iter().flat_map(|peer| peer.blocks.iter().copied());
    let mut all: Vec<types::Cidr> = own.chain(peers).collect();
    all.sort_by_key(|cidr| cidr.ip());
    for pair in all.windows(2) {
        assert!(!pair[0].overlaps(pair[1]), "{} and {}", pair[0], pair[1]);
    }
}
