/// FNV-1a over the bytes of `text`, 64 bits: for names that must come out the same in every version
/// of cais. Nothing made of it has to withstand an attacker, since a collision takes another name.
///
/// ```
/// assert_eq!(types::stable_hash(""), 0xcbf2_9ce4_8422_2325);
/// ```
#[must_use]
pub fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
