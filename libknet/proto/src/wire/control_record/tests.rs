use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::wire::address_list::AddressPrefix;

fn records(plaintext: &[u8]) -> Result<Vec<Record>, DropReason> {
    parse(plaintext).map(Iterator::collect)
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    for record in records {
        assert!(writer.push(record), "{record:?}");
    }
    out
}

const PING_1: Record = Record::Ping(Ping {
    id: 1,
    t_tx_us: 2,
    tx_pkts: 3,
    urgent: true,
    reply_on_all: false,
    deferred: true,
    hb_ms: 1_000,
});
const REPORT_2: Record = Record::Report(Report {
    link: LinkId::new(2).unwrap(),
    lane: 15,
    highest: Some(0x0403_0201),
    bitmap: 0x8000_0000_0000_0001,
    rx_pkts: 9,
});

/// The bytes of every kind, written by hand from the protocol.
#[test]
fn bytes_are_where_the_protocol_puts_them() {
    let link = LinkId::new(5).unwrap();
    let state = LinkStateRecord {
        link,
        tx_ok: true,
        rx_ok: false,
        admin_up: true,
        priority: 200,
        weight: NonZeroU8::new(3),
        mtu: 1_200,
    };
    let quality = ReceiveQuality {
        jitter_us: 0x0403_0201,
        reordered_ppm: 1_000_000,
    };
    let list = AddressList::new(AddressPrefix::new([10, 200, 4, 1].into(), 16)).unwrap();
    let table: [(Record, &[u8]); 15] = [
        (
            PING_1,
            &[1, 16, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 5, 0xe8, 0x03, 0],
        ),
        (
            Record::Pong(Pong {
                id: 1,
                t_rx_us: 2,
                hold_us: 3,
                hb_min_ms: 0x0504,
            }),
            &[2, 16, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 5, 0, 0],
        ),
        (
            REPORT_2,
            &[3, 18, 0xf2, 0, 1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0x80, 9, 0, 0, 0],
        ),
        (
            Record::Report(Report {
                link,
                lane: 0,
                highest: None,
                bitmap: 0,
                rx_pkts: 1,
            }),
            &[3, 18, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ),
        (
            Record::PathChallenge([7; 16]),
            &[4, 16, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
        ),
        (
            Record::PathResponse([8; 16]),
            &[5, 16, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8],
        ),
        (
            Record::PmtuAck {
                size: 0x0201,
                id: 0x0605_0403,
            },
            &[7, 6, 1, 2, 3, 4, 5, 6],
        ),
        (Record::LinkState(state), &[8, 6, 5, 5, 200, 3, 0xb0, 0x04]),
        (Record::Close { reason: 4, scope: 1 }, &[9, 4, 4, 1, 0, 0]),
        (
            Record::Quality(quality),
            &[0x80, 8, 1, 2, 3, 4, 0x40, 0x42, 0x0f, 0],
        ),
        (
            Record::Attachment(Attachment {
                changes: 0x0403_0201,
                attached: true,
            }),
            &[0x81, 5, 1, 2, 3, 4, 1],
        ),
        (
            Record::Addresses {
                changes: NonZeroU32::new(0x0403_0201).unwrap(),
                addresses: list,
            },
            &[0x82, 10, 1, 2, 3, 4, 4, 16, 10, 200, 4, 1],
        ),
        (
            Record::Addresses {
                changes: NonZeroU32::MIN,
                addresses: AddressList::default(),
            },
            &[0x82, 4, 1, 0, 0, 0],
        ),
        (
            Record::AddressesAck(NonZeroU32::new(0x0403_0201)),
            &[0x83, 4, 1, 2, 3, 4],
        ),
        (Record::AddressesAck(None), &[0x83, 4, 0, 0, 0, 0]),
    ];
    for (record, bytes) in table {
        assert_eq!(written(std::slice::from_ref(&record)), bytes);
        assert_eq!(records(bytes), Ok(vec![record]));
    }
}

#[test]
fn an_idle_heartbeat_is_as_small_as_designed() {
    let len = written(&[PING_1, REPORT_2]).len();
    assert_eq!(len, 38);
    assert_eq!(28 + HEADER_LEN + len + TAG_LEN, 94, "IPv4 datagram");
}

#[test]
fn a_length_that_is_not_the_kinds_is_refused() {
    let lengths = [
        (1, 16),
        (2, 16),
        (3, 18),
        (4, 16),
        (5, 16),
        (7, 6),
        (8, 6),
        (9, 4),
        (0x80, 8),
        (0x81, 5),
        (0x83, 4),
    ];
    for (kind, right) in lengths {
        for len in 0..=40_u8 {
            let mut bytes = vec![kind, len];
            bytes.resize(2 + usize::from(len), 0);
            assert_eq!(records(&bytes).is_ok(), len == right, "kind {kind}, length {len}");
        }
    }
}

#[test]
fn one_bad_record_spoils_the_datagram() {
    let good = written(&[PING_1, REPORT_2]);
    assert!(records(&good).is_ok());
    for bad in [
        &[0x0c, 0][..],
        &[0x7f, 0],
        &[1, 15],
        &[0],
        &[8, 6, 8, 0, 0, 0, 0, 0],
        &[9, 4, 0, 2, 0, 0],
        &[0x80, 8, 0, 0, 0, 0, 0x41, 0x42, 0x0f, 0],
        &[0x81, 5, 0, 0, 0, 0, 2],
        // ADDRESSES without a number, cut, of no family, and longer than its network.
        &[0x82, 4, 0, 0, 0, 0],
        &[0x82, 3, 1, 0, 0],
        &[0x82, 9, 1, 0, 0, 0, 4, 16, 10, 200, 4],
        &[0x82, 10, 1, 0, 0, 0, 5, 16, 10, 200, 4, 1],
        &[0x82, 10, 1, 0, 0, 0, 4, 33, 10, 200, 4, 1],
    ] {
        assert_eq!(
            records(&[&good, bad].concat()),
            Err(DropReason::RecordInvalid),
            "{bad:?}"
        );
    }
    assert_eq!(records(&[]), Err(DropReason::RecordInvalid));
    for len in 1..good.len() {
        // Cut between its two records it is a shorter datagram, and anywhere else it is broken.
        assert_eq!(records(&good[..len]).is_ok(), len == 18, "cut to {len}");
    }
}

#[test]
fn reserved_bits_are_refused() {
    let base = [
        written(&[PING_1]),
        written(&[Record::Pong(Pong {
            id: 0,
            t_rx_us: 0,
            hold_us: 0,
            hb_min_ms: 0,
        })]),
        written(&[REPORT_2]),
    ];
    for (record, at, bit) in [
        (0, 14, 8),
        (0, 14, 0x80),
        (0, 17, 1),
        (1, 16, 1),
        (1, 17, 1),
        (2, 2, 8),
        (2, 3, 2),
        (2, 3, 0x80),
    ] {
        let mut bytes = base[record].clone();
        bytes[at] |= bit;
        assert_eq!(
            records(&bytes),
            Err(DropReason::RecordInvalid),
            "record {record}, byte {at}, bit {bit}"
        );
    }
}

#[test]
fn a_report_cannot_speak_of_counters_below_zero() {
    let report = |highest, bitmap| {
        let mut bytes = written(&[REPORT_2]);
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(highest));
        bytes[8..16].copy_from_slice(&u64::to_le_bytes(bitmap));
        records(&bytes).is_ok()
    };
    assert!(report(0, 0) && !report(0, 1));
    assert!(report(1, 1) && !report(1, 2));
    assert!(report(63, u64::MAX >> 1) && !report(63, u64::MAX));
    assert!(report(64, u64::MAX) && report(u32::MAX, u64::MAX));
    // "Nothing arrived" goes with no counter and no bitmap.
    for (highest, bitmap, good) in [(0_u32, 0_u64, true), (1, 0, false), (0, 1, false)] {
        let mut bytes = written(&[REPORT_2]);
        bytes[3] |= 1;
        bytes[4..8].copy_from_slice(&highest.to_le_bytes());
        bytes[8..16].copy_from_slice(&bitmap.to_le_bytes());
        assert_eq!(records(&bytes).is_ok(), good);
    }
}

#[test]
fn unknown_kinds_are_skipped_only_with_bit_7() {
    let ping = written(&[PING_1]);
    for kind in 0..=255_u8 {
        let unknown = [&[kind, 3, 1, 2, 3][..], &ping].concat();
        let expected = if kind > 0x83 {
            Ok(vec![PING_1])
        } else {
            Err(DropReason::RecordInvalid)
        };
        assert_eq!(records(&unknown), expected, "kind {kind}");
    }
    assert_eq!(records(&[0x84, 0]), Ok(vec![]));
}

#[test]
fn twenty_four_records_and_no_more() {
    let one = [0x99, 0];
    assert!(records(&one.repeat(MAX_RECORDS)).is_ok());
    assert_eq!(
        records(&one.repeat(MAX_RECORDS + 1)),
        Err(DropReason::RecordInvalid)
    );

    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    for _ in 0..MAX_RECORDS {
        assert!(writer.push(&PING_1));
    }
    assert!(!writer.push(&PING_1));
    assert_eq!((writer.count(), writer.len()), (MAX_RECORDS, MAX_RECORDS * 18));
    assert_eq!(records(&out).unwrap().len(), MAX_RECORDS);
}

#[test]
fn a_pmtu_probe_is_as_long_as_it_says_and_last() {
    for size in [0, 35, 36, 1_200, 9_000, u16::MAX] {
        let mut out = vec![0xee; 12];
        let mut writer = RecordWriter::new(&mut out);
        let id = 0x0403_0201;
        let probe = Record::PmtuProbe { size, id };
        // Header 12, tag 16, kind, length, size and id.
        assert_eq!(writer.push(&probe), size >= 36);
        if size < 36 {
            assert!(writer.is_empty());
            continue;
        }
        assert!(!writer.push(&PING_1), "nothing follows a probe");
        assert_eq!(out.len() + TAG_LEN, usize::from(size));
        assert_eq!(records(&out[12..]), Ok(vec![probe.clone()]));
        assert_eq!(out[12..14], [6, 0]);
        assert_eq!(out[14..16], size.to_le_bytes());
        assert_eq!(out[16..20], [1, 2, 3, 4]);
        assert_eq!(
            records(&[&out[12..], &[0]].concat()),
            Err(DropReason::RecordInvalid)
        );
        assert_eq!(records(&out[12..out.len() - 1]), Err(DropReason::RecordInvalid));
        if size > 36 {
            *out.last_mut().unwrap() = 1;
            assert_eq!(records(&out[12..]), Err(DropReason::RecordInvalid));
        }
    }
    let probe = Record::PmtuProbe { size: 60, id: 7 };
    let both = [PING_1, probe];
    assert_eq!(records(&written(&both)), Ok(both.to_vec()));
    assert_eq!(records(&[6, 0, 36, 0, 1, 2, 3, 4]).map(|r| r.len()), Ok(1));
    assert_eq!(
        records(&[6, 1, 36, 0, 1, 2, 3, 4]),
        Err(DropReason::RecordInvalid)
    );
    assert_eq!(records(&[6, 0, 32, 0]), Err(DropReason::RecordInvalid));
}

#[test]
fn what_the_receiver_would_refuse_is_not_written() {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    let Record::Report(report) = REPORT_2 else {
        unreachable!()
    };
    assert!(!writer.push(&Record::Report(Report { lane: 16, ..report })));
    assert!(!writer.push(&Record::Report(Report {
        highest: Some(3),
        bitmap: 8,
        ..report
    })));
    assert!(!writer.push(&Record::Report(Report {
        highest: None,
        ..report
    })));
    assert!(!writer.push(&Record::Close { reason: 0, scope: 2 }));
    assert!(!writer.push(&Record::Quality(ReceiveQuality {
        jitter_us: 0,
        reordered_ppm: 1_000_001,
    })));
    assert!(writer.is_empty() && out.is_empty());
}

fn any_record() -> impl Strategy<Value = Record> {
    let link = (0_u8..8).prop_map(|n| LinkId::new(n).unwrap());
    let ping = (any::<[u32; 3]>(), any::<[bool; 3]>(), any::<u16>()).prop_map(|(n, flags, hb_ms)| {
        let [id, t_tx_us, tx_pkts] = n;
        Record::Ping(Ping {
            id,
            t_tx_us,
            tx_pkts,
            urgent: flags[0],
            reply_on_all: flags[1],
            deferred: flags[2],
            hb_ms,
        })
    });
    let pong = (any::<[u32; 3]>(), any::<u16>()).prop_map(|([id, t_rx_us, hold_us], hb_min_ms)| {
        Record::Pong(Pong {
            id,
            t_rx_us,
            hold_us,
            hb_min_ms,
        })
    });
    let highest = prop_oneof![
        Just(None),
        (0_u32..70).prop_map(Some),
        any::<u32>().prop_map(Some)
    ];
    let report = (link.clone(), 0_u8..16, highest, any::<u64>(), any::<u32>()).prop_map(
        |(link, lane, highest, bits, rx_pkts)| {
            let below = highest.unwrap_or(0).min(64);
            let bitmap = if below == 0 { 0 } else { bits >> (64 - below) };
            Record::Report(Report {
                link,
                lane,
                highest,
                bitmap,
                rx_pkts,
            })
        },
    );
    let state = (link, any::<[bool; 3]>(), any::<[u8; 2]>(), any::<u16>()).prop_map(
        |(link, ok, [priority, weight], mtu)| {
            let [tx_ok, rx_ok, admin_up] = ok;
            Record::LinkState(LinkStateRecord {
                link,
                tx_ok,
                rx_ok,
                admin_up,
                priority,
                weight: NonZeroU8::new(weight),
                mtu,
            })
        },
    );
    let prefix = (any::<core::net::IpAddr>(), 0_u8..=32).prop_map(|(a, l)| AddressPrefix::new(a, l).unwrap());
    let addresses = (any::<NonZeroU32>(), prop::collection::vec(prefix, 0..=8)).prop_map(|(changes, all)| {
        let addresses = AddressList::new(all).unwrap();
        Record::Addresses { changes, addresses }
    });
    prop_oneof![
        ping,
        pong,
        report,
        state,
        any::<[u8; 16]>().prop_map(Record::PathChallenge),
        any::<[u8; 16]>().prop_map(Record::PathResponse),
        (any::<u16>(), any::<u32>()).prop_map(|(size, id)| Record::PmtuAck { size, id }),
        (any::<u8>(), 0_u8..2).prop_map(|(reason, scope)| Record::Close { reason, scope }),
        addresses,
        prop::option::of(any::<NonZeroU32>()).prop_map(Record::AddressesAck),
    ]
}

proptest! {
    #[test]
    fn write_then_parse_is_the_identity(
        mut sent in prop::collection::vec(any_record(), 1..MAX_RECORDS), probe in prop::option::of(0_u16..500),
    ) {
        if let Some(fill) = probe {
            let size = datagram_len(written(&sent).len() + 8) as u16 + fill;
            sent.push(Record::PmtuProbe { size, id: 0x0403_0201 });
        }
        prop_assert_eq!(records(&written(&sent)), Ok(sent));
    }

    /// Whatever is accepted means one thing: written again it gives the same bytes, but for skipped records.
    #[test]
    fn parse_then_write_is_the_identity(
        kinds in prop::collection::vec((0_u8..16, prop::collection::vec(0_u8..9, 0..20)), 0..5),
    ) {
        let lengths = [0, 16, 16, 18, 16, 16, 0, 6, 6, 4];
        let bytes: Vec<u8> = kinds
            .iter()
            .flat_map(|(kind, body)| {
                let len = *lengths.get(*kind as usize).unwrap_or(&body.len());
                let mut body = body.clone();
                body.resize(len, 0);
                [vec![*kind, len as u8], body].concat()
            })
            .collect();
        if let Ok(records) = records(&bytes) {
            prop_assert_eq!(written(&records), bytes);
        }
    }

    #[test]
    fn any_bytes_are_accepted_whole_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(records) = parse(&bytes) {
            prop_assert!(records.count() <= MAX_RECORDS);
        }
    }
}

#[test]
fn of_two_attachments_the_later_one_counts() {
    let after = |a: u32, b: u32| {
        let [a, b] = [a, b].map(|changes| Attachment {
            changes,
            attached: true,
        });
        a.is_after(b)
    };
    assert!(after(1, 0) && !after(0, 1) && !after(1, 1));
    assert!(after(0, u32::MAX) && !after(u32::MAX, 0), "the count wraps");
}
