use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::l2::multicast::message::Message;

const MAC: MacAddr = MacAddr([2, 1, 2, 3, 4, 5]);

fn parsed(frame: &[u8]) -> Query {
    match Message::parse(frame) {
        Some(Message::Query(query)) => query,
        other => panic!("{other:?}"),
    }
}

/// As a capture of another querier shows it, but for addresses and checksums.
#[test]
fn a_question_of_igmp_has_these_bytes() {
    let query = Query::ours(Ipv4Addr::new(10, 200, 0, 1).into(), MAC, INTERVAL);
    let expected: Vec<u8> = [
        &[0x01, 0x00, 0x5e, 0, 0, 1, 2, 1, 2, 3, 4, 5, 8, 0][..],
        &[0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, 2, 0x39, 0x4a],
        &[10, 200, 0, 1, 224, 0, 0, 1, 0x94, 4, 0, 0],
        &[0x11, 100, 0xec, 0x1e, 0, 0, 0, 0, 2, 125, 0, 0],
        &[0; 10],
    ]
    .concat();
    assert_eq!(query.frame(), expected);
    assert_eq!(
        (query.membership(), query.presence()),
        (Span::from_secs(260), Span::from_secs(255)),
        "RFC 3376, 8.4 and 8.5"
    );
}

#[test]
fn a_question_of_mld_comes_from_a_link_local_address_with_a_router_alert() {
    let query = Query::ours(link_local(MAC).into(), MAC, INTERVAL);
    let frame = query.frame();
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(frame[14 + 7], 1, "hop limit");
    assert_eq!(frame[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
    assert_eq!(frame[62..64], [130, 0]);
    assert_eq!(frame[66..68], 10_000_u16.to_be_bytes());
    assert_eq!(frame[86..], [2, 125, 0, 0]);
    assert_eq!(parsed(&frame), query);
    // Higher than what is made of any MAC address, but of a group address.
    let made_of = |first: u8| {
        Ipv6Addr::from([
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            first ^ 2,
            0xff,
            0xff,
            0xff,
            0xfe,
            1,
            2,
            3,
        ])
    };
    assert!(
        (0..=0xfe)
            .step_by(2)
            .all(|first| made_of(first) < link_local(MacAddr([0; 6])))
    );
}

#[test]
fn the_lower_address_asks_and_who_has_none_last() {
    let of = |ip: [u8; 4], last| {
        let mac = MacAddr([2, 0, 0, 0, 0, last]);
        Query::ours(ip.into(), mac, INTERVAL).rank()
    };
    assert!(of([10, 0, 0, 1], 9) < of([10, 0, 0, 2], 1));
    assert!(of([10, 0, 0, 2], 9) < of([0; 4], 1));
    assert!(of([0; 4], 1) < of([0; 4], 2));
}

#[test]
fn long_times_are_written_with_an_exponent() {
    let numbers = [
        (127, 8),
        (128, 8),
        (255, 8),
        (32_767, 16),
        (32_768, 16),
        (65_535, 16),
    ];
    let expanded = numbers.map(|(code, bits)| expanded(code, bits));
    assert_eq!(expanded, [127, 128, 31_744, 32_767, 32_768, 8_387_584]);
}

proptest! {
    #[test]
    fn what_is_asked_is_read(seconds in 1_u64..=3_600, v6: bool, mac: [u8; 6], source: [u8; 4]) {
        let mac = MacAddr(mac);
        let [first, b, c, d] = source;
        let source = if v6 { link_local(mac).into() } else { IpAddr::from([first % 224, b, c, d]) };
        let query = Query::ours(source, mac, Span::from_secs(seconds));
        let read = parsed(&query.frame());
        // Long times are written roughly, and no longer than they are.
        let near = |read: Span, said: Span| read <= said && said.times(15).divided_by(16) <= read;
        prop_assert!(near(read.interval, query.interval), "{:?}", read.interval);
        prop_assert!(near(read.within, query.within), "{:?}", read.within);
        prop_assert!(query.within < query.interval);
        prop_assert_eq!(Query { interval: query.interval, within: query.within, ..read }, query);
    }

    #[test]
    fn a_code_says_no_more_than_the_number(number in 0_u64..10_000_000, sixteen: bool) {
        let bits = if sixteen { 16 } else { 8 };
        let code = u32::from(contracted(number, bits));
        prop_assert!(expanded(code, bits) <= number);
        let next = code + 1;
        prop_assert!(next == 1 << bits || expanded(next, bits) > number);
    }
}
