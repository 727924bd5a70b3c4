//! The one door for fuzzers: everything that reads what the kernel sent.

use crate::link::{Link, vlans};
use crate::netlink::message::Message;
use crate::{addr, conntrack, fdb, listeners, neigh, nft, route, rule, tc};

/// Reads `datagram` as every kind of netlink reply. Must not panic, whatever it holds.
pub fn reply(datagram: &[u8]) {
    let mut rest = datagram;
    while let Some(message) = Message::take(&mut rest) {
        let _ = message.verdict();
        body(message.body);
    }
    body(datagram);
}

fn body(body: &[u8]) {
    let _ = Link::parse(body);
    let _ = addr::Found::parse(body);
    let _ = route::Route::parse(body);
    let _ = rule::Rule::parse(body);
    let _ = neigh::Neigh::parse(body);
    let _ = fdb::Fdb::parse(body);
    let _ = vlans::parse(body, 0);
    tc::parse_any(body);
    nft::fuzz(body);
    conntrack::fuzz(body);
    let _ = listeners::Listener::parse(body);
}

#[cfg(test)]
mod tests {
    /// A small generator (xorshift), the same numbers each time.
    fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
        move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        }
    }

    #[test]
    fn no_reply_makes_a_parser_panic() {
        let mut next = numbers(0x6361_6973);
        for _ in 0..50_000 {
            let mut datagram: Vec<u8> = (0..next() % 200).map(|_| next() as u8).collect();
            // Small numbers make plausible lengths and types, so that walks get far.
            for byte in &mut datagram {
                *byte = if next().is_multiple_of(3) { *byte } else { *byte % 20 };
            }
            super::reply(&datagram);
        }
    }
}
