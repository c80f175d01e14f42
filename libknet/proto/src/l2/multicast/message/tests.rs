use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::l2::multicast::{destination, tests_frames as build};

const GROUP: [u8; 4] = [239, 1, 2, 3];

fn groups(frame: &[u8]) -> Vec<(IpAddr, bool)> {
    match Message::parse(frame) {
        Some(Message::Report(report)) => report.groups().collect(),
        other => panic!("{other:?}"),
    }
}

fn v6(last: u16) -> [u8; 16] {
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, last).octets()
}

#[test]
fn hosts_say_what_they_listen_to_in_all_versions() {
    let group = IpAddr::from(GROUP);
    for (kind, listens) in [(0x12, true), (0x16, true), (0x17, false)] {
        assert_eq!(groups(&build::igmp(kind, GROUP, &[])), [(group, listens)]);
    }
    let v3 = build::igmp_records(&[
        (4, GROUP, 0),
        (3, [239, 1, 2, 4], 0),
        (3, [239, 1, 2, 5], 2),
        (6, [239, 1, 2, 6], 1),
        (1, [239, 1, 2, 7], 0),
        (5, [239, 1, 2, 8], 1),
        (4, [224, 0, 0, 9], 0),
    ]);
    let expected = [(3, true), (4, false), (5, true), (7, false), (8, true)];
    let expected: Vec<_> = expected
        .map(|(n, listens)| (IpAddr::from([239, 1, 2, n]), listens))
        .into();
    assert_eq!(groups(&v3), expected);

    for (kind, listens) in [(131, true), (132, false)] {
        assert_eq!(groups(&build::mld(kind, v6(7))), [(IpAddr::from(v6(7)), listens)]);
    }
    let v2 = build::mld_records(&[(4, v6(1), 0), (3, v6(2), 0), (1, v6(3), 3)]);
    let expected = [(1, true), (2, false), (3, true)].map(|(n, listens)| (IpAddr::from(v6(n)), listens));
    assert_eq!(groups(&v2), expected);
}

#[test]
fn who_asks_for_all_groups_and_who_is_a_router() {
    let is_query = |frame: &[u8], of| matches!(Message::parse(frame), Some(Message::Query(query)) if query.protocol() == of);
    assert!(is_query(&build::igmp(0x11, [0; 4], &[]), Protocol::Igmp));
    assert!(
        is_query(&build::igmp(0x11, [0; 4], &[2, 125, 0, 0]), Protocol::Igmp),
        "version 3"
    );
    assert!(is_query(&build::mld(130, [0; 16]), Protocol::Mld));
    assert!(
        Message::parse(&build::igmp(0x11, GROUP, &[])).is_none(),
        "for one group"
    );
    assert!(matches!(
        Message::parse(&build::pim()),
        Some(Message::Router(Protocol::Igmp))
    ));
}

#[test]
fn who_asks_says_how_often_and_how_long_there_is_to_answer() {
    let asked = |frame: &[u8]| match Message::parse(frame) {
        Some(Message::Query(query)) => (
            query.version,
            query.within.as_millis(),
            query.interval.as_secs(),
            query.robustness,
        ),
        other => panic!("{other:?}"),
    };
    let code = |code, more: &[u8]| {
        let mut frame = build::igmp(0x11, [0; 4], more);
        frame[35] = code;
        build::finish_igmp(&mut frame);
        asked(&frame)
    };
    assert_eq!(code(0, &[]), (1, 10_000, 125, 2));
    assert_eq!(code(200, &[]), (2, 20_000, 125, 2), "no exponent in this version");
    assert_eq!(code(100, &[2, 60, 0, 0]), (3, 10_000, 60, 2));
    assert_eq!(code(0x8f, &[0x0b, 0x80, 0, 0]), (3, 24_800, 128, 3));
    assert_eq!(
        code(100, &[0, 0, 0, 0]),
        (3, 10_000, 125, 2),
        "as RFC 3376, 4.1.6 and 4.1.7"
    );
    assert_eq!(
        code(255, &[7, 255, 0, 0]),
        (3, 3_174_400, 3_600, 7),
        "nor longer than is believed"
    );
    assert_eq!(code(255, &[2, 10, 0, 0]), (3, 10_000, 10, 2));
    assert_eq!(asked(&build::mld(130, [0; 16])), (1, 0, 125, 2));
}

#[test]
fn what_is_damaged_says_nothing() {
    for frame in [
        build::igmp(0x16, GROUP, &[]),
        build::igmp_records(&[(4, GROUP, 1)]),
        build::mld(131, v6(7)),
        build::mld_records(&[(4, v6(1), 0)]),
    ] {
        assert!(Message::parse(&frame).is_some());
        // Addresses of IPv4 and options of IPv6 are not in the sum.
        let message_at = if frame[12] == 0x08 { 34 } else { 62 };
        for at in message_at..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert!(Message::parse(&damaged).is_none(), "{at} of {frame:?}");
            assert!(Message::parse(&frame[..at]).is_none());
        }
    }
    // A record that claims to be longer than it is ends the list.
    let mut cut = build::igmp_records(&[(4, GROUP, 0), (4, [239, 1, 2, 4], 0)]);
    cut[14 + 20 + 8 + 8 + 3] = 200;
    build::finish_igmp(&mut cut);
    assert_eq!(groups(&cut), [(IpAddr::from(GROUP), true)]);
}

#[test]
fn a_group_is_where_its_packet_says() {
    let frame = build::igmp(0x16, GROUP, &[]);
    assert_eq!(destination(&frame), Some(IpAddr::from(GROUP)));
    let tagged = [&frame[..12], &[0x81, 0, 0, 10], &frame[12..]].concat();
    assert_eq!(destination(&tagged), Some(IpAddr::from(GROUP)));
    assert_eq!(groups(&tagged), [(IpAddr::from(GROUP), true)]);
    let mut to_one = frame.clone();
    to_one[0] = 2;
    assert_eq!(destination(&to_one), None);
    assert_eq!(destination(&build::mld(131, v6(7))), Some(IpAddr::from(v6(7))));
    for always in [
        "224.0.0.1",
        "224.0.0.251",
        "ff02::1",
        "ff02::1:ff00:7",
        "ff01::5",
        "ff00::1",
    ] {
        assert!(is_for_all(always.parse().unwrap()), "{always}");
    }
    for group in ["224.0.1.1", "239.0.0.1", "ff02::fb", "ff05::1", "ff02::2:ff00:7"] {
        assert!(!is_for_all(group.parse().unwrap()), "{group}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0..3_usize) {
        let kinds = [vec![0x08, 0x00, 0x45], vec![0x86, 0xdd, 0x60], vec![]];
        for (place, byte) in bytes.iter_mut().skip(12).zip(&kinds[kind]) {
            *place = *byte;
        }
        let _ = destination(&bytes);
        if let Some(Message::Report(report)) = Message::parse(&bytes) {
            prop_assert!(report.groups().count() <= usize::from(MAX_RECORDS) + 1);
        }
    }
}
