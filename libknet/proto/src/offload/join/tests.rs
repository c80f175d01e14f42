use std::{vec, vec::Vec};

use super::{
    super::tests::{CWR, ECE, FIN, Flow, PSH, join_all, repair, seen},
    *,
};

/// How many frames became one, one after the other.
fn runs(frames: &[Vec<u8>]) -> Vec<usize> {
    let written = join_all(frames, 5);
    assert_eq!(seen(&written), frames);
    let count = |written: &(VirtioNetHeader, Vec<u8>)| seen(std::slice::from_ref(written)).len();
    written.iter().map(count).collect()
}

/// Two super-frames of which the second continues the first.
fn two(change: impl Fn(&mut Flow)) -> Vec<Vec<u8>> {
    let first = Flow {
        payload: vec![1; 2800],
        ..Flow::tcp4()
    };
    let mut second = Flow {
        id: first.id.wrapping_add(2),
        sequence: first.sequence.wrapping_add(2800),
        ..first.clone()
    };
    change(&mut second);
    [first.segments(1400), second.segments(1400)].concat()
}

#[test]
fn what_continues_is_joined_and_what_differs_is_not() {
    assert_eq!(runs(&two(|_| ())), [4]);
    assert_eq!(runs(&two(|f| f.port = 444)), [2, 2]);
    assert_eq!(runs(&two(|f| f.tos = 3)), [2, 2]);
    assert_eq!(runs(&two(|f| f.tags = 1)), [2, 2]);
    assert_eq!(runs(&two(|f| f.dont_fragment = false)), [2, 2]);
    assert_eq!(runs(&two(|f| f.id = f.id.wrapping_add(1))), [2, 2]);
    assert_eq!(runs(&two(|f| f.sequence = f.sequence.wrapping_add(1))), [2, 2]);
    assert_eq!(runs(&two(|f| f.tcp_options = 2)), [2, 2]);
    assert_eq!(runs(&two(|f| f.tcp_flags |= ECE)), [2, 2]);
    assert_eq!(runs(&two(|f| f.tcp_flags |= CWR)), [2, 2]);
    assert_eq!(runs(&two(|f| f.v6 = true)), [2, 2]);
    assert_eq!(runs(&two(|f| f.udp = true)), [2, 2]);
    assert_eq!(runs(&two(|f| f.ip_extra = 1)), [2, 1, 1]);
    assert_eq!(runs(&two(|f| f.payload.truncate(1))), [3]);
    assert_eq!(runs(&two(|f| f.payload.clear())), [2], "no frame at all");
}

#[test]
fn what_ends_a_stretch() {
    let flags = |first: u8, second: u8| {
        let mut first = Flow {
            payload: vec![1; 2800],
            tcp_flags: 0x10 | first,
            ..Flow::tcp4()
        };
        let head = first.segments(1400);
        first.id = first.id.wrapping_add(2);
        first.sequence = first.sequence.wrapping_add(2800);
        first.tcp_flags = 0x10 | second;
        runs(&[head, first.segments(1400)].concat())
    };
    assert_eq!(flags(0, 0), [4]);
    assert_eq!(flags(0, PSH | FIN), [4]);
    assert_eq!(flags(PSH, 0), [2, 2]);
    assert_eq!(flags(FIN, 0), [2, 2]);
    assert_eq!(flags(CWR, 0), [4]);
    assert_eq!(flags(CWR, CWR), [2, 2]);
    assert_eq!(flags(ECE, ECE), [4]);

    let mut short = two(|_| ());
    let cut = Flow {
        payload: vec![1; 1399],
        sequence: Flow::tcp4().sequence.wrapping_add(1400),
        id: Flow::tcp4().id.wrapping_add(1),
        ..Flow::tcp4()
    };
    short[1] = cut.segments(1400).remove(0);
    assert_eq!(runs(&short), [2, 2], "a short one");

    let flow = Flow::tcp4();
    let then = |payload: &[u8], tcp_flags: u8| {
        let first = flow.frame(&[1; 100], 0, 0, tcp_flags, false);
        runs(&[first, flow.frame(payload, 1, 100, tcp_flags, false)])
    };
    assert_eq!(then(&[2; 100], 0x10), [2]);
    assert_eq!(then(&[2; 101], 0x10), [1, 1], "a longer one");
    assert_eq!(then(&[2; 100], 0x10 | PSH), [1, 1], "two that were pushed");
    assert_eq!(then(&[], 0x10), [1, 1], "no payload");
}

/// What came later would otherwise come before what was refused.
#[test]
fn one_that_is_refused_ends_it() {
    let segments = Flow::tcp4().segments(1400);
    let len = segments[0].len();
    let mut buffer = [&segments[0][..], &[0; 60], &segments[1]].concat();
    let last = len + 60..buffer.len();
    let mut join = Join::begin(&buffer, 0..len, Checksum::Complete, Joins::ALL);
    assert!(join.clone().push(&mut buffer.clone(), last.clone()));
    assert!(!join.push(&mut buffer, len..len + 60));
    assert!(!join.push(&mut buffer, last));
}

#[test]
fn alone_are() {
    let alone = |change: &dyn Fn(&mut Flow)| {
        let mut flow = Flow::tcp4();
        change(&mut flow);
        runs(&flow.segments(1400)) == [1, 1, 1]
    };
    assert!(!alone(&|_| ()));
    for flags in [0x00, 0x12, 0x14, 0x30, 0x02, 0x08] {
        assert!(alone(&|f| f.tcp_flags = flags), "{flags:#x}");
    }
    assert!(alone(&|f| f.ip_extra = 1));
    assert!(alone(&|f| (f.v6, f.ip_extra) = (true, 1)));
    let mut reserved = Flow::tcp4().segments(1400);
    for segment in &mut reserved {
        segment[34 + 12] |= 1;
        repair(segment);
    }
    assert_eq!(runs(&reserved), [1, 1, 1], "a reserved bit");
    let mut damaged = Flow::tcp4().segments(1400);
    damaged[1][100] ^= 1;
    assert_eq!(runs(&damaged), [1, 1, 1], "the second's checksum");
    let mut damaged = Flow::tcp4().segments(1400);
    damaged[0][100] ^= 1;
    assert_eq!(runs(&damaged), [1, 2], "the first's checksum");
    let mut damaged = Flow::tcp4().segments(1400);
    damaged[0][24] ^= 1;
    assert_eq!(runs(&damaged), [1, 2], "the first's IPv4 checksum");
    let mut padded = Flow::tcp4().segments(1400);
    padded[1].push(0);
    assert_eq!(runs(&padded), [1, 1, 1]);
}

#[test]
fn udp_is_joined_if_the_tap_takes_it() {
    let flow = Flow::udp6();
    let segments = flow.segments(1400);
    assert_eq!(runs(&segments), [3]);
    let mut buffer = segments.concat();
    let (first, second) = (0..segments[0].len(), segments[0].len()..2 * segments[0].len());
    let mut join = Join::begin(
        &buffer,
        first.clone(),
        Checksum::Complete,
        Joins {
            tcp: true,
            udp: false,
        },
    );
    assert!(!join.push(&mut buffer, second));
    assert_eq!(join.finish(&mut buffer), Ok((VirtioNetHeader::default(), first)));
    assert_eq!(buffer, segments.concat());

    let mut none = flow.segments(1400);
    for segment in &mut none {
        segment[60..62].fill(0);
    }
    assert_eq!(runs(&none), [1, 1, 1], "no checksum");
}

#[test]
fn no_more_than_64_and_no_more_than_64_kib() {
    let many = Flow {
        payload: vec![3; 130 * 100],
        mss: 100,
        ..Flow::tcp4()
    };
    assert_eq!(runs(&many.segments(100)), [64, 64, 2]);
    // Headers of 20 + 32 bytes and 45 times 1455 are 65,527 bytes; 8 more fill the packet.
    let full = |more: usize| Flow {
        payload: vec![3; 45 * 1455 + more],
        ..Flow::tcp4()
    };
    assert_eq!(runs(&full(8).segments(1455)), [46]);
    let segments = full(8).segments(1455);
    let mut longer = segments[..45].to_vec();
    let last = Flow {
        payload: vec![3; 9],
        id: full(8).id.wrapping_add(45),
        sequence: full(8).sequence.wrapping_add(45 * 1455),
        ..Flow::tcp4()
    };
    longer.extend(last.segments(1455));
    assert_eq!(runs(&longer), [45, 1]);
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let segments = Flow::tcp4().segments(1400);
    let (len, mut buffer) = (segments[0].len(), segments.concat());
    for next in [
        0..len,
        len - 1..2 * len,
        len..buffer.len() + 1,
        2 * len..len,
        len..len,
    ] {
        let mut join = Join::begin(&buffer, 0..len, Checksum::Complete, Joins::ALL);
        assert!(!join.push(&mut buffer, next));
    }
    // A frame in the payload of the one before, and just right otherwise.
    let flow = Flow::tcp4();
    let inner = flow.frame(&[7; 50], 1, 1400, 0x10, false);
    let payload = [vec![7; 1400 - inner.len()], inner.clone()].concat();
    let mut outer = [flow.frame(&payload, 0, 0, 0x10, false), inner].concat();
    let (inside, behind) = (len - flow.header_len() - 50..len, len..outer.len());
    assert_eq!(outer[inside.clone()], outer[behind.clone()]);
    let mut join = Join::begin(&outer, 0..len, Checksum::Complete, Joins::ALL);
    assert!(join.clone().push(&mut outer.clone(), behind));
    assert!(!join.push(&mut outer, inside));

    let outside = buffer.len()..buffer.len() + 1;
    let mut join = Join::begin(&buffer, outside.clone(), Checksum::Complete, Joins::ALL);
    assert!(!join.push(&mut buffer, 0..len));
    assert_eq!(
        join.finish(&mut buffer),
        Ok((VirtioNetHeader::default(), outside))
    );
    assert_eq!(buffer, segments.concat());
}
