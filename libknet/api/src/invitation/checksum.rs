//! The checksum of invitations: CRC-32 of IEEE 802.3, which sees every change within 32 bits that follow each other.

/// Of `parts`, one after the other. A few hundred bytes: bit by bit is fast enough.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let register = parts.iter().copied().flatten().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            let carry = register & 1;
            (register >> 1) ^ (POLYNOMIAL * carry)
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_usual_one() {
        assert_eq!(crc32(&[b"12345", b"6789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[]), 0);
    }
}
