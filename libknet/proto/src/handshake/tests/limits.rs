//! Load: cookies, rates and bounds.

use core::ops::Range;

use super::*;
use crate::{handshake::cookie::CookieMint, wire::header::MessageType};

fn is_cookie(bytes: &[u8]) -> bool {
    bytes[0] == MessageType::Cookie as u8
}

#[test]
fn under_load_a_cookie_is_demanded_and_opens_the_door() {
    let (mut a, mut b) = pair();
    b.queue_depth = 127;
    let init = a.start(0, b.address);
    assert!(!session(b.receive(0, a.address, &init)).proven);

    b.queue_depth = 128;
    let init = a.start(1_000, b.address);
    assert_eq!(init[168..], [0; 16]);
    let out = b.receive(1_000, a.address, &init);
    assert_eq!(drops(&out), [DropReason::HandshakeMac2]);
    let cookie = sent(&out);
    assert!(is_cookie(&cookie) && cookie.len() == 64);
    assert!(a.receive(1_000, b.address, &cookie).is_empty());

    // From now on messages along this path, and only these, carry MAC2.
    let paths = vec![
        path_to(0, b.address),
        path_to(1, b.address),
        path_to(0, address(50)),
    ];
    let out = transmits(&a.input(1_250, Input::Start { peer: PEER, paths }));
    assert_ne!(out[0].1[168..], [0; 16]);
    assert_eq!((&out[1].1[168..], &out[2].1[168..]), (&[0; 16][..], &[0; 16][..]));
    assert!(
        out.iter().all(|(_, bytes)| bytes[..168] == out[0].1[..168]),
        "identical but for MAC2"
    );
    let theirs = session(b.receive(1_250, a.address, &out[0].1));
    assert!(theirs.proven, "it receives where the cookie went to");
    session(a.receive(1_250, b.address, &theirs.reply.unwrap().1));
}

#[test]
fn a_wrong_cookie_opens_nothing() {
    let (mut a, mut b) = pair();
    b.queue_depth = 128;
    let init = a.start(0, b.address);
    let cookie = sent(&b.receive(0, a.address, &init));
    a.receive(0, b.address, &cookie);
    let good = a.start(250, b.address);
    for byte in 168..184 {
        let mut forged = good.clone();
        forged[byte] ^= 1 << (byte % 8);
        let out = b.receive(250, a.address, &forged);
        assert_eq!(drops(&out), [DropReason::HandshakeMac2]);
        assert!(is_cookie(&sent(&out)));
    }
    assert_eq!(
        drops(&b.receive(250, address(66), &good)),
        [DropReason::HandshakeMac2],
        "another address"
    );
    let port = SocketAddr::new(a.address.ip(), 7701);
    assert_eq!(
        drops(&b.receive(250, port, &good)),
        [DropReason::HandshakeMac2],
        "another port"
    );
    session(b.receive(250, a.address, &good));
}

#[test]
fn a_cookie_does_not_lift_the_limit_of_its_source() {
    let (mut a, mut b) = pair();
    b.queue_depth = 128;
    let init = a.start(0, b.address);
    let cookie = sent(&b.receive(0, a.address, &init));
    a.receive(0, b.address, &cookie);
    for n in 0..5 {
        let init = a.start(n, b.address);
        assert_ne!(
            drops(&b.receive(n, a.address, &init)),
            [DropReason::HandshakeRate]
        );
    }
    let init = a.start(6, b.address);
    assert_dropped(&b.receive(6, a.address, &init), DropReason::HandshakeRate);
}

#[test]
fn the_latest_cookie_of_a_path_is_used() {
    let (mut a, mut b) = pair();
    for ms in [0, 130_000, 200_000] {
        b.queue_depth = 128;
        let init = a.start(ms, b.address);
        // The responder restarts, and does not know its own cookies any more.
        if ms > 0 {
            b = Host::new(2).knows(1, [0; 32]);
            b.machine.cookies = CookieMint::new(&mut SeededEntropy::new([ms as u8; 32]), at(ms));
            b.queue_depth = 128;
        }
        let cookie = sent(&b.receive(ms, a.address, &init));
        a.receive(ms, b.address, &cookie);
        assert_eq!(a.machine.peers[&PEER].cookies.len(), 1);
        complete(ms + 250, &mut a, &mut b);
    }
}

/// Whoever sees our first message may answer it as often as he likes; it costs us two exchanges each time.
#[test]
fn forged_answers_are_limited_per_attempt() {
    let (mut a, mut b) = pair();
    let init = a.start(0, b.address);
    let resp = sent(&b.receive(0, a.address, &init));
    let mut forged = resp.clone();
    forged[50] ^= 1;
    Mac1Key::new(&a.machine.public_key()).put(&mut forged);
    let reasons: Vec<_> = (0..100)
        .map(|_| drops(&a.receive(0, b.address, &forged))[0])
        .collect();
    assert!(reasons[..8].iter().all(|r| *r == DropReason::HandshakeCrypto));
    assert!(reasons[8..].iter().all(|r| *r == DropReason::HandshakeRate));
    session(a.receive(50, b.address, &resp));
}

#[test]
fn load_lasts_for_a_second() {
    let (mut a, mut b) = pair();
    b.queue_depth = 128;
    assert_dropped(&b.receive(0, address(66), &[0]), DropReason::WireType);
    b.queue_depth = 0;
    let init = a.start(999, b.address);
    assert_eq!(
        drops(&b.receive(999, a.address, &init)),
        [DropReason::HandshakeMac2]
    );
    session(b.receive(1_000, a.address, &init));
}

#[test]
fn a_cookie_is_used_for_two_minutes() {
    let (mut a, mut b) = pair();
    b.queue_depth = 128;
    let init = a.start(0, b.address);
    let cookie = sent(&b.receive(0, a.address, &init));
    a.receive(0, b.address, &cookie);
    assert_ne!(a.start(119_999, b.address)[168..], [0; 16]);
    assert_eq!(a.start(120_000, b.address)[168..], [0; 16]);
}

#[test]
fn cookies_are_demanded_of_peers_with_a_wrong_clock_too() {
    let (mut a, mut b) = pair();
    a.clock_error = -315_576_000;
    b.queue_depth = 128;
    complete_after_all(&mut a, &mut b);
}

/// COOKIE, then RETRY, then the session: each message is followed by what it asks for.
fn complete_after_all(a: &mut Host, b: &mut Host) {
    complete_once(a, b, 0);
    // Known by its first time stamp, the second is older.
    a.clock_error -= 1_000;
    let init = a.start(5_000, b.address);
    let retry = sent(&b.receive(5_000, a.address, &init));
    assert_eq!(retry[0], MessageType::Retry as u8);
    let again = sent(&a.receive(5_000, b.address, &retry));
    let theirs = session(b.receive(5_000, a.address, &again));
    session(a.receive(5_000, b.address, &theirs.reply.unwrap().1));
}

fn complete_once(a: &mut Host, b: &mut Host, ms: u64) {
    let init = a.start(ms, b.address);
    let cookie = sent(&b.receive(ms, a.address, &init));
    assert!(is_cookie(&cookie));
    a.receive(ms, b.address, &cookie);
    complete(ms + 250, a, b);
}

/// Somebody who knows our public key floods us in the name of a peer's address; the peer comes in all the same.
#[test]
fn a_flood_in_the_name_of_a_peers_address_does_not_keep_the_peer_out() {
    let (mut a, mut b) = pair();
    let mut noise = [0x5a; 184];
    noise[..4].copy_from_slice(&HsInit::header(1, 1, false));
    let mut exchanged = 0;
    let mut flood = |b: &mut Host, ms| {
        noise[8] = noise[8].wrapping_add(1);
        Mac1Key::new(&private(2).public_key()).put(&mut noise);
        let out = b.receive(ms, address(1), &noise);
        exchanged += usize::from(drops(&out) == [DropReason::HandshakeCrypto]);
        out
    };
    for ms in 0..1_000 {
        flood(&mut b, ms);
    }
    let init = a.start(1_000, b.address);
    flood(&mut b, 1_000);
    let out = b.receive(1_000, a.address, &init);
    assert_eq!(drops(&out), [DropReason::HandshakeRate]);
    a.receive(1_000, b.address, &sent(&out));
    flood(&mut b, 1_250);
    complete(1_250, &mut a, &mut b);
    // All that the flood cost us beyond MAC1: what one source may.
    assert!((20..=5 + 20 + 5).contains(&exchanged), "{exchanged}");
}

#[test]
fn at_most_four_accepted_per_second_and_peer() {
    let (mut a, mut b) = pair();
    let mut accepted = vec![];
    for n in 0..100_u32 {
        let ms = u64::from(n) * 50;
        let init = a.start(ms, b.address);
        let out = b.receive(ms, address(1_000 + n), &init);
        match &out[..] {
            [Output::Session(_)] => accepted.push(ms),
            _ => assert_dropped(&out, DropReason::HandshakePeerRate),
        }
    }
    assert!(
        (20..=24).contains(&accepted.len()),
        "4 per second for 5 seconds and 4: {}",
        accepted.len()
    );
}

#[test]
fn at_most_forty_thousand_cookies_per_second() {
    let (mut a, mut b) = pair();
    b.queue_depth = 1_000;
    let init = a.start(0, b.address);
    let cookies = |b: &mut Host, ms, sources: Range<u32>| {
        sources
            .filter(|n| !transmits(&b.receive(ms, address(*n), &init)).is_empty())
            .count()
    };
    assert_eq!(cookies(&mut b, 0, 10_000..27_000), 16_384);
    assert_eq!(cookies(&mut b, 10, 30_000..30_500), 400);
    // RETRYs are of the same account.
    b.queue_depth = 0;
    b.machine.cookies_until = Time::ZERO;
    let stale = Crafted {
        payload: InitPayload {
            timestamp: [0; 12],
            ..Crafted::new().payload
        },
        ..Crafted::new()
    };
    let stale = stale.emit().1;
    assert_dropped(&b.receive(10, a.address, &stale), DropReason::HandshakeStale);
    assert_eq!(transmits(&b.receive(1_100, a.address, &stale)).len(), 1);
}

/// Somebody asks a hundred thousand times a second in the name of 5,000 others: who asks for himself has his cookie.
#[test]
fn who_asks_often_does_not_take_the_cookies_of_others() {
    let (mut a, mut b) = pair();
    b.queue_depth = 1_000;
    let init = a.start(0, b.address);
    let answered = |b: &mut Host, ms, n| !transmits(&b.receive(ms, address(n), &init)).is_empty();
    let mut others = 0;
    for ms in 0..1_000_u32 {
        for n in 0..100 {
            others += u32::from(answered(&mut b, ms.into(), 10_000 + (ms * 100 + n) % 5_000));
        }
        if ms % 100 == 99 {
            assert!(answered(&mut b, ms.into(), ms), "after {ms} ms");
        }
    }
    // Not more than there are, and not fewer than the half of what may come at once and the rate.
    assert!((48_000..48_400).contains(&others), "{others}");
}

#[test]
fn too_many_exchanges_lead_to_cookies() {
    let (mut a, mut b) = pair();
    let mut counts = [0; 3];
    for n in 0..400_u32 {
        let mut noise = [0x5a; 184];
        noise[..4].copy_from_slice(&HsInit::header(1, 1, false));
        noise[8..12].copy_from_slice(&n.to_le_bytes());
        Mac1Key::new(&private(2).public_key()).put(&mut noise);
        let out = b.receive(0, address(20_000 + n), &noise);
        match drops(&out)[..] {
            [DropReason::HandshakeCrypto] => counts[0] += 1,
            [DropReason::HandshakeRate] => counts[1] += 1,
            [DropReason::HandshakeMac2] => counts[2] += 1,
            _ => panic!("{out:?}"),
        }
    }
    assert_eq!(counts, [256, 1, 143]);
    // A peer passes with a cookie as soon as there is time for it again.
    let init = a.start(100, b.address);
    let cookie = sent(&b.receive(100, a.address, &init));
    a.receive(100, b.address, &cookie);
    complete(350, &mut a, &mut b);
}

#[test]
fn indices_are_bounded_and_come_back() {
    let (mut a, mut b) = pair();
    let mut indices = vec![];
    let mut ms = 0;
    for _ in 0..1_028 {
        ms += 300;
        let (ours, theirs) = complete(ms, &mut a, &mut b);
        a.input(ms, Input::Release(ours.our_index));
        indices.push(theirs.our_index);
    }
    ms += 300;
    let init = a.start(ms, b.address);
    assert_dropped(&b.receive(ms, a.address, &init), DropReason::HandshakeNoIndex);
    b.input(ms, Input::Release(indices[0]));
    complete(ms + 300, &mut a, &mut b);
}

/// Memory of strangers: none but the table of sources, and that is bounded and empties itself.
#[test]
fn strangers_leave_nothing_behind() {
    let mut b = Host::new(2).knows(1, [0; 32]);
    for n in 0..2_000_u32 {
        let mut stranger = Host::new(3).knows(2, [0; 32]);
        let ms = u64::from(n) * 10;
        let init = stranger.start(ms, b.address);
        b.receive(ms, address(30_000 + n), &init);
        assert!(
            b.machine.sources.len() <= 20,
            "{} sources at {ms} ms",
            b.machine.sources.len()
        );
    }
    assert_eq!(b.machine.indices.in_use(), 0);
    assert_eq!(b.machine.peers.len(), 1);
}

/// What the initiator keeps per peer is bounded, whatever it is sent.
#[test]
fn cookies_kept_per_peer_are_bounded() {
    let (mut a, mut b) = pair();
    b.queue_depth = 128;
    for n in 0..40 {
        let hub = address(100 + n);
        let init = a.start(u64::from(n), hub);
        let cookie = sent(&b.receive(u64::from(n), a.address, &init));
        a.receive(u64::from(n), hub, &cookie);
    }
    assert_eq!(a.machine.peers[&PEER].cookies.len(), 16);
    assert_ne!(a.start(100, address(139))[168..], [0; 16], "the latest are kept");
    assert_eq!(a.start(100, address(100))[168..], [0; 16]);
    assert_eq!(a.machine.peers[&PEER].attempts.len(), 3);
    assert_eq!(a.machine.indices.in_use(), 3);
}
