//! Replays, and clocks that are wrong.

use super::*;
use crate::wire::header::MessageType;

const TEN_YEARS: i64 = 315_576_000;

/// A handshake that costs one round trip more: RETRY, and then the session.
fn complete_with_retry(ms: u64, a: &mut Host, b: &mut Host) -> (NewSession, NewSession) {
    let init = a.start(ms, b.address);
    let out = b.receive(ms, a.address, &init);
    assert_eq!(drops(&out), [DropReason::HandshakeStale]);
    let retry = sent(&out);
    assert_eq!((retry[0], retry.len()), (MessageType::Retry as u8, 64));
    let again = a.receive(ms, b.address, &retry);
    assert!(matches!(&again[..], [Output::Transmit { path, .. }] if *path == path_to(0, b.address)));
    let again = sent(&again);
    assert_ne!(again[8..40], init[8..40], "a fresh ephemeral key");
    let theirs = session(b.receive(ms, a.address, &again));
    let ours = session(a.receive(ms, b.address, &theirs.reply.clone().unwrap().1));
    (ours, theirs)
}

#[test]
fn a_clock_wrong_by_ten_years_costs_one_round_trip() {
    for error in [TEN_YEARS, -TEN_YEARS] {
        let (mut a, mut b) = pair();
        complete(0, &mut a, &mut b);
        a.clock_error = error;
        complete_with_retry(10_000, &mut a, &mut b);
        complete_with_retry(20_000, &mut a, &mut b);
        // Put right: no trace is left of it.
        a.clock_error = 0;
        complete(30_000, &mut a, &mut b);
    }
}

#[test]
fn the_responders_clock_may_be_wrong_too() {
    for error in [TEN_YEARS, -TEN_YEARS] {
        let (mut a, mut b) = pair();
        complete(0, &mut a, &mut b);
        b.clock_error = error;
        if error > 0 {
            complete(10_000, &mut a, &mut b);
        } else {
            complete_with_retry(10_000, &mut a, &mut b);
        }
        b.clock_error = 0;
        complete(20_000, &mut a, &mut b);
    }
}

#[test]
fn a_clock_set_back_a_little_or_standing_still_costs_nothing() {
    let (mut a, mut b) = pair();
    complete(0, &mut a, &mut b);
    complete(0, &mut a, &mut b);
    a.clock_error = -200;
    complete(1_000, &mut a, &mut b);
    complete(2_000, &mut a, &mut b);
}

#[test]
fn a_replayed_first_message_gives_no_session() {
    let (mut a, mut b) = pair();
    let old = a.start(0, b.address);
    session(b.receive(0, a.address, &old));
    // As long as the answer is kept it may be a copy from another link. Then it is a replay.
    assert_eq!(transmits(&b.receive(4_999, address(66), &old)).len(), 1);
    assert_dropped(&b.receive(5_000, a.address, &old), DropReason::HandshakeReplay);
    assert_dropped(
        &b.receive(179_000, address(66), &old),
        DropReason::HandshakeReplay,
    );
    // And once it is not among the last four, it is just old. Nobody can follow the RETRY.
    for n in 0..4 {
        complete(200_000 + n * 1_000, &mut a, &mut b);
    }
    let out = b.receive(300_000, a.address, &old);
    assert_eq!(drops(&out), [DropReason::HandshakeStale]);
    assert_eq!(sent(&out)[0], MessageType::Retry as u8);
    assert_dropped(&b.receive(300_100, a.address, &old), DropReason::HandshakeStale);
}

#[test]
fn a_replay_with_changed_mac1_or_ephemeral_key_is_refused_while_the_answer_is_kept() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    session(b.receive(0, a.address, &init));
    let mut forged = init.clone();
    forged[100] ^= 1;
    Mac1Key::new(&b.machine.public_key()).put(&mut forged);
    assert_dropped(&b.receive(10, a.address, &forged), DropReason::HandshakeReplay);
}

#[test]
fn replays_are_refused_whatever_our_clock_does() {
    let (mut a, mut b) = pair();
    let old: Vec<_> = (0..8)
        .map(|n| {
            let init = a.start(n * 1_000, b.address);
            session(b.receive(n * 1_000, a.address, &init));
            init
        })
        .collect();
    for (n, error) in [3_600, -3_600, TEN_YEARS, -TEN_YEARS, 0].into_iter().enumerate() {
        b.clock_error = error;
        for (m, init) in old.iter().enumerate() {
            let out = b.receive(20_000 + n as u64 * 10_000 + m as u64 * 60, a.address, init);
            assert!(
                !out.iter().any(|o| matches!(o, Output::Session(_))),
                "clock error {error}: {out:?}"
            );
        }
    }
}

/// What remains: right after a restart the responder knows no time stamp, and takes one recording as new. Its
/// session is never confirmed, and the peer itself comes in after it.
#[test]
fn after_a_restart_of_the_responder_a_recording_passes_once_and_does_no_harm() {
    let (mut a, mut b) = pair();
    let old = a.start(0, b.address);
    session(b.receive(0, a.address, &old));
    complete(1_000, &mut a, &mut b);
    let mut b = Host::new(2).knows(1, [0; 32]);
    session(b.receive(5_000, a.address, &old));
    assert_dropped(&b.receive(10_000, a.address, &old), DropReason::HandshakeReplay);
    complete(11_000, &mut a, &mut b);
}

#[test]
fn a_message_with_a_valid_echo_is_taken_once() {
    let (mut a, mut b) = pair();
    a.clock_error = TEN_YEARS;
    let init = a.start(0, b.address);
    let retry = sent(&b.receive(0, a.address, &init));
    let again = sent(&a.receive(0, b.address, &retry));
    session(b.receive(0, a.address, &again));
    // Its echo is valid for some more seconds, but the message was accepted before.
    assert_dropped(&b.receive(6_000, a.address, &again), DropReason::HandshakeReplay);
}

#[test]
fn an_echo_is_worth_nothing_from_another_address_or_later() {
    let (mut a, mut b) = pair();
    a.clock_error = TEN_YEARS;
    let init = a.start(0, b.address);
    let retry = sent(&b.receive(0, a.address, &init));
    let again = sent(&a.receive(0, b.address, &retry));
    assert_eq!(
        drops(&b.receive(3_000, address(66), &again)),
        [DropReason::HandshakeStale]
    );
    assert_eq!(
        drops(&b.receive(16_001, a.address, &again)),
        [DropReason::HandshakeStale]
    );
}

#[test]
fn at_most_one_retry_per_second_and_peer() {
    let (mut a, mut b) = pair();
    a.clock_error = TEN_YEARS;
    let mut retries = 0;
    for n in 0..100 {
        let init = a.start(n * 100, b.address);
        let out = b.receive(n * 100, a.address, &init);
        assert_eq!(drops(&out), [DropReason::HandshakeStale]);
        retries += transmits(&out).len();
    }
    assert_eq!(retries, 10);
}
