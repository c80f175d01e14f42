//! Strangers who present a credential, and peers who present another.

use super::*;
use crate::{
    handshake::credential::{Presented, TOLD},
    wire::header::{HS_INIT_LEN, MAX_CREDENTIAL, MessageType},
};

const CREDENTIAL: &[u8] = b"whoever reads this knows who I am";

/// Host 1 presents `credential` to host 2, which takes credentials and does not know host 1.
fn stranger(credential: &[u8]) -> (Host, Host) {
    let (mut a, mut b) = (Host::new(1), Host::new(2));
    a.set_peer_with(PEER, 2, [0; 32], Credential::new(credential));
    assert!(b.input(0, Input::TakeCredentials(true)).is_empty());
    (a, b)
}

/// The only thing that came out.
#[track_caller]
fn presented(out: Vec<Output>) -> Presented {
    match <[Output; 1]>::try_from(out) {
        Ok([Output::Credential(presented)]) => *presented,
        other => panic!("expected a credential, got {other:?}"),
    }
}

#[test]
fn a_stranger_is_told_of_and_gets_in_with_the_same_bytes_once_he_is_a_peer() {
    for length in [1, CREDENTIAL.len(), MAX_CREDENTIAL] {
        let credential = [0x5a; MAX_CREDENTIAL][..length].to_vec();
        let (mut a, mut b) = stranger(&credential);
        let join = a.want(0, b.address);
        assert_eq!(
            (join[0], join.len()),
            (MessageType::HsJoin as u8, HS_INIT_LEN + length)
        );
        assert_eq!(
            presented(b.receive(0, a.address, &join)),
            Presented {
                public_key: private(1).public_key(),
                peer: None,
                credential,
                remote: a.address,
            }
        );
        // Over another link, and again: nothing is done for a copy.
        for ms in [1, 2] {
            assert_dropped(
                &b.receive(ms, address(40), &join),
                DropReason::HandshakeUnknownPeer,
            );
        }
        b.set_peer(PEER, 1, [0; 32]);
        assert_eq!(a.want(250, b.address), join, "the same bytes");
        let theirs = b.receive(250, a.address, &join);
        let [Output::Credential(again), Output::Session(theirs)] = &theirs[..] else {
            panic!("{theirs:?}");
        };
        assert_eq!(again.peer, Some(PEER));
        let ours = session(a.receive(250, b.address, &theirs.reply.clone().unwrap().1));
        assert_eq!(ours.send.key, theirs.receive.key);
        // A copy of what was answered is answered from memory.
        assert_eq!(
            sent(&b.receive(251, address(40), &join)),
            theirs.reply.clone().unwrap().1
        );
    }
}

#[test]
fn nobody_is_told_of_where_credentials_are_not_taken_or_there_is_none() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    b.input(0, Input::TakeCredentials(false));
    let join = a.want(0, b.address);
    assert_dropped(&b.receive(0, a.address, &join), DropReason::HandshakeUnknownPeer);
    b.input(0, Input::TakeCredentials(true));
    presented(b.receive(1, a.address, &join));

    let (mut a, mut b) = (Host::new(1).knows(2, [0; 32]), Host::new(2));
    b.input(0, Input::TakeCredentials(true));
    let init = a.want(0, b.address);
    assert_eq!(init.len(), HS_INIT_LEN);
    assert_dropped(&b.receive(0, a.address, &init), DropReason::HandshakeUnknownPeer);
}

#[test]
fn a_peer_is_told_of_once_for_each_credential_and_without_one_not_at_all() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    b.set_peer(PEER, 1, [0; 32]);
    let mut told = |a: &mut Host, ms| {
        let join = a.start(ms, b.address);
        let out = b.receive(ms, a.address, &join);
        assert!(matches!(out.last(), Some(Output::Session(_))), "{out:?}");
        out.iter()
            .filter_map(|output| match output {
                Output::Credential(presented) => {
                    assert_eq!(presented.peer, Some(PEER));
                    Some(presented.credential.clone())
                }
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut a, 0), [CREDENTIAL]);
    assert!(told(&mut a, 1_000).is_empty());
    a.set_peer_with(PEER, 2, [0; 32], Credential::new(b"another"));
    assert_eq!(told(&mut a, 2_000), [b"another"]);
    assert!(told(&mut a, 3_000).is_empty());
    a.set_peer_with(PEER, 2, [0; 32], None);
    assert!(told(&mut a, 4_000).is_empty());
}

#[test]
fn another_credential_takes_the_place_of_what_is_under_way() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    let first = a.want(0, b.address);
    a.set_peer_with(PEER, 2, [0; 32], Credential::new(b"another"));
    let second = a.want(250, b.address);
    assert_ne!(first[8..40], second[8..40], "a fresh ephemeral key");
    assert_eq!(
        presented(b.receive(250, a.address, &second)).credential,
        b"another"
    );
}

#[test]
fn a_first_message_with_a_credential_and_any_byte_changed_is_refused() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    let join = a.start(0, b.address);
    let mac1 = Mac1Key::new(&b.machine.public_key());
    let apart = |n: usize| n as u64 * 60;
    let mac2_at = join.len() - 16;
    for byte in 0..mac2_at {
        let mut forged = join.clone();
        forged[byte] ^= 1 << (byte % 8);
        let expected = match byte {
            0 => DropReason::WireType,
            3 => DropReason::WireReserved,
            _ => DropReason::HandshakeMac1,
        };
        assert_dropped(&b.receive(apart(byte), a.address, &forged), expected);
        // By one who knows our public key. The sender index is left to him: the answer is not understood then.
        if byte == 0 || (4..8).contains(&byte) || byte >= mac2_at - 16 {
            continue;
        }
        mac1.put(&mut forged);
        let expected = match byte {
            2 => DropReason::HandshakeVersion,
            3 => DropReason::WireReserved,
            _ => DropReason::HandshakeCrypto,
        };
        assert_dropped(&b.receive(apart(byte) + 30, a.address, &forged), expected);
    }
    // The type and the end of the payload are part of what is authentic.
    let mut cut = join[..HS_INIT_LEN].to_vec();
    cut[0] = MessageType::HsInit as u8;
    mac1.put(&mut cut);
    assert_dropped(&b.receive(60_000, a.address, &cut), DropReason::HandshakeCrypto);
    presented(b.receive(61_000, a.address, &join));
}

/// Whoever repeats what a stranger has said repeats whose it is: the credential is worth nothing to him.
#[test]
fn a_message_that_is_repeated_is_still_its_senders() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    let join = a.start(0, b.address);
    for (times, remote) in [(0, a.address), (6_000, address(66)), (70_000, address(67))] {
        assert_eq!(
            presented(b.receive(times, remote, &join)).public_key,
            private(1).public_key()
        );
    }
}

#[test]
fn cookies_and_wrong_clocks_are_as_without_a_credential() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    b.queue_depth = 128;
    let join = a.want(0, b.address);
    let out = b.receive(0, a.address, &join);
    assert_eq!(drops(&out), [DropReason::HandshakeMac2]);
    let cookie = sent(&out);
    assert!(cookie.len() < join.len());
    assert!(a.receive(0, b.address, &cookie).is_empty());
    let join = a.want(250, b.address);
    presented(b.receive(250, a.address, &join));
    b.set_peer(PEER, 1, [0; 32]);
    b.queue_depth = 0;
    assert!(matches!(
        &b.receive(500, a.address, &join)[..],
        [Output::Credential(_), Output::Session(_)]
    ));

    a.clock_error = -1_000_000;
    let join = a.start(10_000, b.address);
    let out = b.receive(10_000, a.address, &join);
    assert_eq!(drops(&out), [DropReason::HandshakeStale]);
    let retry = sent(&out);
    let again = sent(&a.receive(10_000, b.address, &retry));
    assert_eq!(again.len(), join.len());
    session(b.receive(10_000, a.address, &again));
}

#[test]
fn so_many_strangers_are_told_of_and_no_more_and_peers_do_not_suffer() {
    let (mut a, mut b) = stranger(CREDENTIAL);
    b.set_peer(PEER, 3, [0; 32]);
    let mut c = Host::new(3).knows(2, [0; 32]);
    let (mut told, mut refused) = (0, 0);
    // Each from an address of its own, at more than twice the rate that is allowed.
    for n in 0..3_000_u64 {
        let ms = n * 2 / 9;
        let join = a.start(ms, b.address);
        let out = b.receive(ms, address(1_000 + n as u32), &join);
        match &out[..] {
            [Output::Credential(_)] => told += 1,
            [Output::Dropped(DropReason::HandshakeCredentialRate)] => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told + refused, 3_000);
    let (burst, rate) = (TOLD.burst(), TOLD.per_second());
    assert!((burst..=burst + rate * 2 / 3).contains(&told), "{told}");
    complete(670, &mut c, &mut b);
    assert!(b.machine.told.len() as u64 <= burst + 5 * rate);
    b.machine.expire(at(670 + 5_000));
    assert_eq!(b.machine.told.len(), 0);
}
