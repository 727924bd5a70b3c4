//! As much of DNS messages as is needed to ask for an address and to answer with one.

use std::net::Ipv4Addr;

/// Bytes before the question.
const HEADER: usize = 12;

/// What a record about an address ends with before its address: a pointer to the name of the
/// question, type A, class IN, four bytes for the time to live, four bytes of data.
const RECORD: usize = 12;

/// A question for the IPv4 address of `name`.
pub(super) fn question(name: &str) -> Vec<u8> {
    // Any number will do; recursion is desired, and there is one question.
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// The address in the first record of a reply; `None` where there is none.
pub(super) fn address(reply: &[u8]) -> Option<Ipv4Addr> {
    if reply.get(6..8)? == [0, 0] {
        return None;
    }
    let record = reply.get(end_of_question(reply)?..)?;
    // All servers point to the name of the question, which is at a fixed place.
    let is_address = record.get(..6)? == [0xc0, HEADER as u8, 0, 1, 0, 1];
    let data: [u8; 4] = record.get(RECORD..RECORD + 4)?.try_into().ok()?;
    is_address.then(|| data.into())
}

/// The reply that gives `address` for what is asked, to be kept for `ttl` seconds; `None` where
/// nothing is asked.
pub(super) fn reply(query: &[u8], address: Ipv4Addr, ttl: u32) -> Option<Vec<u8>> {
    let mut reply = query.get(..end_of_question(query)?)?.to_vec();
    // A reply, recursion was desired and is available; one question, one record.
    reply[2..HEADER].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1]);
    reply.extend(ttl.to_be_bytes());
    reply.extend([0, 4]);
    reply.extend(address.octets());
    Some(reply)
}

/// The first letter of the name that is asked for.
pub(super) fn first_letter(query: &[u8]) -> Option<u8> {
    query.get(HEADER + 1).copied()
}

fn end_of_question(packet: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match usize::from(*packet.get(at)?) {
            0 => return Some(at + 5),
            length => at += 1 + length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    #[test]
    fn a_reply_is_read_as_it_was_made() {
        let query = question("c7.bench.example");
        let reply = reply(&query, ADDRESS, 300).unwrap();
        assert_eq!(address(&reply), Some(ADDRESS));
        assert_eq!(first_letter(&query), Some(b'c'));
    }

    #[test]
    fn a_question_has_no_address_and_half_a_packet_is_nothing() {
        let query = question("web");
        assert_eq!(address(&query), None);
        for length in 0..query.len() - 4 {
            assert_eq!(reply(&query[..length], ADDRESS, 0), None, "{length}");
        }
    }
}
