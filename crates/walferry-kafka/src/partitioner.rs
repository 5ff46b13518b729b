//! Which partition a key belongs to: murmur2 over a count that we hold, as Java producers and librdkafka's
//! `murmur2_random` have it.
//!
//! Owns the choice, so that it does not change with a topic's number of partitions: a key stays where its first record
//! went. Never: a record without a key, which may go anywhere.

/// The partition of a key over so many partitions.
pub(crate) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let hash = (murmur2(key) & 0x7fff_ffff) as i32;
    hash % partitions.max(1)
}

/// MurmurHash2 with Kafka's seed, 32 bits.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Kafka's keys are bounded far below 4 GiB.
    let mut hash = 0x9747_b28c_u32 ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test (`UtilsTest.testMurmur2`).
    #[test]
    fn hashes_are_those_of_java_producers() {
        for (text, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        }
    }

    #[test]
    fn a_key_has_one_of_the_partitions() {
        for key in 0..1_000_u32 {
            let key = key.to_be_bytes();
            assert!((0..4).contains(&partition_of(&key, 4)));
            assert_eq!(partition_of(&key, 1), 0);
            assert_eq!(partition_of(&key, 0), 0);
        }
    }
}
