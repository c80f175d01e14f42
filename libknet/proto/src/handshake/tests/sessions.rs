//! Handshakes that succeed, and what both sides then have.

use super::*;
use crate::{
    crypto::aead::{OpenKey, SealKey},
    handshake::message::Role,
};

/// What `from` seals, `to` opens.
fn assert_one_way(from: &NewSession, to: &NewSession) {
    let mut bytes = b"frame".to_vec();
    let tag = SealKey::new(from.suite, &from.send).seal(0, 1, b"header", &mut bytes);
    bytes.extend_from_slice(&tag);
    let opener = OpenKey::new(to.suite, &to.receive);
    assert_eq!(
        opener.open(0, 1, b"header", &mut bytes).as_deref(),
        Some(&b"frame"[..])
    );
}

#[test]
fn both_sides_have_the_same_session() {
    const CHACHA: SuiteSet = SuiteSet::of(Suite::ChaCha20Poly1305);
    const AES: SuiteSet = SuiteSet::of(Suite::Aes256Gcm);
    const BOTH: SuiteSet = CHACHA.with(Suite::Aes256Gcm);
    for (suites_a, suites_b, suite) in [
        (CHACHA, CHACHA, Suite::ChaCha20Poly1305),
        (BOTH, CHACHA, Suite::ChaCha20Poly1305),
        (CHACHA, BOTH, Suite::ChaCha20Poly1305),
        (BOTH, BOTH, Suite::Aes256Gcm),
        (AES, BOTH, Suite::Aes256Gcm),
        (BOTH, AES, Suite::Aes256Gcm),
    ] {
        let mut a = Host::with_suites(1, suites_a).knows(2, [3; 32]);
        let mut b = Host::with_suites(2, suites_b).knows(1, [3; 32]);
        let (ours, theirs) = complete(0, &mut a, &mut b);
        assert_eq!((ours.peer, theirs.peer), (PEER, PEER));
        assert_eq!((ours.role, theirs.role), (Role::Initiator, Role::Responder));
        assert_eq!(
            (ours.our_index, ours.their_index),
            (theirs.their_index, theirs.our_index)
        );
        assert_eq!((ours.suite, theirs.suite), (suite, suite));
        assert_eq!((ours.lanes, ours.version), (1, 1));
        assert_eq!((theirs.lanes, theirs.version), (1, 1));
        assert_eq!((ours.peer_instance, theirs.peer_instance), (2, 1));
        assert_eq!((ours.hb_min_ms, theirs.hb_min_ms), (102, 0));
        assert_eq!((ours.observed, theirs.observed), (Some(a.address), None));
        assert_eq!(
            (ours.path, theirs.path),
            (path_to(0, b.address), path_to(0, a.address))
        );
        assert!(ours.reply.is_none());
        assert_one_way(&ours, &theirs);
        assert_one_way(&theirs, &ours);
        assert_ne!(ours.send.key, ours.receive.key);
        assert_ne!(ours.send.iv, ours.receive.iv);
    }
}

#[test]
fn each_handshake_has_keys_and_indices_of_its_own() {
    let (mut a, mut b) = pair();
    let (first, _) = complete(0, &mut a, &mut b);
    let (second, _) = complete(1000, &mut a, &mut b);
    assert_ne!(first.send.key, second.send.key);
    assert_ne!(first.our_index, second.our_index);
    assert_ne!(first.their_index, second.their_index);
}

#[test]
fn an_ipv6_address_is_reported_as_observed() {
    let (mut a, mut b) = pair();
    a.address = "[2001:db8::1]:4500".parse().unwrap();
    let (ours, _) = complete(0, &mut a, &mut b);
    assert_eq!(ours.observed, Some(a.address));
}

#[test]
fn copies_on_other_links_are_answered_where_they_came_from() {
    let (mut a, mut b) = pair();
    let paths: Vec<Path> = (0..8).map(|n| path_to(n, address(100 + u32::from(n)))).collect();
    let out = a.input(
        0,
        Input::Start {
            peer: PEER,
            paths: paths.clone(),
        },
    );
    let inits = transmits(&out);
    assert_eq!(inits.iter().map(|(p, _)| *p).collect::<Vec<_>>(), paths);
    assert!(
        inits.iter().all(|(_, bytes)| *bytes == inits[0].1),
        "identical on all paths"
    );

    let source = |n: u32| address(200 + n);
    let theirs = session(b.receive(0, source(0), &inits[0].1));
    let resp = theirs.reply.unwrap().1;
    for n in 1..=24 {
        let out = b.receive(100, source(n), &inits[0].1);
        assert!(
            matches!(&out[..], [Output::Transmit { peer: Some(PEER), path, bytes }]
            if *path == path_to(0, source(n)) && *bytes == resp)
        );
    }
    assert_dropped(
        &b.receive(100, source(25), &inits[0].1),
        DropReason::HandshakeReplay,
    );

    // The answer may come on any path, and only the first one makes a session.
    let ours = session(a.input(
        100,
        Input::Datagram {
            path: paths[3],
            bytes: resp.clone(),
        },
    ));
    assert_eq!(ours.path, paths[3]);
    for path in paths {
        let out = a.input(
            100,
            Input::Datagram {
                path,
                bytes: resp.clone(),
            },
        );
        assert_dropped(&out, DropReason::HandshakeUnexpected);
    }
}

/// A retry costs the other side one exchange at most, whether its answer was lost or it had no time for it.
#[test]
fn a_young_first_message_goes_out_again_as_it_was() {
    let (mut a, mut b) = pair();
    let first = a.want(0, b.address);
    assert_eq!(a.want(250, b.address), first);
    assert_eq!(a.want(4_499, b.address), first);
    let resp = sent(&b.receive(4_499, a.address, &first));
    // Lost; the copy is answered with the same.
    let copy = a.want(4_499, b.address);
    assert_eq!(sent(&b.receive(4_499, a.address, &copy)), resp);
    session(a.receive(4_499, b.address, &resp));
    assert_eq!((a.machine.indices.in_use(), b.machine.indices.in_use()), (1, 1));
    // Once it is answered it is over, and so it is when it is older.
    let next = a.want(4_499, b.address);
    assert_ne!(next, first);
    assert_ne!(a.want(8_999, b.address), next);
}

#[test]
fn a_young_first_message_goes_where_it_has_not_been_yet_and_is_answered_from_there() {
    let (mut a, mut b) = pair();
    let first = a.want(0, b.address);
    b.queue_depth = 128;
    let other = address(77);
    assert_eq!(a.want(250, other), first);
    let cookie = sent(&b.receive(250, a.address, &first));
    assert!(a.receive(250, other, &cookie).is_empty());
    let proven = a.want(750, other);
    assert_eq!(proven[..168], first[..168]);
    assert_ne!(proven[168..], [0; 16]);
    let theirs = session(b.receive(750, a.address, &proven));
    session(a.receive(750, other, &theirs.reply.unwrap().1));
}

#[test]
fn what_was_begun_with_another_preshared_key_is_given_up() {
    let (mut a, mut b) = pair();
    let old = a.want(0, b.address);
    a.set_peer(PEER, 2, [0; 32]);
    assert_eq!(a.want(10, b.address), old, "nothing has changed");
    a.set_peer(PEER, 2, [5; 32]);
    b.set_peer(PEER, 1, [5; 32]);
    let new = a.want(20, b.address);
    assert_ne!(new, old);
    let theirs = session(b.receive(20, a.address, &new));
    session(a.receive(20, b.address, &theirs.reply.unwrap().1));
}

/// The answer to a copy must not leave before the owner of the peer has the keys that the first answer permits to use.
#[test]
fn what_concerns_a_peer_leaves_through_its_owner() {
    let workers = Workers::new(4).unwrap();
    let (owner, other) = (workers.owner(PEER), WorkerId(0));
    assert_ne!(owner, other);
    let (mut a, mut b) = pair();
    let paths = vec![path_to(0, b.address)];
    let start = a.input(0, Input::Start { peer: PEER, paths });
    let init = sent(&start);
    let first = b.receive(0, a.address, &init);
    let copy = b.receive(0, address(9), &init);
    assert!(matches!(
        (&first[..], &copy[..]),
        ([Output::Session(_)], [Output::Transmit { .. }])
    ));
    for output in start.iter().chain(&first).chain(&copy) {
        assert_eq!(output.route(other, workers), owner);
    }

    b.queue_depth = 128;
    let mut stranger = Host::new(3).knows(2, [0; 32]);
    let init = stranger.start(0, b.address);
    let cookie = b.receive(0, stranger.address, &init);
    assert_eq!(transmits(&cookie).len(), 1);
    for output in &cookie {
        assert_eq!(output.route(other, workers), other);
    }
}

#[test]
fn first_messages_that_cross_both_lead_to_sessions() {
    let (mut a, mut b) = pair();
    let (from_a, from_b) = (a.start(0, b.address), b.start(0, a.address));
    let at_b = session(b.receive(10, a.address, &from_a));
    let at_a = session(a.receive(10, b.address, &from_b));
    let second_at_a = session(a.receive(20, b.address, &at_b.reply.clone().unwrap().1));
    let second_at_b = session(b.receive(20, a.address, &at_a.reply.clone().unwrap().1));
    assert_one_way(&second_at_a, &at_b);
    assert_one_way(&second_at_b, &at_a);
}

#[test]
fn three_first_messages_may_be_answered_at_a_time() {
    let (mut a, mut b) = pair();
    let inits: Vec<_> = (0..4).map(|n| a.start(n * 250, b.address)).collect();
    let resps: Vec<_> = inits
        .iter()
        .enumerate()
        .map(|(n, init)| sent(&b.receive(n as u64 * 250, a.address, init)))
        .collect();
    assert_dropped(
        &a.receive(800, b.address, &resps[0]),
        DropReason::HandshakeUnexpected,
    );
    // The responder put away the session of the second when it read the third and the fourth: these must
    // stay open, and the one before them must not.
    session(a.receive(810, b.address, &resps[2]));
    assert_dropped(
        &a.receive(820, b.address, &resps[1]),
        DropReason::HandshakeUnexpected,
    );
    session(a.receive(830, b.address, &resps[3]));
}

#[test]
fn the_index_of_a_session_stays_in_use_until_it_is_released() {
    let (mut a, mut b) = pair();
    let lost = a.start(0, b.address);
    let (ours, theirs) = complete(250, &mut a, &mut b);
    assert_eq!((a.machine.indices.in_use(), b.machine.indices.in_use()), (1, 1));
    for n in 1..=6 {
        a.start(250 + n, b.address);
    }
    assert_eq!(a.machine.indices.in_use(), 1 + 3);
    a.machine.expire(at(20_000));
    assert_eq!(a.machine.indices.in_use(), 1);
    a.input(20_000, Input::Release(ours.our_index));
    b.input(20_000, Input::Release(theirs.our_index));
    assert_eq!((a.machine.indices.in_use(), b.machine.indices.in_use()), (0, 0));
    assert_eq!(
        drops(&b.receive(20_000, a.address, &lost)),
        [DropReason::HandshakeStale]
    );
}

#[test]
fn an_attempt_ends_after_eight_seconds() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(0, a.address, &init));
    assert_eq!(a.machine.indices.in_use(), 1);
    let mut other = a;
    other.machine.expire(at(7_999));
    assert_eq!(other.machine.indices.in_use(), 1);
    other.machine.expire(at(8_000));
    assert_eq!(other.machine.indices.in_use(), 0);
    assert_dropped(
        &other.receive(8_000, b.address, &resp),
        DropReason::HandshakeUnexpected,
    );
}

#[test]
fn a_first_message_late_by_almost_five_seconds_is_answered() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(4_900, a.address, &init));
    session(a.receive(4_999, b.address, &resp));
}

#[test]
fn a_removed_peer_is_forgotten() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(0, a.address, &init));
    a.input(0, Input::RemovePeer(PEER));
    assert_dropped(&a.receive(0, b.address, &resp), DropReason::HandshakeUnexpected);
    assert_eq!(a.machine.indices.in_use(), 0);
    assert!(
        a.input(
            0,
            Input::Start {
                peer: PEER,
                paths: vec![path_to(0, b.address)]
            }
        )
        .is_empty()
    );

    b.input(0, Input::RemovePeer(PEER));
    assert_dropped(&b.receive(0, a.address, &init), DropReason::HandshakeUnknownPeer);
}

#[test]
fn a_key_belongs_to_the_slot_named_last() {
    let (mut a, mut b) = pair();
    b.set_peer(PeerId(8), 1, [0; 32]);
    let init = a.start(0, b.address);
    assert_eq!(session(b.receive(0, a.address, &init)).peer, PeerId(8));
    // A slot that gets another key forgets the old one.
    b.set_peer(PeerId(8), 9, [0; 32]);
    let init = a.start(1000, b.address);
    assert_dropped(
        &b.receive(1000, a.address, &init),
        DropReason::HandshakeUnknownPeer,
    );
}

#[test]
fn a_new_preshared_key_takes_effect_and_keeps_what_is_known_of_the_clock() {
    let (mut a, mut b) = pair();
    complete(0, &mut a, &mut b);
    let old = a.start(1000, b.address);
    complete(2000, &mut a, &mut b);
    a.set_peer(PEER, 2, [5; 32]);
    b.set_peer(PEER, 1, [5; 32]);
    complete(3000, &mut a, &mut b);
    let out = b.receive(4000, a.address, &old);
    assert_eq!(drops(&out), [DropReason::HandshakeStale]);
}

#[test]
fn the_responder_takes_the_highest_common_version() {
    let (_, mut b) = pair();
    let crafted = Crafted {
        header: HsInit::header(1, 9, false),
        ..Crafted::new()
    };
    assert_eq!(session(b.receive(0, address(1), &crafted.emit().1)).version, 1);
    for (min, max) in [(2, 9), (0, 0), (1, 0), (9, 1)] {
        let (_, mut b) = pair();
        let crafted = Crafted {
            header: HsInit::header(min, max, false),
            ..Crafted::new()
        };
        assert_dropped(
            &b.receive(0, address(1), &crafted.emit().1),
            DropReason::HandshakeVersion,
        );
    }
}

#[test]
fn no_common_suite_is_a_refusal() {
    let (_, mut b) = pair();
    let mut crafted = Crafted::new();
    crafted.payload.suites = SuiteSet::of(Suite::Aes256Gcm);
    assert_dropped(
        &b.receive(0, address(1), &crafted.emit().1),
        DropReason::HandshakeCipher,
    );
}

#[test]
fn lanes_are_what_both_can() {
    let (_, mut b) = pair();
    let mut crafted = Crafted::new();
    crafted.payload.lanes_max = 16;
    assert_eq!(session(b.receive(0, address(1), &crafted.emit().1)).lanes, 1);
}
