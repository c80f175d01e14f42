//! Damage that the checksums of UDP and TCP do not see.
//!
//! A bit that flips on the way is nearly always caught by the receiver's kernel, and looks like loss. What gets
//! through in practice is worse hardware: words that change places. The checksum is a sum of words of 16 bits, so
//! that their order does not matter to it.

use super::noise::Noise;

/// Ethernet, IPv4 without options or IPv6, UDP: the damage is behind them.
const BEHIND_HEADERS: [usize; 2] = [14 + 20 + 8, 14 + 40 + 8];

/// Swaps two unlike words of `frame` behind the UDP header; a frame without such words gets one bit flipped behind
/// its Ethernet header. Only frames without anything behind that header are left as they are.
pub(crate) fn damage(frame: &mut [u8], noise: &mut Noise) {
    let begin = match frame.get(12..14) {
        Some([0x86, 0xdd]) => BEHIND_HEADERS[1],
        _ => BEHIND_HEADERS[0],
    };
    let words = frame.len().saturating_sub(begin) / 2;
    let first = noise.below(words as u64) as usize;
    let word = |frame: &[u8], number: usize| -> [u8; 2] {
        let at = begin + number * 2;
        [frame[at], frame[at + 1]]
    };
    let other = (1..words)
        .map(|step| (first + step) % words)
        .find(|other| word(frame, *other) != word(frame, first));
    if let Some(other) = other {
        let (a, b) = (begin + first * 2, begin + other * 2);
        frame.swap(a, b);
        frame.swap(a + 1, b + 1);
    } else if frame.len() > 14 {
        let at = 14 + noise.below(frame.len() as u64 - 14) as usize;
        frame[at] ^= 1 << noise.below(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(frame: &[u8]) -> u64 {
        frame
            .chunks(2)
            .map(|w| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or(0)))
            .sum()
    }

    #[test]
    fn a_datagram_is_changed_and_its_checksum_is_not() {
        let mut noise = Noise::new(1);
        for (kind, headers) in [([8, 0], 42), ([0x86, 0xdd], 62)] {
            for length in [headers + 5, 200, 1514] {
                let mut frame: Vec<u8> = (0..length).map(|n| n as u8).collect();
                frame[12..14].copy_from_slice(&kind);
                for _ in 0..50 {
                    let before = frame.clone();
                    damage(&mut frame, &mut noise);
                    assert_ne!(frame, before);
                    assert_eq!(frame[..headers], before[..headers]);
                    assert_eq!(sum(&frame), sum(&before));
                }
            }
        }
    }

    #[test]
    fn a_frame_without_unlike_words_loses_a_bit() {
        let mut noise = Noise::new(1);
        for length in [15, 42, 43, 60, 200] {
            let mut frame = vec![0; length];
            damage(&mut frame, &mut noise);
            assert_eq!(frame.iter().map(|b| b.count_ones()).sum::<u32>(), 1, "{length}");
            assert_eq!(frame[..14], [0; 14]);
        }
        for length in 0..15 {
            damage(&mut vec![0; length], &mut noise);
        }
    }
}
