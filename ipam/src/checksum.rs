//! The checksum and the hash of the lease table.
//!
//! CRC-32 (IEEE 802.3, reflected) eight bytes at a time from tables that the compiler makes. The
//! crates that choose an instruction set at run time ask the processor first, and in a guest each
//! such question costs more than all checksums of a call.

const TABLES: [[u32; 256]; 8] = tables();

/// CRC-32 of `bytes`. `seed` is where the bytes belong, so that a sector or slot that was written
/// to another one's place is as wrong as a torn one.
pub(crate) fn crc32(seed: u32, bytes: &[u8]) -> u32 {
    let mut crc = !seed;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let low = crc ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        crc = TABLES[7][(low & 0xff) as usize]
            ^ TABLES[6][(low >> 8 & 0xff) as usize]
            ^ TABLES[5][(low >> 16 & 0xff) as usize]
            ^ TABLES[4][(low >> 24) as usize]
            ^ TABLES[3][chunk[4] as usize]
            ^ TABLES[2][chunk[5] as usize]
            ^ TABLES[1][chunk[6] as usize]
            ^ TABLES[0][chunk[7] as usize];
    }
    for byte in chunks.remainder() {
        crc = TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    }
    !crc
}

/// A 64-bit hash of `parts`, which are kept apart: FNV-1a with a final mix. It only spreads
/// entries; equality is always decided by the full text.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in *part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // No byte of UTF-8 text is 0xff, so the parts cannot run into each other.
        hash = (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

/// Spreads a number over all 64 bits (the finishing steps of SplitMix64); a bijection.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let previous = tables[table - 1][byte];
            tables[table][byte] = tables[0][(previous & 0xff) as usize] ^ (previous >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        // The check value that every CRC catalogue lists for "123456789".
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(0, b""), 0);
    }

    #[test]
    fn every_flipped_bit_and_every_other_place_is_noticed() {
        let good = crc32(7, &[0x5a; 252]);
        assert_ne!(good, crc32(8, &[0x5a; 252]));
        for bit in 0..252 * 8 {
            let mut bytes = [0x5a; 252];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(good, crc32(7, &bytes), "bit {bit}");
        }
    }

    #[test]
    fn parts_of_a_hash_are_kept_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"ab", b""]));
    }
}
