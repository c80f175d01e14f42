//! BLAKE2s (RFC 7693), and HMAC and HKDF over it as in the Noise specification, revision 34, §4.3.

use blake2::{
    Blake2s256, Blake2sMac, Digest,
    digest::{FixedOutput, KeyInit, Update, consts::U16},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Secret;

/// Length of a [`mac`] in bytes.
pub const MAC_LEN: usize = 16;

/// Block length of BLAKE2s in bytes: HMAC pads its key to it.
const BLOCK_LEN: usize = 64;

/// BLAKE2s-256 of `parts`, one after the other.
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2s256::new();
    for part in parts {
        Digest::update(&mut hasher, part);
    }
    Digest::finalize(hasher).into()
}

/// BLAKE2s-128 of `parts`, one after the other, in the keyed mode of RFC 7693.
///
/// `N` is at most 32; a longer key does not compile.
#[expect(clippy::expect_used, reason = "fails only for a key of more than 32 bytes")]
pub fn mac<const N: usize>(key: &[u8; N], parts: &[&[u8]]) -> [u8; MAC_LEN] {
    const { assert!(N > 0 && N <= 32) };
    let mut mac = Blake2sMac::<U16>::new_from_slice(key).expect("at most 32 bytes");
    for part in parts {
        mac.update(part);
    }
    mac.finalize_fixed().into()
}

/// Whether two MACs are equal, in a time that does not tell where they differ.
pub fn mac_eq(a: &[u8; MAC_LEN], b: &[u8; MAC_LEN]) -> bool {
    a.ct_eq(b).into()
}

/// HMAC-BLAKE2s (RFC 2104) of `parts`, one after the other.
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Secret {
    let padded = |pad: u8| {
        let mut block = Zeroizing::new([pad; BLOCK_LEN]);
        for (b, k) in block.iter_mut().zip(key) {
            *b ^= k;
        }
        block
    };
    let mut inner = Blake2s256::new();
    Digest::update(&mut inner, padded(0x36).as_slice());
    for part in parts {
        Digest::update(&mut inner, part);
    }
    let inner = Zeroizing::new(<[u8; 32]>::from(Digest::finalize(inner)));
    Secret::from(&hash(&[padded(0x5c).as_slice(), inner.as_slice()]))
}

/// `N` outputs (1 to 3) of Noise's HKDF.
pub fn hkdf<const N: usize>(chaining_key: &[u8; 32], input: &[u8]) -> [Secret; N] {
    const { assert!(N >= 1 && N <= 3) };
    let temporary = hmac(chaining_key, &[input]);
    let mut previous: Option<Secret> = None;
    let mut number = 0_u8;
    core::array::from_fn(|_| {
        number = number.saturating_add(1);
        let before = previous.as_ref().map_or(&[][..], |p| p.as_slice());
        let output = hmac(&temporary, &[before, &[number]]);
        previous = Some(output.clone());
        output
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::tests::{hex, hex_array};

    #[test]
    fn blake2s_of_rfc_7693_appendix_b() {
        assert_eq!(
            hash(&[b"a", b"bc"]),
            hex_array("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")
        );
    }

    /// RFC 7693, appendix E: one hash over the hashes of many lengths, keyed and not, of all sizes; ours are
    /// the unkeyed ones of 32 bytes and the keyed ones of 16, so each is rebuilt from its definition here.
    #[test]
    fn blake2s_keyed_and_unkeyed_over_many_lengths() {
        // The generator of the appendix: a Fibonacci sequence of bytes.
        fn sequence(len: usize, seed: u32) -> Vec<u8> {
            let mut a = 0xDEAD_4BAD_u32.wrapping_mul(seed);
            let mut b = 1_u32;
            (0..len)
                .map(|_| {
                    let t = a.wrapping_add(b);
                    a = b;
                    b = t;
                    (t >> 24) as u8
                })
                .collect()
        }
        let mut all = Blake2s256::new();
        for out in [16_u32, 20, 28, 32] {
            for len in [0_u32, 3, 64, 65, 255, 1024] {
                let input = sequence(len as usize, len);
                let key = sequence(out as usize, out);
                let (unkeyed, keyed) = reference(out as usize, &input, &key);
                if out == 32 {
                    assert_eq!(hash(&[&input]).as_slice(), unkeyed);
                }
                if out == 16 {
                    assert_eq!(
                        mac::<16>(&key.clone().try_into().unwrap(), &[&input]).as_slice(),
                        keyed
                    );
                }
                Digest::update(&mut all, &unkeyed);
                Digest::update(&mut all, &keyed);
            }
        }
        assert_eq!(
            Digest::finalize(all).as_slice(),
            hex("6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe")
        );
    }

    /// Hash and MAC of `out` bytes, straight from the library.
    fn reference(out: usize, input: &[u8], key: &[u8]) -> (Vec<u8>, Vec<u8>) {
        use blake2::{
            Blake2s,
            digest::consts::{U20, U28, U32},
        };
        macro_rules! both {
            ($size:ty) => {{
                let keyed = Blake2sMac::<$size>::new_from_slice(key)
                    .unwrap()
                    .chain(input)
                    .finalize_fixed();
                (Blake2s::<$size>::digest(input).to_vec(), keyed.to_vec())
            }};
        }
        match out {
            16 => both!(U16),
            20 => both!(U20),
            28 => both!(U28),
            _ => both!(U32),
        }
    }

    /// Computed with Python's `hmac` and `hashlib.blake2s`, which share no code with ours.
    #[test]
    fn hmac_and_hkdf_of_another_implementation() {
        let key: [u8; 32] = core::array::from_fn(|i| i as u8);
        assert_eq!(
            *hmac(&key, &[b"knet ", b"hmac"]),
            hex_array("15b2d1d4a59442e4c0a22c8b8973fc9f45b6041e2f709e807e831bff731306c1")
        );
        let [a, b, c] = hkdf::<3>(&key, b"input");
        assert_eq!(
            *a,
            hex_array("87b7f70b24183c6db5dc4f6d9f4c47cdb203321aa2a0bef714896adb3107a040")
        );
        assert_eq!(
            *b,
            hex_array("538a02e1eb2e31b7e4d4b82476d1fe2acf50085d3fb584537279195f5d1f5824")
        );
        assert_eq!(
            *c,
            hex_array("9ad858025593be88de0f9442a589cfe84a88dc19e4753d93684d1c5efc4837f9")
        );
        let [only] = hkdf::<1>(&key, b"input");
        assert_eq!(only, a);
        assert_eq!(
            mac(&key, &[b"knet mac"]),
            hex_array("323e00126048d6510f39fb00032a5855")
        );
    }

    #[test]
    fn macs_differ_in_any_bit() {
        let a = mac(&[1; 32], &[b"x"]);
        assert!(mac_eq(&a, &a));
        for bit in 0..128 {
            let mut b = a;
            b[bit / 8] ^= 1 << (bit % 8);
            assert!(!mac_eq(&a, &b), "bit {bit}");
        }
    }
}
