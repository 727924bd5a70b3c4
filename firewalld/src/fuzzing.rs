//! The one door for fuzzers: everything that reads what a bus sent.

use crate::bus;

/// Reads `data` as a bus address, and as the stream of messages that follows the greeting. Must not
/// panic, whatever it holds.
pub fn stream(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = bus::addresses(text);
    }
    let mut rest = data.to_owned();
    while let Ok(Some(message)) = bus::take(&mut rest) {
        let _ = (message.boolean(), message.text(), message.is_answer_to(1));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_stream_makes_the_reader_panic() {
        // A small generator (xorshift), the same numbers each time.
        let mut seed: u64 = 0x6361_6973;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..50_000 {
            let mut data: Vec<u8> = (0..next() % 200).map(|_| (next() % 20) as u8).collect();
            // Most messages would be refused at the first byte.
            if let Some(first) = data.first_mut() {
                *first = if next().is_multiple_of(2) { b'l' } else { b'B' };
            }
            super::stream(&data);
        }
    }
}
