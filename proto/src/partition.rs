//! Which partition a key belongs to.

/// Partitions of the command bus. A change of this number moves conversations to other partitions.
pub const PARTITIONS: u32 = 16;

/// The partition of a conversation, `0..PARTITIONS`: FNV-1a, 64 bits, over the key's bytes, folded. Any node computes the same.
#[must_use]
pub fn partition(key: &[u8]) -> u32 {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    ((hash ^ (hash >> 32)) % u64::from(PARTITIONS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_the_same_for_ever() {
        assert_eq!(partition(b""), 1);
        assert_eq!(partition(b"0190163d-8694-739b-aea5-966c26f8ad91"), 0);
        let mut hit = [0; PARTITIONS as usize];
        for n in 0..16_000_u32 {
            hit[partition(&n.to_be_bytes()) as usize] += 1;
        }
        assert!(hit.iter().all(|n| (800..1200).contains(n)), "{hit:?}");
    }
}
