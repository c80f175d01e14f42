#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::l2::ip_packet::test_packets::checksum;

const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWNER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const BROADCAST: MacAddr = MacAddr([0xff; 6]);

pub(crate) fn v4(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

pub(crate) fn v6(n: u8) -> IpAddr {
    IpAddr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n])
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn claim(ip: IpAddr, mac: MacAddr, router: Option<bool>) -> Claim {
    Claim { ip, mac, router }
}

pub(crate) fn arp(to: MacAddr, operation: u8, (mac, sender): (MacAddr, IpAddr), target: IpAddr) -> Vec<u8> {
    let packet = [0, 1, 8, 0, 6, 4, 0, operation];
    let addresses = [&mac.0[..], &octets(sender), &[0; 6], &octets(target)].concat();
    [&to.0[..], &mac.0, &[8, 6], &packet, &addresses, &[0; 18]].concat()
}

/// An `ICMPv6` message of neighbour discovery, with its checksum.
pub(crate) fn discovery(to: MacAddr, from: MacAddr, (src, dst): (IpAddr, IpAddr), message: &[u8]) -> Vec<u8> {
    let (src, dst) = (octets(src), octets(dst));
    let len = (message.len() as u16).to_be_bytes();
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let sum = checksum(&[&src, &dst, &[0, 0], &len, &[0, 0, 0, 58], &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let ip = [0x60, 0, 0, 0, len[0], len[1], 58, 255];
    [&to.0[..], &from.0, &[0x86, 0xdd], &ip, &src, &dst, &message].concat()
}

pub(crate) fn solicitation(target: IpAddr, option: &[u8]) -> Vec<u8> {
    [&[135, 0, 0, 0, 0, 0, 0, 0][..], &octets(target), option].concat()
}

pub(crate) fn advertisement(flags: u8, target: IpAddr, option: &[u8]) -> Vec<u8> {
    [&[136, 0, 0, 0, flags, 0, 0, 0][..], &octets(target), option].concat()
}

pub(crate) fn option(kind: u8, mac: MacAddr) -> Vec<u8> {
    [&[kind, 1][..], &mac.0].concat()
}

/// The group of `v6(n)`, and its Ethernet address.
pub(crate) fn solicited_node(n: u8) -> (MacAddr, IpAddr) {
    let ip = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, n];
    (MacAddr([0x33, 0x33, 0xff, 0, 0, n]), IpAddr::from(ip))
}

fn parse(frame: &[u8]) -> Option<Message> {
    let message = Message::parse(frame);
    assert!(message.is_none() || Message::may_be_in(frame));
    message
}

#[test]
fn arp_says_and_asks() {
    let asks = parse(&arp(BROADCAST, 1, (ASKER, v4(1)), v4(2))).unwrap();
    assert_eq!(asks.claim, Some(claim(v4(1), ASKER, None)));
    assert_eq!(asks.question, Some(v4(2)));
    let answer = asks.answer(&claim(v4(2), OWNER, None)).unwrap();
    let expected = arp(ASKER, 2, (OWNER, v4(2)), v4(1));
    assert_eq!(
        (&answer[..32], &answer[38..]),
        (&expected[..32], &expected[38..42])
    );
    assert_eq!(answer[32..38], ASKER.0, "the target's address, too");
    let says = parse(&answer).unwrap();
    assert_eq!(
        (says.claim, says.question),
        (Some(claim(v4(2), OWNER, None)), None)
    );
    assert_eq!(
        asks.answer(&claim(v4(3), OWNER, None)),
        None,
        "not what was asked"
    );
}

/// RFC 5227: of a claim the owner has to hear, to defend his address.
#[test]
fn what_claims_an_address_is_no_question() {
    let said = |frame: &[u8]| parse(frame).map(|m| (m.claim.map(|c| c.ip), m.question));
    let none = IpAddr::from([0; 4]);
    assert_eq!(
        said(&arp(BROADCAST, 1, (ASKER, none), v4(2))),
        Some((None, None)),
        "a probe"
    );
    for operation in [1, 2] {
        let gratuitous = arp(BROADCAST, operation, (ASKER, v4(2)), v4(2));
        assert_eq!(said(&gratuitous), Some((Some(v4(2)), None)));
    }
    // It asks one station whether it is still there.
    assert_eq!(
        said(&arp(OWNER, 1, (ASKER, v4(1)), v4(2))),
        Some((Some(v4(1)), None))
    );
}

#[test]
fn arp_that_is_not_true_to_its_frame_says_nothing() {
    let sound = arp(BROADCAST, 1, (ASKER, v4(1)), v4(2));
    for (at, what) in [(6, "the frame's source"), (22, "the sender")] {
        let mut forged = sound.clone();
        forged[at] = 6;
        let nothing = Message {
            claim: None,
            question: None,
        };
        assert_eq!(parse(&forged), Some(nothing), "{what}");
    }
    for at in 12..22 {
        let mut other = sound.clone();
        other[at] ^= 0x40;
        assert_eq!(parse(&other), None, "byte {at}");
    }
    (0..42).for_each(|len| assert_eq!(parse(&sound[..len]), None));
    for sender in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
        let frame = arp(BROADCAST, 1, (ASKER, sender.into()), v4(2));
        assert_eq!(parse(&frame).unwrap().claim, None, "{sender:?}");
    }
}

#[test]
fn neighbour_discovery_says_and_asks() {
    let (to, group) = solicited_node(2);
    let frame = discovery(to, ASKER, (v6(1), group), &solicitation(v6(2), &option(1, ASKER)));
    let asks = parse(&frame).unwrap();
    assert_eq!(asks.claim, Some(claim(v6(1), ASKER, None)));
    assert_eq!(asks.question, Some(v6(2)));
    assert_eq!(
        asks.answer(&claim(v6(2), OWNER, None)),
        None,
        "a router could lose its hosts"
    );
    for (router, flags) in [(false, 0x40), (true, 0xc0)] {
        let answer = asks.answer(&claim(v6(2), OWNER, Some(router))).unwrap();
        let expected = advertisement(flags, v6(2), &option(2, OWNER));
        assert_eq!(answer, discovery(ASKER, OWNER, (v6(2), v6(1)), &expected));
        let says = parse(&answer).unwrap();
        assert_eq!(says.claim, Some(claim(v6(2), OWNER, Some(router))));
    }
}

#[test]
fn what_is_not_asked_of_all_is_no_question() {
    let (to, group) = solicited_node(2);
    let question = |to, from, addresses, target, option: &[u8]| {
        parse(&discovery(to, from, addresses, &solicitation(target, option))).map(|m| m.question)
    };
    let nobody = IpAddr::from([0; 16]);
    let own = option(1, ASKER);
    assert_eq!(
        question(to, ASKER, (v6(1), group), v6(2), &own),
        Some(Some(v6(2)))
    );
    assert_eq!(
        question(to, ASKER, (nobody, group), v6(2), &[]),
        Some(None),
        "detection of duplicates"
    );
    assert_eq!(
        question(OWNER, ASKER, (v6(1), v6(2)), v6(2), &own),
        Some(None),
        "of one station"
    );
    assert_eq!(
        question(to, ASKER, (v6(1), group), v6(3), &own),
        Some(None),
        "another's group"
    );
    assert_eq!(
        question(to, ASKER, (v6(1), group), v6(2), &[]),
        Some(None),
        "from where?"
    );
    assert_eq!(
        question(to, ASKER, (v6(1), group), v6(2), &option(1, OWNER)),
        Some(None),
        "forged"
    );
    assert_eq!(
        question(to, ASKER, (v6(2), group), v6(2), &own),
        Some(None),
        "for itself"
    );
}

/// RFC 4861, 7.1: what is silently discarded.
#[test]
fn discovery_that_is_not_valid_says_nothing() {
    let (to, group) = solicited_node(2);
    let message = solicitation(v6(2), &option(1, ASKER));
    let sound = discovery(to, ASKER, (v6(1), group), &message);
    for (at, what) in [
        (21, "hop limit"),
        (20, "protocol"),
        (54, "type"),
        (56, "checksum"),
        (70, "target"),
        (14, "version"),
    ] {
        let mut other = sound.clone();
        other[at] ^= 0x11;
        assert_eq!(parse(&other), None, "{what}");
    }
    (0..sound.len()).for_each(|len| assert_eq!(parse(&sound[..len]), None));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = message.clone();
        change(&mut message);
        parse(&discovery(to, ASKER, (v6(1), group), &message))
    };
    assert_eq!(with(&|m| m[1] = 1), None, "code");
    assert_eq!(with(&|m| m[25] = 0), None, "an option without a length");
    assert_eq!(with(&|m| m[25] = 2), None, "an option beyond the end");
    assert_eq!(with(&|m| m.push(1)), None, "half an option");
    assert_eq!(with(&|m| m[8] = 0xff), None, "a group is nobody");
    let other_first = |m: &mut Vec<u8>| {
        m.splice(24..24, [vec![14, 1], vec![0; 6]].concat());
    };
    assert_eq!(
        with(&other_first).unwrap().question,
        Some(v6(2)),
        "other options are skipped"
    );
    let mut tagged = sound.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(parse(&tagged), None, "another network's");
}

proptest! {
    /// Whatever comes: no panic, claims are true to their frames, and what is answered is understood.
    #[test]
    fn nothing_panics_and_answers_are_understood(
        kind in 0_usize..3, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), len in 0_usize..100,
    ) {
        let (to, group) = solicited_node(2);
        let mut frame = match kind {
            0 => arp(BROADCAST, 1, (ASKER, v4(1)), v4(2)),
            1 => discovery(to, ASKER, (v6(1), group), &solicitation(v6(2), &option(1, ASKER))),
            _ => discovery(ASKER, OWNER, (v6(2), v6(1)), &advertisement(0x60, v6(2), &option(2, OWNER))),
        };
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(len.max(14));
        if let Some(message) = parse(&frame) {
            if let Some(claim) = message.claim {
                prop_assert_eq!(&claim.mac.0[..], &frame[6..12]);
            }
            if let Some(ip) = message.question {
                let asker = message.claim.unwrap();
                let owner = claim(ip, OWNER, Some(true));
                let answer = message.answer(&owner).unwrap();
                prop_assert_eq!((&answer[..6], &answer[6..12]), (&asker.mac.0[..], &OWNER.0[..]));
                let said = parse(&answer).unwrap().claim.unwrap();
                prop_assert_eq!((said.ip, said.mac), (owner.ip, owner.mac));
            }
        }
    }
}
