//! Messages that are damaged, forged, or made with the wrong keys.

use proptest::prelude::*;

use super::*;
use crate::{
    handshake::{cookie::ReplySeal, noise_ik::Responder},
    wire::{
        handshake_message::{HsResp, RESP_PAYLOAD_LEN, RespPayload},
        header::MessageType,
    },
};

/// A time for the `n`th try, so far from the others that no rate limit is met.
fn apart(n: usize) -> u64 {
    n as u64 * 60
}

#[test]
fn a_first_message_with_any_byte_changed_is_refused() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    for byte in 0..168 {
        let mut forged = init.clone();
        forged[byte] ^= 1 << (byte % 8);
        let expected = match byte {
            0 => DropReason::WireType,
            3 => DropReason::WireReserved,
            _ => DropReason::HandshakeMac1,
        };
        assert_dropped(&b.receive(apart(byte), a.address, &forged), expected);
    }
    // MAC2 counts while cookies are demanded.
    b.queue_depth = 128;
    for byte in 168..184 {
        let mut forged = init.clone();
        forged[byte] ^= 1 << (byte % 8);
        let out = b.receive(20_000, a.address, &forged);
        assert_eq!(drops(&out), [DropReason::HandshakeMac2]);
        assert_eq!(sent(&out)[0], MessageType::Cookie as u8);
    }
}

/// The same by someone who knows our public key and so can make the right MAC1. What is left to him is the
/// sender index: then the answer is not understood, and there is no session, as if he had dropped the message.
#[test]
fn a_first_message_changed_by_one_who_knows_our_public_key_is_refused() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let mac1 = Mac1Key::new(&b.machine.public_key());
    for byte in (1..4).chain(8..152) {
        let mut forged = init.clone();
        forged[byte] ^= 1 << (byte % 8);
        mac1.put(&mut forged);
        let out = b.receive(apart(byte), a.address, &forged);
        let expected = match byte {
            2 => DropReason::HandshakeVersion,
            3 => DropReason::WireReserved,
            _ => DropReason::HandshakeCrypto,
        };
        assert_dropped(&out, expected);
    }
    let mut forged = init.clone();
    forged[4] ^= 1;
    mac1.put(&mut forged);
    let resp = sent(&b.receive(20_000, a.address, &forged));
    assert_dropped(
        &a.receive(4_000, b.address, &resp),
        DropReason::HandshakeUnexpected,
    );
}

#[test]
fn an_answer_with_any_byte_changed_is_refused_and_the_genuine_one_still_counts() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(0, a.address, &init));
    let mac1 = Mac1Key::new(&a.machine.public_key());
    for byte in 0..132 {
        let mut forged = resp.clone();
        forged[byte] ^= 1 << (byte % 8);
        let expected = match byte {
            0 => DropReason::WireLength,
            2 | 3 | 116.. => DropReason::WireReserved,
            _ => DropReason::HandshakeMac1,
        };
        assert_dropped(&a.receive(0, b.address, &forged), expected);
    }
    // With the right MAC1, in a time in which the attempt lives.
    for (n, byte) in [1, 8, 9, 10, 11].into_iter().chain(12..100).enumerate() {
        let mut forged = resp.clone();
        forged[byte] ^= 1 << (byte % 8);
        mac1.put(&mut forged);
        let expected = match byte {
            1 => DropReason::HandshakeVersion,
            8..12 => DropReason::HandshakeUnexpected,
            _ => DropReason::HandshakeCrypto,
        };
        assert_dropped(&a.receive(n as u64 * 50, b.address, &forged), expected);
    }
    session(a.receive(4_999, b.address, &resp));
}

#[test]
fn wrong_length_or_type_is_refused() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(0, a.address, &init));
    assert_dropped(&a.receive(0, b.address, &[8; 64]), DropReason::WireLength);
    for message in [&init, &resp] {
        for len in 1..message.len() {
            assert_dropped(&a.receive(0, b.address, &message[..len]), DropReason::WireLength);
        }
        let longer = [&message[..], &[0]].concat();
        assert_dropped(&a.receive(0, b.address, &longer), DropReason::WireLength);
    }
    assert_dropped(&a.receive(0, b.address, &[]), DropReason::WireType);
    for kind in [0, 4, 5, 6, 9, 0x44, 0xff] {
        let mut other = [0; 64];
        other[0] = kind;
        assert_dropped(&a.receive(0, b.address, &other), DropReason::WireType);
    }
}

#[test]
fn another_preshared_key_gives_no_session() {
    for (ours, theirs) in [([0; 32], [1; 32]), ([1; 32], [0; 32]), ([1; 32], [2; 32])] {
        let mut a = Host::new(1).knows(2, ours);
        let mut b = Host::new(2).knows(1, theirs);
        let init = a.start(0, b.address);
        let resp = sent(&b.receive(0, a.address, &init));
        assert_dropped(&a.receive(0, b.address, &resp), DropReason::HandshakeCrypto);
    }
}

#[test]
fn a_stranger_and_a_message_for_somebody_else_are_refused() {
    let mut stranger = Host::new(3).knows(2, [0; 32]);
    let (mut a, mut b) = pair();
    let init = stranger.start(0, b.address);
    assert_dropped(
        &b.receive(0, stranger.address, &init),
        DropReason::HandshakeUnknownPeer,
    );
    // To host 2, delivered to host 1; and the same with the MAC1 that host 1 wants.
    assert_dropped(&a.receive(0, stranger.address, &init), DropReason::HandshakeMac1);
    let mut forged = init.clone();
    Mac1Key::new(&a.machine.public_key()).put(&mut forged);
    assert_dropped(
        &a.receive(0, stranger.address, &forged),
        DropReason::HandshakeCrypto,
    );
}

/// Whoever has the stranger's key cannot come in under a peer's name either: `s` is checked by `ss`.
#[test]
fn claiming_anothers_static_key_is_refused() {
    let mut a = Host::new(1).knows(2, [0; 32]);
    a.machine.own.public_key = private(4).public_key();
    let mut b = Host::new(2).knows(4, [0; 32]);
    let init = a.start(0, b.address);
    assert_dropped(&b.receive(0, a.address, &init), DropReason::HandshakeCrypto);
}

/// P8 on the wire: a second encoding of a configured key is nobody.
#[test]
fn another_encoding_of_a_peers_key_is_nobody() {
    let (_, mut b) = pair();
    let mut bytes = *private(1).public_key().as_bytes();
    bytes[31] |= 0x80;
    let crafted = Crafted {
        static_key: PublicKey(bytes),
        ..Crafted::new()
    };
    assert_dropped(
        &b.receive(0, address(1), &crafted.emit().1),
        DropReason::HandshakeUnknownPeer,
    );
}

#[test]
fn ephemeral_keys_of_low_order_or_odd_encoding_are_refused() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let mut keys = vec![[0; 32], [0xff; 32]];
    keys.push({
        let mut one = [0; 32];
        one[0] = 1;
        one
    });
    keys.push({
        let mut odd: [u8; 32] = init[8..40].try_into().unwrap();
        odd[31] |= 0x80;
        odd
    });
    for (n, key) in keys.iter().enumerate() {
        let mut forged = init.clone();
        forged[8..40].copy_from_slice(key);
        Mac1Key::new(&b.machine.public_key()).put(&mut forged);
        assert_dropped(
            &b.receive(apart(n), a.address, &forged),
            DropReason::HandshakeCrypto,
        );
    }
    let mut forged = sent(&b.receive(1000, a.address, &init));
    for (n, key) in keys.iter().enumerate() {
        forged[12..44].copy_from_slice(key);
        Mac1Key::new(&a.machine.public_key()).put(&mut forged);
        assert_dropped(
            &a.receive(1000 + apart(n), b.address, &forged),
            DropReason::HandshakeCrypto,
        );
    }
}

/// An answer of a responder that has the right keys and breaks the rules.
#[test]
fn an_authentic_answer_that_breaks_the_rules_is_refused() {
    let good = RespPayload {
        suite: Suite::ChaCha20Poly1305,
        lanes: 1,
        capabilities: 0,
        instance: 2,
        observed_address: [0; 16],
        observed_port: 0,
        hb_min_ms: 0,
        version: 1,
    };
    let answer = |payload: RespPayload, version: u8| {
        let mut a = Host::new(1).knows(2, [0; 32]);
        let bytes = a.start(0, address(2));
        let init = HsInit::parse(&bytes).unwrap();
        let (us, them) = (private(2), private(1).public_key());
        let (mut noise, _) = Responder::read_static(
            &prologue(*init.header),
            &us,
            &us.public_key(),
            init.ephemeral,
            init.encrypted_static,
        )
        .unwrap();
        noise
            .read_payload(&us.shared(&them).unwrap(), &mut init.encrypted_payload.to_vec())
            .unwrap();
        let mut sealed = [0; RESP_PAYLOAD_LEN + TAG_LEN];
        sealed[..RESP_PAYLOAD_LEN].copy_from_slice(&payload.emit());
        let (e, _) = noise
            .write(&them, &PresharedKey::default(), &private(0x77), &mut sealed)
            .unwrap();
        let mut resp = HsResp {
            version,
            sender: ReceiverIndex(1),
            receiver: init.sender,
            ephemeral: e.as_bytes(),
            encrypted_payload: &sealed,
            mac1: &[0; 16],
        }
        .emit();
        Mac1Key::new(&them).put(&mut resp);
        a.receive(0, address(2), &resp)
    };
    assert_eq!(session(answer(good, 1)).observed, None);
    assert_dropped(&answer(good, 2), DropReason::HandshakeVersion);
    assert_dropped(
        &answer(RespPayload { version: 2, ..good }, 1),
        DropReason::HandshakeVersion,
    );
    let suite = Suite::Aes256Gcm;
    assert_dropped(
        &answer(RespPayload { suite, ..good }, 1),
        DropReason::HandshakePayload,
    );
    assert_dropped(
        &answer(RespPayload { lanes: 2, ..good }, 1),
        DropReason::HandshakePayload,
    );
    assert_dropped(
        &answer(
            RespPayload {
                capabilities: 2,
                ..good
            },
            1,
        ),
        DropReason::HandshakePayload,
    );
}

/// COOKIE and RETRY can be made by anybody who knows the responder's public key and sees the first message.
/// They must not keep the genuine answer out, and must not send us anywhere else.
#[test]
fn forged_cookies_and_retries_do_no_harm() {
    for kind in [MessageType::Cookie, MessageType::Retry] {
        let (mut a, mut b) = pair();
        let bytes = a.start(0, b.address);
        let init = HsInit::parse(&bytes).unwrap();
        let mut entropy = SeededEntropy::new([9; 32]);
        let seal = ReplySeal::new(&b.machine.public_key());
        let mut forge =
            |index: ReceiverIndex, mac1: &[u8; 16]| seal.seal(kind, index, mac1, &[0xab; 16], &mut entropy);
        let other_index = ReceiverIndex(init.sender.0 ^ 1);
        let forged = forge(other_index, init.mac1);
        assert_dropped(&a.receive(0, b.address, &forged), DropReason::HandshakeUnexpected);
        let forged = forge(init.sender, &[0; 16]);
        assert_dropped(&a.receive(0, b.address, &forged), DropReason::HandshakeCrypto);
        let mut forged = forge(init.sender, init.mac1);
        assert_dropped(
            &a.receive(0, address(99), &forged),
            DropReason::HandshakeUnexpected,
        );
        let out = a.input(
            0,
            Input::Datagram {
                path: path_to(1, b.address),
                bytes: forged.to_vec(),
            },
        );
        assert_dropped(&out, DropReason::HandshakeUnexpected);
        forged[1] = 1;
        assert_dropped(&a.receive(0, b.address, &forged), DropReason::WireReserved);
        forged[1] = 0;

        let out = a.receive(0, b.address, &forged);
        if kind == MessageType::Retry {
            assert_eq!(transmits(&out).len(), 1, "one more first message");
            let out = a.receive(100, b.address, &forged);
            assert_dropped(&out, DropReason::HandshakePeerRate);
        } else {
            assert!(out.is_empty());
        }
        let resp = sent(&b.receive(200, a.address, &bytes));
        session(a.receive(300, b.address, &resp));
    }
}

proptest! {
    /// Whatever comes, in any order and under any load: no panic, no session but that of the genuine message,
    /// and (P9) never more bytes out than in.
    #[test]
    fn whatever_arrives_is_survived_and_never_amplified(
        steps in prop::collection::vec(
            (0_u8..6, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
             0_usize..200, 0_u64..400, 0_u32..5, any::<bool>()),
            1..60),
    ) {
        let (mut a, mut b) = pair();
        let init = a.start(0, b.address);
        let resp = sent(&Host::new(2).knows(1, [0; 32]).receive(0, a.address, &init));
        let seal = ReplySeal::new(&private(2).public_key());
        let mac1: [u8; 16] = init[152..168].try_into().unwrap();
        let index = HsInit::parse(&init).unwrap().sender;
        let mut entropy = SeededEntropy::new([8; 32]);
        let cookie = seal.seal(MessageType::Cookie, index, &mac1, &[1; 16], &mut entropy).to_vec();
        let stale = Crafted { payload: InitPayload { timestamp: [0; 12], ..Crafted::new().payload }, ..Crafted::new() };
        let stale = stale.emit().1;
        let (mut ms, mut sessions) = (0, 0);
        for (kind, damage, depth, wait, source, repair) in steps {
            let template = match kind {
                0 => &init,
                1 => &resp,
                2 => &cookie,
                3 => &stale,
                4 => &vec![7; 64],
                _ => &vec![1; 184],
            };
            let mut bytes = template.clone();
            for (at, value) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if repair && bytes.len() == 184 {
                Mac1Key::new(&private(2).public_key()).put(&mut bytes);
            }
            ms += wait;
            b.queue_depth = depth;
            let out = b.receive(ms, address(source), &bytes);
            let replied: usize = transmits(&out).iter().map(|(_, b)| b.len()).sum();
            prop_assert!(replied <= bytes.len(), "{} bytes for {}", replied, bytes.len());
            prop_assert!(transmits(&out).iter().all(|(p, _)| p.remote == address(source)));
            sessions += out.iter().filter(|o| matches!(o, Output::Session(_))).count();
            prop_assert!(!out.is_empty(), "answered or counted");
            // The same to the side that waits for an answer.
            let out = a.receive(ms.min(4_999), address(source), &bytes);
            prop_assert!(out.len() <= 1);
        }
        prop_assert!(sessions <= 1, "{} sessions of one genuine message", sessions);
    }
}
